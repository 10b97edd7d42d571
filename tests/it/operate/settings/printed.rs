//! The output of `config --print` and `--help`.

use std::fs;

use personal_connectors::config;
use tempfile::TempDir;

use super::bare;
use crate::support::process::{SECRET, run};

/// The name of a setting makes it a secret, and not the form of its value.
#[test]
fn printed_settings_have_no_secrets() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    for secret in ["prod:", "http:", "postgres://", "sqlite:", ""] {
        let flag = format!("--jwt-secret={secret}{SECRET}");
        let proxy = "--outbound-proxy=http://hunter2@proxy:3128";
        let done = run(bare(&folder, &["config", "--print", &flag, proxy]));
        let hidden = "warning: this output hides the values of jwt-secret, outbound-proxy.";
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
    // The output has the name of a file, not the value in it.
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
    let masked = "# database-url = \"postgres://ann:***@host/db?sslmode=require&password=***\" # --database-url, \
                  hidden here";
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
    // Each setting of `serve` occurs once.
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
    // A heading does not extend to flags with another subject.
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
        // One screen.
        assert!(short.lines().count() <= 65, "{short}");
        assert!(long.contains("--jwt-secret-file <FILE>"), "{long}");
    }
}
