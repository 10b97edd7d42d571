//! The commands and queries of README and `docs/`, run as they stand there.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Server, TestDatabase};

const BINARY: &str = env!("CARGO_BIN_EXE_personal-connectors");

/// README, and the pages of `docs/` that are not run by a test of their own, by name.
fn pages() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = markdown(&root.join("docs"));
    pages.retain(|page| !page.ends_with("operate/backup.md"));
    pages.insert(0, root.join("README.md"));
    let texts = pages
        .iter()
        .map(|page| std::fs::read_to_string(page).unwrap());
    texts.collect()
}

/// The Markdown files of a folder and its folders, by name.
fn markdown(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let within = |path: PathBuf| {
        if path.is_dir() {
            markdown(&path)
        } else {
            vec![path]
        }
    };
    paths.into_iter().flat_map(within).collect()
}

/// The fenced blocks of a page, each with its language.
pub fn blocks(page: &str) -> Vec<(String, String)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            (language.to_owned(), text.to_owned())
        })
        .collect()
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What a shell runs for a command of a page: this build instead of cargo's.
fn localised(command: &str, port: u16) -> String {
    command
        .replace("cargo run -q --", BINARY)
        .replace("cargo run --", BINARY)
        .replace("cargo run", BINARY)
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
}

fn shell(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        // Nobody is called: no MCP server is at such a port.
        .env("CONNECTORS_MCP_PORTS", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

fn start(command: &str, port: u16, folder: &Path) -> Running {
    let mut command = shell(&format!("exec {}", localised(command, port)), folder);
    command.env("CONNECTORS_LISTEN", format!("127.0.0.1:{port}"));
    let server = Running(command.spawn().unwrap());
    for _ in 0..600 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return server;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nothing listens on {port}");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn commands() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().to_owned();
    let port = free_port();
    let mut commands = blocks(&pages())
        .into_iter()
        .filter(|(language, _)| language == "sh")
        .map(|(_, text)| text);
    assert_eq!(commands.next().as_deref(), Some("cargo run\n"));
    let _server = start("cargo run", port, &path);
    for command in commands {
        let runs_this =
            |line: &str| line.starts_with("script/test") || line.starts_with("cargo test");
        if command.lines().all(runs_this) || command.contains("postgres://") {
            // `commands_on_postgres` runs the latter.
        } else if command.contains(" serve ") {
            drop(start(&command, free_port(), &path));
        } else {
            let output = shell(&localised(&command, port), &path).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{command}{text}");
            for line in text.lines().filter(|line| line.starts_with('{')) {
                let answer: Value = serde_json::from_str(line).unwrap();
                let is_ready = answer["ready"] == true;
                assert!(answer["data"].is_object() || is_ready, "{command}{answer}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn commands_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let commands: Vec<_> = blocks(&pages())
        .into_iter()
        .filter(|(language, text)| language == "sh" && text.contains("postgres://"))
        .collect();
    assert_ne!(commands, []);
    for (_, command) in commands {
        let database = TestDatabase::postgres().await;
        let command = command.replace("postgres://postgres@127.0.0.1:5432/postgres", &database.url);
        drop(start(&command, free_port(), folder.path()));
    }
}

/// The answers as a snapshot: what the README promises can be read there. `pcon_none` is whatever was created last.
#[tokio::test(flavor = "multi_thread")]
async fn queries() {
    let server = Server::on_sqlite(&[]).await;
    let token = server.token("ann@acme", &["connectors:write"]);
    let mut blocks = blocks(&pages())
        .into_iter()
        .filter(|(language, _)| language == "graphql" || language == "json")
        .peekable();
    let mut id = "pcon_none".to_owned();
    let mut answers = Vec::new();
    while let Some((language, query)) = blocks.next() {
        assert_eq!(language, "graphql");
        let variables = blocks.next_if(|(language, _)| language == "json");
        let variables =
            variables.map_or("{}".to_owned(), |(_, json)| json.replace("pcon_none", &id));
        let variables = serde_json::from_str(&variables).unwrap();
        if query.starts_with("subscription") {
            let first = first_event(&server, &token, &query).await;
            answers.push(json!({ "query": query, "data": first["data"] }));
            continue;
        }
        let data = server
            .data(&token, &query.replace("pcon_none", &id), variables)
            .await;
        if let Some(created) = data["createCustomConnector"]["personalConnector"]["id"].as_str() {
            created.clone_into(&mut id);
        }
        answers.push(json!({ "query": query, "data": data }));
    }
    insta::assert_json_snapshot!("readme", answers);
}

/// What a subscription says first of all that ever happened.
async fn first_event(server: &Server, token: &str, query: &str) -> Value {
    let begin = "query { personalConnectorChanges(first: 0) { pageInfo { endCursor } } }";
    let data = server.data(token, begin, json!({})).await;
    let after = &data["personalConnectorChanges"]["pageInfo"]["endCursor"];
    let variables = json!({ "after": after });
    let mut response = server.events(token, query, variables).await;
    let event = response.chunk().await.unwrap().unwrap();
    let event = std::str::from_utf8(&event).unwrap();
    let data = event.lines().find_map(|line| line.strip_prefix("data:"));
    serde_json::from_str(data.unwrap()).unwrap()
}

/// Code of other languages is a part of the clients that `tests/clients/run` runs.
#[test]
fn snippets() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let folders = [
        "python",
        "relay/src",
        "rust/src",
        "rust/src/bin",
        "typescript",
        "typescript/src",
    ];
    let sources: Vec<String> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(clients.join(folder)).unwrap())
        .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
        .collect();
    for (language, text) in blocks(&pages()) {
        assert!(
            ["sh", "graphql", "json"].contains(&language.as_str())
                || sources.iter().any(|source| source.contains(&text)),
            "no client has this {language}:\n{text}"
        );
    }
}

#[test]
fn settings() {
    use clap::CommandFactory;
    let pages = pages() + include_str!("../../docs/operate/backup.md");
    let cli = personal_connectors::config::Cli::command();
    for command in cli.get_subcommands().chain([&cli]) {
        for flag in command.get_arguments().filter(|flag| {
            flag.get_long()
                .is_some_and(|long| !["help", "version"].contains(&long))
        }) {
            let long = flag.get_long().unwrap();
            let env = flag.get_env().unwrap().to_str().unwrap();
            let row = pages
                .lines()
                .find(|line| line.starts_with(&format!("| `--{long}` |")));
            let row =
                row.unwrap_or_else(|| panic!("--{long} is not in the README or a page of docs"));
            assert!(row.contains(&format!("`{env}`")), "--{long}: {env}");
            for default in flag.get_default_values() {
                assert!(
                    row.contains(&format!("`{}`", default.to_str().unwrap())),
                    "--{long}: {default:?}"
                );
            }
        }
    }
}
