//! DNS servers that hang, beside others that respond.

use std::{net::UdpSocket, process::Command};

use serde_json::json;

use crate::support::{
    harness::TestDatabase,
    mcp::{Plain, well_behaved},
    objects::{import, object},
    process::{program_on, run},
};

const NAME_SERVER: &str = "127.0.53.7";

/// A DNS server that resolves `well…`, and never responds to other names.
fn name_server() -> std::io::Result<()> {
    let socket = UdpSocket::bind((NAME_SERVER, 53))?;
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let query = &bytes[..length];
            if query.get(13..17) != Some(b"well") {
                continue;
            }
            let name_end = 13 + query[12..].iter().position(|byte| *byte == 0).unwrap();
            let is_ipv4 = query[name_end..name_end + 2] == [0, 1];
            let mut answer = query[..name_end + 4].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, is_ipv4.into(), 0, 0, 0, 0]);
            if is_ipv4 {
                // The answer has the question's name, type A, class IN, a TTL of zero, and four bytes.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    Ok(())
}

/// Runs the command with only this DNS server.
fn with_name_server(command: &Command, resolv_conf: &std::path::Path) -> Command {
    let mut isolated = Command::new("unshare");
    isolated.args(["--mount", "sh", "-c"]);
    isolated.arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"");
    isolated.arg(resolv_conf).arg(command.get_program());
    isolated.args(command.get_args()).env_clear();
    isolated.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            isolated.env(name, value);
        }
    }
    isolated
}

/// 40 names hang for longer than a check takes. Meanwhile, others are checked without delay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root on Linux: a name server at port 53, and a mount"]
async fn names_that_hang_are_nobody_elses() {
    name_server().expect("this test needs root, for port 53");
    let folder = tempfile::tempdir().unwrap();
    let resolv_conf = folder.path().join("resolv.conf");
    std::fs::write(&resolv_conf, format!("nameserver {NAME_SERVER}\n")).unwrap();
    let storage = TestDatabase::sqlite();
    let well = Plain::new(well_behaved).await;
    let port = well.url.rsplit_once(':').unwrap().1;
    let at = |id: &str| {
        object(
            id,
            &json!({ "serverUrl": format!("http://{id}.example:{port}") }),
        )
    };
    let names = (0..40).map(|n| format!("slow{n}"));
    let names = names.chain((0..8).map(|n| format!("well{n}")));
    import(&storage, &names.map(|name| at(&name)).collect::<Vec<_>>());
    let mut command = program_on(&storage, &["check", "--mcp-allow", "127.0.0.0/8"]);
    command.args(["--max-checks", "32", "--check-timeout", "4s"]);
    let done = tokio::task::spawn_blocking(move || run(with_name_server(&command, &resolv_conf)));
    let done = done.await.unwrap();
    println!("{}{}", done.out, done.err);
    let ends = |what: &str| done.out.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (ends(" OPEN "), ends(" TIMEOUT ")),
        (8, 40),
        "{}{}",
        done.out,
        done.err
    );
}
