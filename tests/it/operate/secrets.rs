//! Secrets: created and stored by the first start, never printed and never logged.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        harness::TestDatabase,
        process::{Process, SECRET, Serving, program, program_on, run, token},
    },
};

const WHO: &str = "{ viewer { userId } }";

#[test]
fn secrets_are_never_printed() {
    const PASSWORD: &str = "hunter2";
    let storage = TestDatabase::sqlite();
    let url = |rest: &str| format!("postgres://ann:{PASSWORD}@{rest}");
    let short = format!("--jwt-secret={PASSWORD}");
    let nobody = url("127.0.0.1:1/db");
    let lines: &[&[&str]] = &[
        &[&short],
        &["serve", &short],
        &["token", "--user", "ann", &short],
        &["token", &short],
        &["serve", &short, &short],
        &["serve", &short, "--jwks", "keys.json"],
        &["serve", "--database-url", &nobody, "--database-wait", "1s"],
        &[
            "migrate",
            "--database-url",
            &nobody,
            "--database-wait",
            "1s",
        ],
        &["export", "--database-url", &url("127.0.0.1:port/db")],
        &["export", "--database-url", &url("[::1/db")],
        &[
            "export",
            "--database-url",
            &format!("mysql://ann:{PASSWORD}@host/db"),
        ],
        &[
            "export",
            "--database-url",
            &format!("sqlite://nowhere?password={PASSWORD}"),
        ],
        &[
            "export",
            "--database-url",
            &nobody,
            "--database-url",
            &nobody,
        ],
        &[
            "serve",
            "--jwks",
            &format!("https://ann:{PASSWORD}@host/"),
            "--jwt-issuer=i",
            "--jwt-audience=a",
        ],
    ];
    for line in lines {
        let mut command = program(line);
        command
            .env("CONNECTORS_DATABASE_URL", &storage.url)
            .env("RUST_BACKTRACE", "1");
        let done = run(command);
        let told = done.out + &done.err;
        assert!(!told.contains(PASSWORD), "{line:?}: {told}");
        assert!(matches!(done.code, Some(1 | 2)), "{line:?}: {told}");
        assert!(told.contains("error: "), "{line:?}: {told}");
    }
    for command in ["serve", "migrate", "import", "export", "token"] {
        for help in ["--help", "-h"] {
            let mut command = program(&[command, help]);
            command
                .env(
                    "CONNECTORS_JWT_SECRET",
                    format!("{PASSWORD} and enough more of it"),
                )
                .env("CONNECTORS_DATABASE_URL", url("host/db"))
                .env("CONNECTORS_JWKS", url("host/"));
            let help = run(command).ok();
            assert!(!help.contains(PASSWORD), "{help}");
        }
    }
}

on_both_databases! {
    async fn no_secret_is_logged(storage: TestDatabase) {
        const PRIVATE: &str = "something that nobody else must read";
        // A trusted role needs no password.
        let url = storage.url.replacen("postgres@", "postgres:hunter2@", 1);
        let mut command = program_on(&storage, &["--log", "trace"]);
        command.env("CONNECTORS_DATABASE_URL", &url);
        let server = Serving::start(command);
        let ann = token("ann@acme", "connectors:write");
        let create = "mutation($input: CreateCustomConnectorInput!) {
            createCustomConnector(input: $input) { personalConnector { id } userErrors { message } }
        }";
        let input = json!({
            "name": "Wiki", "serverUrl": "https://wiki.example.com/mcp", "metadata": { "key": PRIVATE },
        });
        let made = server.data(&ann, create, json!({ "input": input })).await;
        assert_eq!(made["createCustomConnector"]["userErrors"], json!([]));
        let (start, signature) = ann.rsplit_once('.').unwrap();
        let forged = format!("{start}.{}", signature.chars().rev().collect::<String>());
        let refused = server.ask(&forged, WHO, json!({})).await.unwrap();
        assert_eq!(
            refused["errors"][0]["extensions"]["code"],
            "UNAUTHENTICATED"
        );
        let done = server.stop();
        // The log is on, and has both requests.
        assert_eq!(done.err.matches("access").count(), 2, "{}", done.err);
        let payload = start.rsplit_once('.').unwrap().1;
        for secret in [payload, signature, SECRET, PRIVATE, "hunter2"] {
            for told in [&done.out, &done.err] {
                assert!(!told.contains(secret), "{secret}: {told}");
            }
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_makes_a_secret_and_keeps_it() {
    let folder = TempDir::new().unwrap();
    // The folder `new` does not exist yet.
    let secret = folder.path().join("new/connectors.db.jwt-secret");
    let url = format!("sqlite://{}/new/connectors.db", folder.path().display());
    let on = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.env("CONNECTORS_DATABASE_URL", &url);
        command
    };
    let mint = || run(on(&["token", "--user", "ann", "--organization", "acme"]));

    // All concurrent first starts use the same secret.
    let firsts = std::array::from_fn::<_, 4, _>(|_| {
        Process::spawn(on(&[]).env("CONNECTORS_LISTEN", "127.0.0.1:0"))
    });
    let servers = firsts.map(Serving::up);
    assert_eq!(mode(&secret), 0o600);
    let kept = fs::read(&secret).unwrap();
    let token = mint().ok();
    for server in servers {
        let who = server.data(token.trim(), WHO, json!({})).await;
        assert_eq!(who["viewer"]["userId"], "ann");
        server.stop().ok();
    }
    // A token is still valid after the next start.
    let server = Serving::start(on(&[]));
    assert_eq!(
        server.data(token.trim(), WHO, json!({})).await["viewer"]["userId"],
        "ann"
    );
    server.stop().ok();
    assert_eq!(fs::read(&secret).unwrap(), kept);
    let files = fs::read_dir(secret.parent().unwrap()).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    // No other file remains: a copy of the database file is complete.
    assert_eq!(names, ["connectors.db", "connectors.db.jwt-secret"]);

    for readable in [0o640, 0o604, 0o620] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(readable)).unwrap();
        for refused in [mint(), run(on(&["serve"]))] {
            let told = refused.failed(1);
            let advice = format!("Run chmod 600 {}", secret.display());
            assert!(told.contains(&advice), "{told}");
        }
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(mint().code, Some(0));
    fs::remove_file(&secret).unwrap();
    fs::write(&secret, "").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let told = mint().failed(1);
    assert!(told.contains("must be at least 32 bytes long"), "{told}");
}

/// The command that a start prints makes a token for its server, in any folder, and shows no secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hint_names_the_command_for_this_server() {
    let folder = TempDir::new().unwrap();
    let (at, elsewhere) = (folder.path().join("it's here"), TempDir::new().unwrap());
    fs::create_dir(&at).unwrap();
    let rules = [
        "--jwt-issuer",
        "https://issuer.example",
        "--jwt-audience=us",
    ];
    let claim = ["--jwt-organization-claim", "https://acme.example/org"];
    let mine = ["--jwt-secret", SECRET];
    let lines: [(&[&str], &str); 5] = [
        (&[], "For a token: "),
        (&["--database-url", "sqlite://other.db"], "For a token: "),
        (&[rules.as_slice(), &claim].concat(), "For a token: "),
        (
            &[rules.as_slice(), &mine].concat(),
            "For a token, with the same --jwt-secret: ",
        ),
        (
            &["--read-only=false"],
            "For a token, with the same CONNECTORS_JWT_SECRET: ",
        ),
    ];
    for (flags, start) in lines {
        let mut command = program(flags);
        command.current_dir(&at);
        let is_variable = start.contains("CONNECTORS_JWT_SECRET");
        if is_variable {
            command.env("CONNECTORS_JWT_SECRET", SECRET);
        }
        let server = Serving::start(command);
        let url = server.url.clone();
        // The service prints the command at its start. The test reads it after the end.
        let again = server.stop();
        let line = again.out.lines().find_map(|line| line.strip_prefix(start));
        let hint = line.unwrap_or_else(|| panic!("{}", again.out)).to_owned();
        assert!(!again.out.contains(SECRET), "{}", again.out);
        again.ok();
        let shell = |script: &str| {
            let mut shell = Command::new("sh");
            shell.env_clear().current_dir(&elsewhere);
            shell.args(["-c", script]);
            shell
        };
        let token = if flags.contains(&"--jwt-secret") {
            run(shell(&hint)).failed(2);
            let hint = hint.replacen(
                "--jwt-secret SECRET",
                &format!("--jwt-secret '{SECRET}'"),
                1,
            );
            run(shell(&hint)).ok()
        } else if is_variable {
            // Without the variable it makes no token, because the server would refuse it.
            run(shell(&hint)).failed(2);
            let mut shell = shell(&hint);
            shell.env("CONNECTORS_JWT_SECRET", SECRET);
            run(shell).ok()
        } else {
            run(shell(&hint)).ok()
        };
        let address = url["http://".len()..].trim_end_matches("/graphql");
        let mut command = program(flags);
        command.current_dir(&at).env("CONNECTORS_LISTEN", address);
        if is_variable {
            command.env("CONNECTORS_JWT_SECRET", SECRET);
        }
        let server = Serving::up(Process::spawn(&mut command));
        let who = server.data(token.trim(), WHO, json!({})).await;
        assert_eq!(who["viewer"]["userId"], "you", "{hint}");
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// A token with a secret that no service has would be refused, so the command makes none.
#[test]
fn the_token_command_makes_no_secret() {
    let folder = TempDir::new().unwrap();
    let mut command = program(&["token", "--user", "ann"]);
    command.current_dir(&folder);
    let done = run(command);
    let database = folder.path().join("data/connectors.db");
    assert_eq!(done.database, Some(database.display().to_string()));
    let told = done.failed(1);
    let secret = folder.path().join("data/connectors.db.jwt-secret");
    for part in [
        format!("there is no token secret {}", secret.display()),
        "Start it first, name the service's database with --database-url, or give --jwt-secret"
            .to_owned(),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let help = run(program(&["token", "--help"])).ok();
    assert!(
        help.contains("--jwt-secret-file <FILE>") && !help.contains("--jwks"),
        "{help}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn no_secret_is_made_on_postgres() {
    let storage = TestDatabase::postgres().await;
    let folder = TempDir::new().unwrap();
    for words in [&["serve"][..], &["token", "--user", "ann"]] {
        let mut command = program(words);
        command
            .current_dir(&folder)
            .env("CONNECTORS_DATABASE_URL", &storage.url);
        let told = run(command).failed(2);
        assert!(
            told.contains("on PostgreSQL give --jwt-secret-file"),
            "{told}"
        );
        // Only a secret can make a token.
        assert_eq!(told.contains("--jwks"), words == ["serve"], "{told}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}
