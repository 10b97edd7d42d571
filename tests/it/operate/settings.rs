//! The sources of settings: flags, variables, a configuration file and files of secrets.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command as Program,
};

use clap::Command;
use personal_connectors::config;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    harness::TestDatabase,
    process::{SECRET, Serving, program, run},
};

const WHO: &str = "{ viewer { userId } }";

/// The program in a folder, with nothing in its environment.
fn bare(folder: &TempDir, arguments: &[&str]) -> Program {
    let mut command = program(arguments);
    command.env_clear().current_dir(folder);
    command
}

/// The settings that `config --print` writes, each with its source.
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
    // A list with nothing in it is empty too.
    let mut commas = bare(&folder, &["config", "--print"]);
    commas.env("CONNECTORS_MCP_ALLOW", " , ");
    assert_eq!(run(commas).ok(), expected);
    // Blanks around a value are no part of it, except of a path or a secret.
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
    // Blanks alone are no value of others.
    let mut blank = bare(&folder, &["config"]);
    blank.env("CONNECTORS_REQUEST_TIMEOUT", " ");
    run(blank).failed(2);
    // An empty flag is a mistake.
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
    // Those of other commands, of others' programs, and of a Kubernetes service named "connectors".
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
    // Without a value a flag of truth is true, and it can be taken back.
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
    // TOML's octal is that of permissions.
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
    // A key of the file may be what another source's setting needs.
    let mut issuer = with(&["config"], None);
    issuer.env("CONNECTORS_JWKS", "other.json");
    run(issuer).ok();
    fs::write(folder.path().join("jwks.toml"), "jwks = 'keys.json'\n").unwrap();
    let told = run(with(&["config"], None)).failed(2);
    assert!(told.contains("--jwt-issuer <ISSUER>"), "{told}");
}

/// Configuration files, and parts of their refusals.
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
    // The file may stand before the command.
    let told = told("none.toml");
    let before = run(bare(&folder, &["--config", "none.toml", "config"])).failed(2);
    assert_eq!(before, told);
    run(bare(&folder, &["--config=none.toml", "config"])).failed(2);
    // The settings of other commands may be in it, and those of this one are checked alone.
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
    // As Kubernetes mounts it.
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
    // The line end is no part of the secret.
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
    // Both of one source are refused, as are a file and a JWKS.
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
            "'--jwks <FILE|URL> (CONNECTORS_JWKS)' cannot be used with '--jwt-secret-file jwt-secret (CONNECTORS_JWT_SECRET_FILE)'",
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
    // The value has the look of a URL.
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

/// A setting is a secret by its name, and not by the look of its value.
#[test]
fn printed_settings_have_no_secrets() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    for secret in ["prod:", "http:", "postgres://", "sqlite:", ""] {
        let flag = format!("--jwt-secret={secret}{SECRET}");
        let proxy = "--outbound-proxy=http://hunter2@proxy:3128";
        let done = run(bare(&folder, &["config", "--print", &flag, proxy]));
        let hidden = "warning: hidden, and so not in this output: jwt-secret, outbound-proxy.";
        assert!(done.err.starts_with(hidden), "{}", done.err);
        let text = done.ok();
        assert!(
            !text.contains(SECRET) && !text.contains("hunter2"),
            "{text}"
        );
        for line in [
            "\n# jwt-secret = \"***\" # --jwt-secret, hidden here\n",
            "\n# outbound-proxy = \"http://***@proxy:3128\" # --outbound-proxy, hidden here\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
    // A file's value is given back by the file's name.
    let done = run(bare(
        &folder,
        &["config", "--print", "--jwt-secret-file=secret"],
    ));
    assert!(!done.err.contains("hidden"), "{}", done.err);
}

#[test]
fn printed_settings_can_be_given_back() {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "config",
        "--print",
        "--listen=127.0.0.1:0",
        "--mcp-allow=mcp:8000,10.0.0.0/8",
        "--jwt-issuer=a \"quoted\" \\ issuer",
        "--default-organization=42",
        "--max-connections=500",
        "--introspection=no",
        "--jwt-secret=hunter2 hunter2 hunter2 hunter2 hunter2",
        "--database-url=postgres://ann:hunter2@host/db?sslmode=require&password=hunter2",
        "--otlp-endpoint=http://127.0.0.1:4318",
    ];
    let first = run(bare(&folder, &arguments)).ok();
    assert!(!first.contains("hunter2"), "{first}");
    let masked = "# database-url = \"postgres://ann:***@host/db?sslmode=require&password=***\" # --database-url, hidden here";
    assert!(first.contains(masked), "{first}");
    fs::write(folder.path().join("first.toml"), &first).unwrap();
    let second = run(bare(
        &folder,
        &["config", "--print", "--config", "first.toml"],
    ))
    .ok();
    let settings = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.map(|line| line.rsplit_once(" # ").map_or(line, |(setting, _)| setting));
        values
            .filter(|line| !line.starts_with("database-url"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(settings(&second), settings(&first));
    assert!(second.contains(" # first.toml:"), "{second}");
    // Each setting of serving is there once.
    let root = config::command();
    let serve = root.find_subcommand("serve").unwrap();
    for long in serve.get_arguments().filter_map(|flag| flag.get_long()) {
        let lines = first.lines().filter(|line| {
            let line = line.trim_start_matches("# ");
            line.split(' ').next() == Some(long)
        });
        assert_eq!(lines.count(), 1, "{long} in {first}");
    }
    assert_eq!(run(bare(&folder, &["config"])).ok(), "");
}

#[test]
fn help_has_headings() {
    let folder = TempDir::new().unwrap();
    let root = config::command();
    let serve = root.find_subcommand("serve").unwrap();
    for flag in serve.get_arguments() {
        assert!(flag.get_help_heading().is_some(), "{}", flag.get_id());
    }
    let heading = |command: &str, long: &str| {
        let command = root.find_subcommand(command).unwrap();
        let mut flags = command.get_arguments();
        let flag = flags.find(|flag| flag.get_long() == Some(long)).unwrap();
        flag.get_help_heading().map(str::to_owned)
    };
    // A heading of one subject does not hold for the next.
    assert_eq!(heading("serve", "drain-delay").as_deref(), Some("Service"));
    assert_eq!(heading("serve", "read-only").as_deref(), Some("Service"));
    for (command, long) in [
        ("migrate", "to"),
        ("import", "organization"),
        ("token", "user"),
        ("config", "print"),
    ] {
        assert_eq!(heading(command, long), None, "{command} --{long}");
    }
    for words in [&[][..], &["serve"]] {
        let help = |flag| {
            let mut command = bare(&folder, words);
            command.arg(flag);
            run(command).ok()
        };
        let (short, long) = (help("-h"), help("--help"));
        for heading in [
            "Service:",
            "Database:",
            "Tokens:",
            "MCP servers:",
            "Limits of callers and requests:",
        ] {
            assert!(
                long.contains(&format!("\n{heading}\n")),
                "{heading}: {long}"
            );
        }
        assert!(
            short.contains("--listen") && !short.contains("--max-aliases"),
            "{short}"
        );
        // A screen.
        assert!(short.lines().count() <= 65, "{short}");
        assert!(long.contains("--jwt-secret-file <FILE>"), "{long}");
    }
}
