//! Errors at the start name the cause, the file or host, and the remedy.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    panic::AssertUnwindSafe,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    harness::{TestDatabase, rows},
    process::{SECRET, program, run},
};

fn command(line: &str, folder: &Path) -> Command {
    let arguments: Vec<_> = line.split(' ').collect();
    let mut command = program(&arguments);
    command.current_dir(folder);
    command.env("CONNECTORS_DATABASE_WAIT", "400ms");
    command
}

/// Runs a program that fails, and also checks the form of its message.
fn refused(command: Command, code: i32, expected: &[&str]) {
    let told = run(command).failed(code);
    let error = told.lines().find_map(|line| line.strip_prefix("error: "));
    let error = error.unwrap_or_else(|| panic!("no error in {told}"));
    for part in expected {
        let (error, part) = (error.to_lowercase(), part.to_lowercase());
        assert!(error.contains(&part), "{part} is not in: {error}");
    }
    assert!(
        !told.contains("hunter2") && !told.contains("the service failed"),
        "{told}"
    );
    assert!(!told.contains("panic"), "{told}");
    let sentences: Vec<_> = error.split(". ").collect();
    assert!(sentences.len() <= 2, "more than two sentences: {error}");
    let parts: Vec<_> = sentences
        .iter()
        .flat_map(|sentence| sentence.split(": "))
        .collect();
    for (i, part) in parts.iter().enumerate() {
        let twice = parts
            .iter()
            .enumerate()
            .any(|(j, other)| i != j && other.contains(part) && part.len() > 8);
        assert!(!twice, "{part} is said twice: {error}");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

#[test]
fn settings_and_files() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("text"), "hello").unwrap();
    fs::write(at("noise"), [7; 5000]).unwrap();
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("empty.json"), r#"{"keys":[]}"#).unwrap();
    fs::write(at("short.db.jwt-secret"), "short").unwrap();
    fs::set_permissions(at("short.db.jwt-secret"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(at("open.db.jwt-secret"), SECRET).unwrap();
    fs::set_permissions(at("open.db.jwt-secret"), PermissionsExt::from_mode(0o644)).unwrap();
    fs::create_dir(at("dir.db.jwt-secret")).unwrap();
    // No connection is accepted, so no request is answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let issuer = "--jwt-issuer i --jwt-audience a";
    #[rustfmt::skip]
    let cases: [(String, i32, &[&str]); 39] = [
        ("migrate --database-url postgres://u:hunter2@127.0.0.1:1/x".into(), 1, &["127.0.0.1:1/x", "Connection \
            refused", "Check that PostgreSQL runs there"]),
        ("migrate --database-url \
          postgres://u:hunter2@nowhere.invalid/x".into(), 1, &["nowhere.invalid:5432/x", "lookup", "Correct the host"]),
        ("migrate --database-url \
          postgres:///x?host=/nowhere&user=u&password=hunter2".into(), 1, &["/nowhere:5432/x", "No such \
          file", "Correct the file or folder"]),
        ("migrate --database-url postgres://u:hunter2@h:port/x".into(), 2, &["--database-url", "invalid port number"]),
        ("migrate --database-url postgres://u:12/hunter2@h/x".into(), 2, &["--database-url", "%2F"]),
        ("migrate --database-url postgres://u:12#hunter2@h/x".into(), 2, &["--database-url", "%23"]),
        (format!("serve --database-url sqlite://ok.db {issuer} --jwks \
                  http://u:12#hunter2@127.0.0.1:1/keys"), 2, &["--jwks", "%23"]),
        ("migrate --database-url postgres://u:12?hunter2@h/x".into(), 2, &["--database-url", "%3F"]),
        ("serve --read-only --jwt-secret 01234567890123456789012345678901 --database-url \
          sqlite://none.db".into(), 1, &["none.db", "no such file", "Correct the path"]),
        ("migrate --database-url \
          postgres://u:hunter2@h/x?sslmode=some".into(), 2, &["--database-url", "some", "Expected"]),
        (format!("migrate --database-url postgres://u:hunter2@{taken}/x"), 1, &[&taken, "no answer within \
            400ms", "--database-wait"]),
        ("migrate --database-url sqlite://text".into(), 1, &["text", "not an SQLite \
            database", "Correct --database-url"]),
        ("migrate --database-url sqlite://noise".into(), 1, &["noise", "not an SQLite database"]),
        ("migrate --database-url sqlite://folder".into(), 1, &["folder", "directory", "Add the name of a file"]),
        ("migrate --database-url \
          sqlite://text/below/x.db".into(), 1, &["text/below/x.db", "Not a directory", "Choose another path"]),
        ("migrate --database-url sqlite://x.db?speed=high".into(), 2, &["--database-url", "speed"]),
        ("migrate --to m0".into(), 2, &["--to", "m20261122_000001_catalogue"]),
        ("serve --listen localhost".into(), 2, &["--listen", "expected an address and a port"]),
        ("serve --database-url sqlite://ok.db --listen \
          nowhere.invalid:80".into(), 1, &["nowhere.invalid:80", "lookup", "a name that has one", "--listen"]),
        ("serve --database-url sqlite://ok.db --listen \
          unix:/nowhere/x.sock".into(), 1, &["unix:/nowhere/x.sock", "folder does not exist", "--listen"]),
        (format!("serve --database-url sqlite://ok.db --listen unix:{}", at("folder").display()), 1, &["the path is a \
            folder", "Add the name of a file", "--listen"]),
        (format!("serve --database-url sqlite://ok.db --listen {taken}"), 1, &[&taken, "in use", "--listen"]),
        (format!("serve --database-url sqlite://ok.db --listen 127.0.0.1:0 --metrics-listen \
                  {taken}"), 1, &[&taken, "in use", "--metrics-listen"]),
        ("serve --database-url sqlite://ok.db --listen \
          203.0.113.7:8080".into(), 1, &["203.0.113.7:8080", "Choose an address of this machine"]),
        ("serve --database-url sqlite://ok.db --catalog none.json".into(), 1, &["--catalog none.json", "No such file"]),
        ("serve --database-url sqlite://ok.db --catalog folder".into(), 1, &["--catalog folder", "directory"]),
        ("serve --database-url sqlite://ok.db --catalog text".into(), 1, &["--catalog text", "line 1 column 1"]),
        ("serve --database-url sqlite://ok.db --trusted-documents none.json".into(), 1, &["--trusted-documents \
            none.json", "No such file"]),
        ("serve --database-url sqlite://ok.db --trusted-documents text".into(), 1, &["--trusted-documents \
            text", "expected a JSON object"]),
        (format!("serve --database-url sqlite://ok.db {issuer} --jwks \
                  none.json"), 1, &["--jwks none.json", "No such file"]),
        (format!("serve --database-url sqlite://ok.db {issuer} --jwks text"), 1, &["--jwks text", "not a JWK Set"]),
        (format!("serve --database-url sqlite://ok.db {issuer} --jwks \
                  empty.json"), 1, &["--jwks empty.json", "no key"]),
        (format!("serve --database-url sqlite://ok.db {issuer} --jwks \
                  http://u:hunter2@127.0.0.1:1/keys"), 2, &["--jwks", "user name or password"]),
        ("serve --database-url sqlite://ok.db --otlp-endpoint \
          collector".into(), 2, &["--otlp-endpoint", "http://127.0.0.1:4318"]),
        ("serve --database-url sqlite://short.db".into(), 1, &["short.db.jwt-secret", "32 bytes", "Remove it"]),
        ("serve --database-url sqlite://open.db".into(), 1, &["open.db.jwt-secret", "chmod 600"]),
        ("serve --database-url sqlite://dir.db".into(), 1, &["dir.db.jwt-secret", "directory", "--jwt-secret"]),
        ("import --database-url sqlite://ok.db none.json".into(), 1, &["none.json", "No such file"]),
        ("import --database-url sqlite://ok.db folder".into(), 1, &["folder", "directory"]),
    ];
    for (line, code, expected) in cases {
        refused(command(&line, folder.path()), code, expected);
    }
}

#[test]
fn authorities_and_proxies() {
    let folder = TempDir::new().unwrap();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/keys");
    let authority = fs::read_to_string(keys.join("test-only-ca.pem")).unwrap();
    let key = fs::read_to_string(keys.join("test-only-ec-p256.pem")).unwrap();
    fs::write(folder.path().join("ca.pem"), &authority).unwrap();
    fs::write(folder.path().join("both.pem"), authority + &key).unwrap();
    fs::write(folder.path().join("text"), "hello").unwrap();
    fs::write(folder.path().join("ca.der"), [0x30, 0x82, 1, 2]).unwrap();
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 10] = [
        ("--ca-file none.pem", &["--ca-file none.pem", "cannot be read", "No such file"]),
        ("--ca-file ca.pem,none.pem", &["--ca-file none.pem", "No such file"]),
        ("--ca-file ca.pem --ca-file text", &["--ca-file text", "no certificate", "-----BEGIN CERTIFICATE-----"]),
        ("--ca-file both.pem", &["--ca-file both.pem", "private key", "the authority's certificate alone"]),
        ("--ca-file ca.der", &["--ca-file ca.der", "DER", "openssl x509 -inform der -in ca.der -out ca.der.pem"]),
        ("--outbound-proxy http://ann:hunter2@proxy:3128/path", &["--outbound-proxy", "without a path"]),
        ("--outbound-proxy socks5://ann:hunter2@proxy:1080", &["--outbound-proxy", "http://HOST:PORT"]),
        ("--outbound-proxy ann:hunter2@proxy:3128", &["--outbound-proxy", "http://USER:PASSWORD@HOST:PORT"]),
        ("--otlp-endpoint http://127.0.0.1:4318/v1/traces", &["--otlp-endpoint", "/v1/traces, which is added"]),
        ("--jwks file:///keys.json --jwt-issuer i --jwt-audience a", &["--jwks", "expected a file, or a URL"]),
    ];
    for (flags, expected) in cases {
        let serve = format!("serve --database-url sqlite://ok.db {flags}");
        let code = if flags.starts_with("--ca-file") { 1 } else { 2 };
        refused(command(&serve, folder.path()), code, expected);
        if !flags.starts_with("--otlp") && !flags.starts_with("--jwks") {
            let check = format!("check --database-url sqlite://ok.db {flags}");
            refused(command(&check, folder.path()), code, expected);
        }
    }
    #[rustfmt::skip]
    let lists: [(&str, &[&str]); 5] = [
        ("--mcp-allow mcp,foo.*", &["--mcp-allow", "a star stands for the first labels alone"]),
        ("--mcp-allow http://mcp:8000/", &["--mcp-allow", "write mcp:8000"]),
        ("--mcp-ports 9000-8000", &["--mcp-ports", "such as 8000-8999"]),
        ("--trusted-proxy 10.1.2.3/8", &["--trusted-proxy", "write 10.0.0.0/8 for the network"]),
        ("--trusted-proxy 0.0.0.0", &["--trusted-proxy", "write 0.0.0.0/0 for all addresses"]),
    ];
    for (flags, expected) in lists {
        let serve = format!("serve --database-url sqlite://ok.db {flags}");
        let told = run(command(&serve, folder.path())).failed(2);
        for part in expected {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
    }
    // The help does not show the value of the environment either.
    let mut help = program(&["--help"]);
    help.env("CONNECTORS_OUTBOUND_PROXY", "http://ann:hunter2@proxy:3128");
    let told = run(help).ok();
    assert!(told.contains("--outbound-proxy") && !told.contains("hunter2"));
}

/// Reading a pipe without a writer never ends, like a file on a hanging file system.
#[test]
fn files_that_cannot_be_read_to_their_end() {
    let folder = TempDir::new().unwrap();
    for name in ["pipe", "held.db.jwt-secret"] {
        let made = Command::new("mkfifo")
            .arg(folder.path().join(name))
            .status();
        assert!(made.unwrap().success());
    }
    let ok = "--database-url sqlite://ok.db";
    #[rustfmt::skip]
    let cases: [(String, &[&str]); 4] = [
        (format!("serve {ok} --catalog pipe"), &["--catalog pipe", "within 10 s", "nobody writes to"]),
        (format!("serve {ok} --trusted-documents pipe"), &["--trusted-documents pipe", "within 10 s", "nobody writes \
            to"]),
        (format!("serve {ok} --jwks pipe --jwt-issuer i --jwt-audience a"), &["--jwks pipe", "not a regular file"]),
        ("serve --database-url sqlite://held.db".into(), &["held.db.jwt-secret", "timed out", "--jwt-secret"]),
    ];
    thread::scope(|scope| {
        for (line, expected) in &cases {
            scope.spawn(|| refused(command(line, folder.path()), 1, expected));
        }
    });
}

#[tokio::test]
async fn a_file_that_another_process_holds() {
    let storage = TestDatabase::sqlite();
    let path = storage.url.strip_prefix("sqlite://").unwrap();
    fs::write(path, "").unwrap();
    let folder = TempDir::new().unwrap();
    let migrate = format!("migrate --database-url {}", storage.url);
    run(command(&migrate, folder.path())).ok();
    let mut other = SqliteConnection::connect(&storage.url).await.unwrap();
    let held = "PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE";
    other.execute(held).await.unwrap();
    let migrate = command(
        &format!("migrate --database-url {}", storage.url),
        folder.path(),
    );
    refused(
        migrate,
        1,
        &[path, "locked it for longer than 400ms", "End that process"],
    );
}

/// The system refuses access. The program runs as an ordinary user here, because the superuser is never refused.
#[test]
fn folders_and_files_of_others() {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    let file = folder.path().join("x.db");
    let below = folder.path().join("below/x.db");
    let as_other = |line: String| {
        let mut command = command(&line, Path::new("/"));
        if is_root() {
            command.uid(65534).gid(65534);
        }
        command
    };
    for path in [&file, &below] {
        let path = path.to_str().unwrap();
        let migrate = as_other(format!("migrate --database-url sqlite://{path}"));
        refused(migrate, 1, &[path, "Permission denied", "Run as a user"]);
        let serve = as_other(format!("serve --database-url sqlite://{path}"));
        refused(
            serve,
            1,
            &[path, "Permission denied", "Run as the user", "--jwt-secret"],
        );
    }
    let serve = "serve --listen 127.0.0.1:1 --jwt-secret";
    let unprivileged = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if unprivileged.is_ok_and(|first| first.trim() != "0") {
        let elsewhere = TempDir::new().unwrap();
        fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o777)).unwrap();
        let url = format!("sqlite://{}/x.db", elsewhere.path().display());
        let serve = as_other(format!(
            "{serve} {} --database-url {url}",
            SECRET.replace(' ', "_")
        ));
        refused(
            serve,
            1,
            &["127.0.0.1:1", "Permission denied", "CAP_NET_BIND_SERVICE"],
        );
    }
}

/// A full disk and a read-only one.
#[test]
#[ignore = "needs root on Linux, to mount file systems"]
fn disks() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let mount = |options: &str| {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none", path])
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success())
    };
    assert!(
        is_root() && mount("size=64k"),
        "this test needs to mount a file system: run it as root on Linux"
    );
    let migrate = || {
        command(
            &format!("migrate --database-url sqlite://{path}/x.db"),
            Path::new("/"),
        )
    };
    let umount = || Command::new("umount").arg(path).status().unwrap();
    let full = std::panic::catch_unwind(|| refused(migrate(), 1, &["x.db", "full", "Free space"]));
    umount();
    full.unwrap();
    assert!(mount("ro"));
    let read_only = std::panic::catch_unwind(|| {
        refused(migrate(), 1, &["x.db", "Read-only file system", "Mount"]);
    });
    umount();
    read_only.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn what_postgres_refuses() {
    let storage = TestDatabase::postgres().await;
    let (server, name) = storage.url.rsplit_once('/').unwrap();
    let (_, host) = server.rsplit_once('@').unwrap();
    let role = format!("role_{name}");
    rows(
        &storage.url,
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'"),
    )
    .await;
    let folder = TempDir::new().unwrap();
    let migrate = |url: String, expected: &[&str]| {
        let mut migrate = command("migrate", folder.path());
        migrate.env("CONNECTORS_DATABASE_URL", url);
        std::panic::catch_unwind(AssertUnwindSafe(|| refused(migrate, 1, expected)))
    };
    let at = format!("{host}/{name}");
    let as_role = format!("postgres://{role}:hunter2@{at}");
    let mut cases = vec![
        migrate(
            format!("{}x", storage.url),
            &[&at, "does not exist", "createdb"],
        ),
        migrate(
            format!("postgres://nobody:hunter2@{at}"),
            &[&at, "nobody", "Correct user and password", "%25"],
        ),
        migrate(
            format!("{}?sslmode=verify-full", storage.url),
            &[&at, "certificate", "sslrootcert"],
        ),
        // The role may not create tables.
        migrate(
            as_role.clone(),
            &["cannot migrate", &at, "permission denied", "grant"],
        ),
    ];
    rows(
        &storage.url,
        &format!("ALTER DATABASE {name} CONNECTION LIMIT 0"),
    )
    .await;
    cases.push(migrate(
        as_role.clone(),
        &[&at, "too many connections", "max_connections"],
    ));
    rows(
        &storage.url,
        &format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
    )
    .await;
    cases.push(migrate(as_role, &[&at, "permission denied", "grant"]));
    rows(&storage.url, &format!("DROP ROLE {role}")).await;
    for case in cases {
        case.unwrap();
    }
}

/// With a closed output there is no panic, and no success if the output was the purpose.
#[test]
fn a_closed_output() {
    let folder = TempDir::new().unwrap();
    for line in [
        "schema",
        "token --user ann --jwt-secret 01234567890123456789012345678901",
        "export",
        "check-database",
        "backup x.db",
    ] {
        run(command("migrate", folder.path())).ok();
        let mut closed = command(line, folder.path());
        let mut child = closed
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("panic"), "{line}: {told}");
        // An export of nothing writes nothing.
        if line != "export" {
            assert!(
                told.contains("cannot write to standard output"),
                "{line}: {told}"
            );
            assert_eq!(output.status.code(), Some(1), "{line}");
        }
    }
    // Errors do not need a reader either.
    let mut closed = command(
        "migrate --database-url sqlite:///proc/x/x.db",
        folder.path(),
    );
    let mut child = closed
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
