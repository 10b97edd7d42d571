//! The command line: sources of settings, refusals, and exit codes.

use std::{fs, io::Write, net::TcpStream, process::Command as Program};

use clap::{Arg, Command};
use personal_connectors::{config, graphql};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        process::{SECRET, Serving, program, program_on, run},
    },
};

const WHO: &str = "{ viewer { userId organizationId scopes } }";

fn each_flag(each: impl Fn(&str, &Command, &Arg)) {
    let root = config::command();
    let all = std::iter::once(&root).chain(root.get_subcommands());
    for command in all {
        for flag in command.get_arguments() {
            let name = format!("{} {}", command.get_name(), flag.get_id());
            each(&name, command, flag);
        }
    }
}

#[test]
fn every_flag_has_a_variable_a_default_and_a_line_of_help() {
    each_flag(|name, command, flag| {
        assert!(flag.get_help().is_some(), "{name}");
        let Some(long) = flag.get_long() else {
            assert!(
                ["import files", "check ids", "backup file"].contains(&name),
                "{name}"
            );
            return;
        };
        let variable = format!("CONNECTORS_{}", long.replace('-', "_").to_uppercase());
        // `--print` has no variable, because it is not a setting.
        if name == "config print" {
            assert_eq!(flag.get_env(), None);
            return;
        }
        assert_eq!(flag.get_env().unwrap(), &*variable, "{name}");
        // The token's user has no default.
        assert_eq!(flag.is_required_set(), name == "token user", "{name}");
        // A key of a shared file that the command refuses.
        if flag.is_hide_set() {
            assert!(
                ["token jwks", "token jwks_max_age"].contains(&name),
                "{name}"
            );
            return;
        }
        let help = command.clone().render_long_help().to_string();
        for told in [format!("--{long}"), format!("[env: {variable}")] {
            assert!(help.contains(&told), "{name}: {told} in {help}");
        }
    });
}

/// Wrong values of flags, and parts of their errors.
#[rustfmt::skip]
const WRONG: &[(&str, &str, &str)] = &[
    ("--listen", "localhost", "expected an address and a port such as 127.0.0.1:8080"),
    ("--listen", "127.0.0.1:99999", "expected an address and a port such as 127.0.0.1:8080"),
    ("--listen", "http://localhost:8080", "a Unix socket such as unix:/run/connectors.sock"),
    ("--listen", "unix:x.sock", "with an absolute path"),
    ("--metrics-listen", "9464", "expected an address and a port such as 127.0.0.1:8080"),
    ("--listen-mode", "u+rw", "expected permissions in octal, such as 600, 660 or 666"),
    ("--listen-mode", "0x1b0", "expected permissions in octal, such as 600, 660 or 666"),
    ("--listen-mode", "1777", "expected permissions in octal, such as 600, 660 or 666"),
    ("--database-url", "mysql://host/db", "expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE"),
    ("--database-url", "", "expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE"),
    ("--database-url", "sqlite::memory:", "expected the path of a file after sqlite://"),
    ("--database-url", "sqlite://", "expected the path of a file after sqlite://"),
    ("--database-connections", "1", "1 is not in 2..=1000"),
    ("--database-wait", "5", "expected a time such as 500ms, 10s or 1h"),
    ("--database-wait", "0s", "expected a time such as 500ms, 10s or 1h"),
    ("--catalog", "nowhere.json", "--catalog nowhere.json: No such file"),
    ("--jwt-secret", "31 bytes, which is one too few.", "must be at least 32 bytes long"),
    ("--jwks", "https://issuer.example/jwks", "--jwt-issuer <ISSUER>"),
    ("--jwt-organization-claim", "sub", "expected the name of a claim with no meaning of its own"),
    ("--jwt-user-claim", "exp", "expected the name of a claim with no meaning of its own"),
    ("--jwt-scope-claim", "scope,sub", "expected the name of a claim with no meaning of its own"),
    ("--jwt-user-claim", "org_id", "--jwt-user-claim and --jwt-organization-claim both name the claim org_id"),
    ("--jwt-scope-claim", "scope,org", "--jwt-organization-claim and --jwt-scope-claim both name the claim org"),
    ("--max-token-bytes", "24577", "24577 is not in 1024..=24576"),
    ("--cors-origin", "https://app.example.com/", "expected an origin, without path and user: https://app.example.com"),
    ("--cors-origin", "app.example.com", "expected * or an origin such as https://app.example.com"),
    ("--cors-header", "X Client", "expected the name of a header such as X-Client, or *"),
    ("--default-organization", "", "must not be blank"),
    ("--anonymous-read", "maybe", "expected true or false"),
    ("--otlp-endpoint", "", "expected an http or https URL"),
    ("--otlp-endpoint", "127.0.0.1:4318", "expected an http or https URL"),
    ("--otlp-endpoint", "grpc://127.0.0.1:4317", "expected an http or https URL"),
    ("--otlp-endpoint", "http://ann@127.0.0.1:4318", "without user, query, fragment and /v1/traces"),
    ("--otlp-endpoint", "http://127.0.0.1:4318?key=1", "without user, query, fragment and /v1/traces"),
    ("--trusted-documents", "nowhere.json", "--trusted-documents nowhere.json: No such file"),
    ("--mcp-allow", "http://mcp:8000", "write mcp:8000"),
    ("--mcp-allow", "10.0.0.0/33", "expected addresses such as 10.0.0.0/8"),
    ("--mcp-ports", "0", "expected a port from 1 to 65535"),
    ("--mcp-schemes", "ftp", "expected http, https, ws or wss"),
    ("--inspection-timeout", "10s", "expected a time shorter than --request-timeout"),
    ("--max-inspections", "0", "0 is not in 1..=1000"),
    ("--inspection-rate", "-1", "-1 is not in 0..=1000000"),
    ("--monitor", "often", "expected true or false"),
    ("--check-interval", "500ms", "expected a time of a second at least"),
    ("--check-timeout", "0s", "expected a time such as 500ms, 10s or 1h"),
    ("--max-checks", "0", "0 is not in 1..=1000"),
    ("--max-checks-per-host", "1001", "1001 is not in 1..=1000"),
    ("--check-history", "0", "0 is not in 1..=10000"),
    ("--max-per-user", "-1", "expected a whole number, without sign and unit"),
    ("--max-body-bytes", "1023", "1023 is not in 1024..=1073741824"),
    ("--event-retention", "0d", "expected a time such as 500ms, 10s or 1h"),
    ("--request-timeout", "soon", "expected a time such as 500ms, 10s or 1h"),
    ("--max-tokens", "many", "expected a whole number, without sign and unit"),
    ("--answer-cache-mb", "1000001", "1000001 is not in 0..=1000000"),
    ("--log", "a=b=c", "expected a level or module=level"),
    ("--log", "debugg", "debugg is no level: expected error, warn, info, debug, trace, off, or debugg=LEVEL for a \
                         module. Did you mean debug?"),
    ("--log", "info, hyper", "hyper=LEVEL for a module"),
];

#[test]
fn wrong_values_are_refused_with_what_was_expected() {
    let folder = TempDir::new().unwrap();
    let each = |flag: &str, value: &str, expected: &str, mut command: Program| {
        // A missing file has another exit code than a wrong setting.
        let code = if expected.contains("No such file") {
            1
        } else {
            2
        };
        // The value itself is wrong, or requires another setting.
        if flag != "--database-url" {
            command.env("CONNECTORS_DATABASE_URL", "sqlite://connectors.db");
        }
        command.current_dir(&folder);
        let refused = run(command);
        let told = format!("{flag} {value}: {}", refused.err);
        assert_eq!(refused.code, Some(code), "{told}");
        assert!(refused.err.contains(expected), "{told}");
        assert!(refused.err.contains(flag), "{told}");
        assert_eq!(refused.out, "", "{told}");
    };
    for &(flag, value, expected) in WRONG {
        let assigned = format!("{flag}={value}");
        each(flag, value, expected, program(&["serve", &assigned]));
        each(flag, value, expected, program(&[&assigned]));
        // An empty variable counts as unset.
        if value.is_empty() {
            continue;
        }
        let variable = flag[2..].replace('-', "_").to_uppercase();
        let variable = format!("CONNECTORS_{variable}");
        let mut by_variable = program(&["serve"]);
        by_variable.env(&variable, value);
        each(flag, value, expected, by_variable);
        let file = folder.path().join("settings.toml");
        fs::write(&file, format!("\n{} = {value:?}\n", &flag[2..])).unwrap();
        let by_file = || {
            let mut command = program(&["serve", "--config", "settings.toml"]);
            command.env_remove(&variable);
            command
        };
        each(flag, value, expected, by_file());
        // The error also names the source, unless another setting is missing or a file is wrong.
        if expected.contains("<ISSUER>") || expected.contains("No such file") {
            continue;
        }
        let mut by_variable = program(&["config"]);
        by_variable.env(&variable, value);
        each(flag, value, &variable, by_variable);
        let mut by_file = by_file();
        by_file.current_dir(&folder);
        let told = run(by_file).failed(2);
        assert!(told.contains("settings.toml:2"), "{flag}: {told}");
    }
}

#[test]
fn a_setting_of_serving_does_not_hinder_the_commands() {
    let storage = TestDatabase::sqlite();
    let mut schema = program_on(&storage, &["schema"]);
    schema.env("CONNECTORS_JWT_ISSUER", "https://issuer.example");
    assert_eq!(run(schema).ok(), graphql::sdl());
    run(program_on(&storage, &["migrate"])).ok();
    // No command that moves connectors needs keys.
    let mut export = program(&["export", "--database-url", &storage.url]);
    export.env("CONNECTORS_JWKS", "https://issuer.example/jwks");
    assert_eq!(run(export).ok(), "");
}

/// A flag overrides the variable, which overrides the default. Other programs' variable has no effect.
#[test]
fn where_the_database_is() {
    let folder = TempDir::new().unwrap();
    let (ours, common) = (
        ("CONNECTORS_DATABASE_URL", "sqlite://ours.db"),
        ("DATABASE_URL", "sqlite://common.db"),
    );
    let given = |arguments: &[&str], variables: &[(&str, &str)], file: &str| {
        let mut command = program(arguments);
        command.current_dir(&folder).envs(variables.iter().copied());
        let done = run(command);
        let path = folder.path().join(file);
        let named = format!("{} (a new file)", path.display());
        assert_eq!(done.database, Some(named), "{}", done.err);
        let note = "DATABASE_URL is set, and not read";
        let is_ignored = variables == [common] && arguments == ["migrate"];
        assert_eq!(done.err.contains(note), is_ignored, "{}", done.err);
        done.ok();
        assert!(path.exists(), "{file}");
        fs::remove_file(path).unwrap();
    };
    let flag = ["migrate", "--database-url", "sqlite://flag.db"];
    given(&flag, &[ours, common], "flag.db");
    given(&["migrate"], &[ours, common], "ours.db");
    given(&flag, &[common], "flag.db");
    given(&["migrate"], &[common], "data/connectors.db");
    given(&["migrate"], &[("DATABASE_URL", "")], "data/connectors.db");
    given(&["migrate"], &[], "data/connectors.db");
}

on_both_databases! {
    async fn migrates(storage: TestDatabase) {
        let applied = "SELECT COUNT(*) AS n FROM seaql_migrations";
        let said = run(program_on(&storage, &["migrate"]));
        assert!(said.err.contains("migrated the database"), "{}", said.err);
        assert_eq!(said.ok(), "");
        let once = rows(&storage.url, applied).await;
        assert_ne!(once, "0\n");
        let again = run(program_on(&storage, &["migrate"]));
        assert!(
            !again.err.contains("migrated the database"),
            "{}",
            again.err
        );
        assert_eq!(rows(&storage.url, applied).await, once);
        run(program_on(&storage, &["migrate", "--to", "000014"])).ok();
        assert_eq!(rows(&storage.url, applied).await, "14\n");
        run(program_on(&storage, &["migrate"])).ok();
        // Only serving loads the catalogue.
        assert_eq!(
            rows(&storage.url, "SELECT state FROM catalog_state").await,
            "0\n"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_with_a_word_and_without_until_it_is_told_to_stop() {
    let storage = TestDatabase::sqlite();
    for (words, signal) in [(&[][..], "TERM"), (&["serve"], "TERM"), (&["serve"], "INT")] {
        let mut command = program_on(&storage, words);
        command.env("CONNECTORS_REQUEST_TIMEOUT", "1s");
        let mut server = Serving::start(command);
        assert!(server.url.starts_with("http://127.0.0.1:"));
        assert_eq!(
            server.data("", WHO, json!({})).await["viewer"]["userId"],
            Value::Null
        );
        // None of these delays the end: a reused connection, one without data, and one with half a request.
        let address = server.url["http://".len()..]
            .trim_end_matches("/graphql")
            .to_owned();
        let idle = TcpStream::connect(&address).unwrap();
        let mut slow = TcpStream::connect(&address).unwrap();
        slow.write_all(b"POST /graphql HTTP/1.1\r\nHost: x\r\n")
            .unwrap();
        server.process.signal(signal);
        let done = server.process.wait();
        drop((idle, slow));
        let source = "For a token, with the same CONNECTORS_JWT_SECRET: ";
        let hint = done.out.lines().find_map(|line| line.strip_prefix(source));
        let hint = hint.unwrap_or_else(|| panic!("{}", done.out)).to_owned();
        done.ok();
        let mut shell = Program::new("sh");
        shell
            .args(["-c", &hint])
            .env("CONNECTORS_JWT_SECRET", SECRET);
        let token = run(shell).ok();
        let server = Serving::on(&storage);
        let who = server.data(token.trim(), WHO, json!({})).await;
        assert_eq!(
            who["viewer"],
            json!({ "userId": "you", "organizationId": "yours", "scopes": ["connectors:write"] })
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn makes_tokens() {
    let storage = TestDatabase::sqlite();
    let line = [
        "token",
        "--user",
        "ann",
        "--organization",
        "acme",
        "--expires-in",
        "1h",
    ];
    let scopes = [
        "--scope",
        "connectors:write connectors:admin",
        "--scope",
        "catalog:admin",
    ];
    let mut command = program_on(&storage, &line);
    command.args(scopes);
    let done = run(command);
    assert_eq!((&*done.err, &done.database), ("", &None));
    let printed = done.ok();
    let token = printed.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace), "{token}");

    let server = Serving::on(&storage);
    let who = server.data(token, WHO, json!({})).await;
    let scopes = ["catalog:admin", "connectors:admin", "connectors:write"];
    assert_eq!(
        who["viewer"],
        json!({ "userId": "ann", "organizationId": "acme", "scopes": scopes })
    );
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token)
        .unwrap()
        .claims;
    let times = ["iat", "exp"].map(|claim| claims[claim].as_i64().unwrap());
    assert_eq!(times[1] - times[0], 3600);

    let mut other = program_on(&storage, &line);
    other.env(
        "CONNECTORS_JWT_SECRET",
        "another secret, which the server has not",
    );
    let refused = server
        .ask(run(other).ok().trim(), WHO, json!({}))
        .await
        .unwrap();
    assert_eq!(
        refused["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );

    for (scope, unknown) in [
        ("connectors:read", "there is no scope connectors:read"),
        ("connectors:write,write", "there is no scope write"),
    ] {
        let mut wrong = program_on(&storage, &line);
        wrong.args(["--scope", scope]);
        let told = run(wrong).failed(2);
        for part in [
            "--scope",
            unknown,
            "connectors:write, connectors:admin, catalog:admin",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    let mut commas = program_on(&storage, &line);
    commas.args(["--scope", "connectors:write, catalog:admin"]);
    let who = server.data(run(commas).ok().trim(), WHO, json!({})).await;
    let scopes = ["catalog:admin", "connectors:write"];
    assert_eq!(who["viewer"]["scopes"], json!(scopes));

    let told = run(program_on(&storage, &["token"])).failed(2);
    assert!(told.contains("--user <USER>"), "{told}");
    for lifetime in ["0s", "500ms", "tomorrow"] {
        let told = run(program_on(
            &storage,
            &["token", "--user=ann", "--expires-in", lifetime],
        ));
        let told = told.failed(2);
        assert!(told.contains("--expires-in <TIME>"), "{told}");
    }
}
