//! Configuration files, and files of secrets.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command as Program,
};

use serde_json::json;
use tempfile::TempDir;

use super::bare;
use crate::support::{
    harness::TestDatabase,
    process::{SECRET, Serving, program, run},
};

const WHO: &str = "{ viewer { userId } }";

/// Configuration files, and parts of their errors.
const WRONG_FILES: &[(&str, &str)] = &[
    ("\nlisten 5\n", "wrong.toml:2: not TOML: "),
    (
        "listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'\n",
        "wrong.toml:2: not TOML: duplicate key",
    ),
    ("jwt-secret = \"hunter2", "wrong.toml:1: not TOML: "),
    (
        "listen = 127.0.0.1:8080 # all\n",
        ". Put the value in quotes\n",
    ),
    (
        "listen-mode = 0x1b0\n",
        "expected permissions in octal, such as 600",
    ),
    (
        "\nca-file = ['a.pem', '/x,y.pem']\n",
        "wrong.toml:2: ca-file has an item with a comma: /x,y.pem",
    ),
    (
        "CONNECTORS_LISTEN = '127.0.0.1:1'\n",
        "wrong.toml:1: CONNECTORS_LISTEN is not a setting. Did you mean listen?",
    ),
    (
        "max-tokens = 'many'\n",
        "'--max-tokens <N> (wrong.toml:1)': expected a whole number",
    ),
    (
        "jwt-secret-file = 'hunter2'\njwt-secret = 'x'\n",
        "--jwt-secret-file (wrong.toml:1) cannot be used with --jwt-secret (wrong.toml:2)",
    ),
    (
        "\n\nmax_tokens = 5\n",
        "wrong.toml:3: max_tokens is not a setting. Did you mean max-tokens?",
    ),
    ("colour = 5\n", "wrong.toml:1: colour is not a setting\n"),
    (
        "[limits]\nmax-tokens = 5\n",
        "wrong.toml:1: limits is a table, and settings have none",
    ),
    (
        "config = 'other.toml'\n",
        "wrong.toml:1: a configuration file cannot name another one",
    ),
    (
        "listen = 2026-11-29\n",
        "wrong.toml:1: listen must be a text, a number, true, false",
    ),
    (
        "request-timeout = ['1s']\n",
        "wrong.toml:1: request-timeout has one value, and not an array",
    ),
    (
        "mcp-ports = [[80]]\n",
        "wrong.toml:1: mcp-ports must be a text",
    ),
    (
        "\nmcp-ports = [80, 0]\n",
        "'--mcp-ports <PORT> (wrong.toml:2)': expected a port from 1 to 65535",
    ),
    (
        "request-timeout = '5s'\ninspection-timeout = '5s'",
        "--inspection-timeout is set by wrong.toml:2",
    ),
    (
        "\njwt-secret = 'hunter2'\n",
        "'***' for '--jwt-secret <SECRET> (wrong.toml:2)': the secret must be at least 32 bytes",
    ),
];

#[test]
fn wrong_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wrong.toml");
    let told = |command: Program| {
        let done = run(command);
        assert_eq!(done.out, "");
        let told = done.failed(2);
        assert!(
            told.starts_with("error: ") && !told.contains("hunter2"),
            "{told}"
        );
        told
    };
    for &(text, expected) in WRONG_FILES {
        fs::write(&path, text).unwrap();
        for words in [&["serve"][..], &["config"], &["config", "--print"]] {
            let mut command = bare(&folder, words);
            command.args(["--config", "wrong.toml"]);
            let told = told(command);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
    let told = |path: &str| told(bare(&folder, &["config", "--config", path]));
    assert!(told("none.toml").contains("configuration file none.toml (--config): No such file"));
    assert!(told(".").contains("directory"));
    assert!(told("/dev/zero").contains("larger than"));
    fs::write(&path, [0xff]).unwrap();
    assert!(told("wrong.toml").contains("UTF-8"));
    // The file may precede the command.
    let told = told("none.toml");
    let before = run(bare(&folder, &["--config", "none.toml", "config"])).failed(2);
    assert_eq!(before, told);
    run(bare(&folder, &["--config=none.toml", "config"])).failed(2);
    // The file may have settings of other commands. Only those of this command are checked.
    fs::write(
        &path,
        "listen = 'rubbish'\nexpires-in = '2h'\ndatabase-url = 'sqlite://x.db'\n",
    )
    .unwrap();
    run(bare(&folder, &["migrate", "--config", "wrong.toml"])).ok();
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_from_files() {
    let storage = TestDatabase::sqlite();
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    // In the form of a Kubernetes mount.
    fs::create_dir(at("..2026")).unwrap();
    write(&at("..2026/jwt-secret"), &format!("{SECRET}\n"), 0o440);
    symlink("..2026", at("..data")).unwrap();
    symlink("..data/jwt-secret", at("jwt-secret")).unwrap();
    write(
        &at("database-url"),
        &format!("{}\r\n", storage.served_url()),
        0o400,
    );
    write(
        &at("connectors.toml"),
        "database-url-file = 'database-url'\n",
        0o644,
    );

    let mut serve = program(&["serve", "--config", "connectors.toml"]);
    serve.current_dir(&folder);
    serve.env("CONNECTORS_JWT_SECRET_FILE", at("jwt-secret"));
    let server = Serving::start(serve);
    // The line end does not belong to the secret.
    let token = crate::support::process::token("ann@acme", "connectors:write");
    let who = server.data(&token, WHO, json!({})).await;
    assert_eq!(who["viewer"]["userId"], "ann");
    let done = server.stop();
    assert!(!done.err.contains("every user"), "{}", done.err);

    let given = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = bare(&folder, arguments);
        command.envs(variables.iter().copied());
        run(command)
    };
    // A flag replaces a variable, in either form.
    let flag = ["config", "--print", "--jwt-secret-file", "jwt-secret"];
    let text = given(&flag, &[("CONNECTORS_JWT_SECRET", SECRET)]).ok();
    assert!(
        text.contains("\njwt-secret-file = \"jwt-secret\" # --jwt-secret-file\n"),
        "{text}"
    );
    assert!(
        text.contains("\n# jwt-secret = \"***\" # the file jwt-secret, hidden here\n"),
        "{text}"
    );
    let secret = format!("--jwt-secret={SECRET}");
    given(
        &["config", &secret],
        &[("CONNECTORS_JWT_SECRET_FILE", "none")],
    )
    .ok();
    // Both forms in one source are refused, and so are a file and a JWKS.
    for (variables, expected) in [
        (
            [
                ("CONNECTORS_JWT_SECRET_FILE", "jwt-secret"),
                ("CONNECTORS_JWT_SECRET", SECRET),
            ],
            "--jwt-secret-file (CONNECTORS_JWT_SECRET_FILE) cannot be used with --jwt-secret (CONNECTORS_JWT_SECRET)",
        ),
        (
            [
                ("CONNECTORS_JWT_SECRET_FILE", "jwt-secret"),
                ("CONNECTORS_JWKS", "keys.json"),
            ],
            "'--jwks <FILE|URL> (CONNECTORS_JWKS)' cannot be used with '--jwt-secret-file jwt-secret \
             (CONNECTORS_JWT_SECRET_FILE)'",
        ),
    ] {
        let told = given(&["config"], &variables).failed(2);
        assert!(told.contains(expected) && !told.contains(SECRET), "{told}");
    }

    write(&at("empty"), "\n", 0o400);
    write(&at("short"), "hunter2\n", 0o400);
    fs::write(at("noise"), [0xff; 40]).unwrap();
    for (file, expected) in [
        ("none", "--jwt-secret-file none: No such file"),
        ("empty", "--jwt-secret-file empty: it is empty"),
        ("noise", "--jwt-secret-file noise: it is not text"),
        (
            "short",
            "'--jwt-secret-file short': the secret must be at least 32 bytes",
        ),
    ] {
        let told = given(&["config", "--jwt-secret-file", file], &[]).failed(2);
        assert!(
            told.contains(expected) && !told.contains("hunter2"),
            "{told}"
        );
    }
    let told = given(&["config"], &[("CONNECTORS_JWT_SECRET_FILE", "none")]).failed(2);
    assert!(told.contains("(CONNECTORS_JWT_SECRET_FILE)"), "{told}");
}

#[test]
fn a_secret_that_all_users_can_read_is_told() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("closed"), SECRET, 0o440);
    write(&at("open"), SECRET, 0o444);
    write(&at("open.toml"), &format!("jwt-secret = {SECRET:?}"), 0o604);
    // The value resembles a URL.
    let prod = format!("prod:{SECRET}");
    write(&at("prod.toml"), &format!("jwt-secret = {prod:?}"), 0o604);
    write(
        &at("proxy.toml"),
        "outbound-proxy = 'http://token@proxy:3128'",
        0o604,
    );
    write(&at("plain.toml"), "database-url = 'sqlite://x.db'", 0o644);
    write(
        &at("closed.toml"),
        &format!("jwt-secret = {SECRET:?}"),
        0o640,
    );
    for (flag, file, warns) in [
        ("--jwt-secret-file", "open", true),
        ("--jwt-secret-file", "closed", false),
        ("--config", "open.toml", true),
        ("--config", "prod.toml", true),
        ("--config", "proxy.toml", true),
        ("--config", "plain.toml", false),
        ("--config", "closed.toml", false),
    ] {
        let done = run(bare(&folder, &["config", flag, file]));
        let told = "warning: every user of the system can read the secret";
        assert_eq!(done.err.starts_with(told), warns, "{file}: {}", done.err);
        assert_eq!(done.err.contains("chmod 600"), warns);
        done.ok();
    }
}
