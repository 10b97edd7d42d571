//! The sources of settings: flags, variables, a configuration file and files of secrets.

mod files;
mod printed;

use std::{collections::BTreeMap, fs, process::Command as Program};

use clap::Command;
use personal_connectors::config;
use tempfile::TempDir;

use crate::support::{
    harness::TestDatabase,
    process::{SECRET, Serving, program, run},
};

/// Returns the program in a folder, with an empty environment.
fn bare(folder: &TempDir, arguments: &[&str]) -> Program {
    let mut command = program(arguments);
    command.env_clear().current_dir(folder);
    command
}

/// Returns the settings that `config --print` writes, each with its source.
fn printed(mut command: Program) -> BTreeMap<String, (String, String)> {
    command.args(["--print"]);
    let printed = run(command).ok();
    let lines = printed.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (setting, source) = line.rsplit_once(" # ")?;
            let (name, value) = setting.split_once(" = ")?;
            Some((name.to_owned(), (value.to_owned(), source.to_owned())))
        })
        .collect()
}

fn variables() -> Vec<String> {
    let root = config::command();
    let all = std::iter::once(&root).chain(root.get_subcommands());
    let flags = all.flat_map(Command::get_arguments);
    let variables = flags.filter_map(|flag| flag.get_env());
    variables
        .map(|name| name.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_empty_variable_is_none() {
    let folder = TempDir::new().unwrap();
    let expected = run(bare(&folder, &["config", "--print"])).ok();
    let mut all = bare(&folder, &["config", "--print"]);
    all.envs(variables().into_iter().map(|name| (name, "")));
    all.env("DATABASE_URL", "");
    let done = run(all);
    assert_eq!(done.err, "");
    assert_eq!(done.ok(), expected);
    // A list without items is empty too.
    let mut commas = bare(&folder, &["config", "--print"]);
    commas.env("CONNECTORS_MCP_ALLOW", " , ");
    assert_eq!(run(commas).ok(), expected);
    // Blanks around a value do not count, except in a path or a secret.
    let mut blanks = bare(&folder, &["config"]);
    blanks.env("CONNECTORS_MAX_TOKENS", " 5 ");
    blanks.env("CONNECTORS_MONITOR", "false\n");
    blanks.env("CONNECTORS_OTLP_ENDPOINT", " http://127.0.0.1:4318 ");
    blanks.env("CONNECTORS_CATALOG", " x.json ");
    let printed = printed(blanks);
    for (name, value) in [
        ("max-tokens", "5"),
        ("monitor", "false"),
        ("otlp-endpoint", "\"http://127.0.0.1:4318\""),
        ("catalog", "\" x.json \""),
    ] {
        assert_eq!(printed[name].0, value, "{name}");
    }
    // Other values may not consist of blanks.
    let mut blank = bare(&folder, &["config"]);
    blank.env("CONNECTORS_REQUEST_TIMEOUT", " ");
    run(blank).failed(2);
    // An empty flag is an error.
    run(bare(&folder, &["config", "--database-url="])).failed(2);
}

#[test]
fn lists_take_blanks_after_commas() {
    let folder = TempDir::new().unwrap();
    let list = "mcp:8000, 10.0.0.0/8 ,[::1]:80";
    let expected = r#"["mcp:8000", "10.0.0.0/8", "[::1]:80"]"#;
    let file = folder.path().join("one.toml");
    fs::write(&file, format!("mcp-allow = {list:?}")).unwrap();
    fs::write(
        folder.path().join("array.toml"),
        format!("mcp-allow = {expected}"),
    )
    .unwrap();
    let mut variable = bare(&folder, &["config"]);
    variable.env("CONNECTORS_MCP_ALLOW", format!("{list},"));
    let assigned = format!("--mcp-allow={list}");
    for command in [
        variable,
        bare(&folder, &["config", "--mcp-allow", list]),
        bare(&folder, &["config", &assigned]),
        bare(
            &folder,
            &[
                "config",
                "--mcp-allow",
                "mcp:8000",
                "--mcp-allow",
                "10.0.0.0/8,[::1]:80",
            ],
        ),
        bare(&folder, &["config", "--config", "one.toml"]),
        bare(&folder, &["config", "--config", "array.toml"]),
    ] {
        assert_eq!(printed(command)["mcp-allow"].0, expected);
    }
    let numbers = bare(&folder, &["config", "--mcp-ports", "80, 443"]);
    assert_eq!(printed(numbers)["mcp-ports"].0, "[80, 443]");
}

#[test]
fn unknown_variables_are_told() {
    let folder = TempDir::new().unwrap();
    let told = |variables: &[(&str, &str)]| {
        let mut command = bare(&folder, &["config"]);
        command.envs(variables.iter().copied());
        let done = run(command);
        let err = done.err.clone();
        done.ok();
        err
    };
    for (name, nearest) in [
        (
            "CONNECTORS_DATABASE_ULR",
            ". Did you mean CONNECTORS_DATABASE_URL?",
        ),
        (
            "CONNECTORS_LISTEN_ADDR",
            ". Did you mean CONNECTORS_LISTEN?",
        ),
        ("CONNECTORS_COLOUR", "no effect\n"),
        ("CONNECTORS_PRINT", "no effect"),
    ] {
        let told = told(&[(name, "x")]);
        let expected = format!("warning: the variable {name} is not a setting, and has no effect");
        assert!(
            told.starts_with(&expected) && told.contains(nearest),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    // Variables of other commands, of other programs, and of a Kubernetes service named "connectors".
    assert_eq!(
        told(&[("CONNECTORS_DRY_RUN", "true"), ("CONNECTOR_LISTEN", "x")]),
        ""
    );
    let of_kubernetes = [
        ("CONNECTORS_SERVICE_HOST", "10.0.0.1"),
        ("CONNECTORS_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ];
    assert_eq!(told(&of_kubernetes), "");
    assert_ne!(told(&of_kubernetes[1..]), "");
}

#[test]
fn a_server_logs_its_warnings() {
    let storage = TestDatabase::sqlite();
    let mut command = crate::support::process::program_on(&storage, &["--log-format", "json"]);
    command.env("CONNECTORS_LISTN", "x");
    let done = Serving::start(command).stop();
    let line = done
        .err
        .lines()
        .find(|line| line.contains("CONNECTORS_LISTN"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["level"], "WARN", "{line}");
}

#[test]
fn a_stronger_source_counts() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("connectors.toml"),
        "# of the file\nlisten = \"127.0.0.1:1\"\nmax-tokens = 0x10\nmonitor = false\nread-only = true\nlog = ''\n",
    )
    .unwrap();
    let mut command = bare(&folder, &["config", "--max-tokens", "7"]);
    command.env("CONNECTORS_CONFIG", "connectors.toml");
    command.env("CONNECTORS_LISTEN", "127.0.0.1:2");
    command.env("CONNECTORS_MAX_TOKENS", "8");
    command.env("CONNECTORS_READ_ONLY", "off");
    let printed_ = printed(command);
    for (name, value, source) in [
        ("listen", "[\"127.0.0.1:2\"]", "CONNECTORS_LISTEN"),
        ("max-tokens", "7", "--max-tokens"),
        ("monitor", "false", "connectors.toml:4"),
        ("read-only", "false", "CONNECTORS_READ_ONLY"),
        ("log", "\"info\"", "default"),
        ("max-depth", "20", "default"),
    ] {
        let (value, source) = (value.to_owned(), source.to_owned());
        assert_eq!(printed_[name], (value, source), "{name}");
    }
    // A boolean flag without a value is true, and can be reverted.
    let switched = |flag| {
        printed(bare(&folder, &["config", flag]))["read-only"]
            .0
            .clone()
    };
    assert_eq!(switched("--read-only"), "true");
    assert_eq!(switched("--read-only=false"), "false");
    let told = run(bare(&folder, &["config", "--read-only", "false"])).failed(2);
    assert!(
        told.contains("write --read-only=false, with an equals sign"),
        "{told}"
    );
    // TOML's octal form is that of permissions.
    let file = folder.path().join("connectors.toml");
    for (literal, printed_) in [
        ("660", "660"),
        ("0o660", "\"0o660\""),
        ("'0660'", "\"0660\""),
    ] {
        fs::write(&file, format!("listen-mode = {literal}\nmax-depth = 0o20")).unwrap();
        let printed = printed(bare(&folder, &["config", "--config", "connectors.toml"]));
        assert_eq!(printed["listen-mode"].0, printed_);
        assert_eq!(printed["max-depth"].0, "16");
    }
}

/// A secret and a JWKS exclude each other.
#[test]
fn a_stronger_source_replaces_what_it_excludes() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("jwks.toml"),
        "jwks = 'keys.json'\njwt-issuer = 'i'\njwt-audience = 'a'\n",
    )
    .unwrap();
    let with = |arguments: &[&str], secret: Option<&str>| {
        let mut command = bare(&folder, arguments);
        command.env("CONNECTORS_CONFIG", "jwks.toml");
        command.envs(secret.map(|secret| ("CONNECTORS_JWT_SECRET", secret)));
        command
    };
    let text = run(with(&["config", "--print"], Some(SECRET))).ok();
    assert!(text.contains("# jwks is not set\n"), "{text}");
    assert!(
        text.contains("# jwt-secret = \"***\" # CONNECTORS_JWT_SECRET, hidden here\n"),
        "{text}"
    );
    let text = run(with(&["config", "--print"], None)).ok();
    assert!(
        text.contains("jwks = \"keys.json\" # jwks.toml:1\n"),
        "{text}"
    );
    let secret = format!("--jwt-secret={SECRET}");
    let token = run(with(&["token", "--user", "ann", &secret], None)).ok();
    assert_eq!(token.matches('.').count(), 2);

    // Both in one source are refused.
    let mut both = with(&["config"], Some(SECRET));
    both.env("CONNECTORS_JWKS", "keys.json");
    let told = run(both).failed(2);
    for part in [
        "cannot be used with",
        "(CONNECTORS_JWT_SECRET)",
        "(CONNECTORS_JWKS)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // A key of the file may be the setting that one from another source requires.
    let mut issuer = with(&["config"], None);
    issuer.env("CONNECTORS_JWKS", "other.json");
    run(issuer).ok();
    fs::write(folder.path().join("jwks.toml"), "jwks = 'keys.json'\n").unwrap();
    let told = run(with(&["config"], None)).failed(2);
    assert!(told.contains("--jwt-issuer <ISSUER>"), "{told}");
}
