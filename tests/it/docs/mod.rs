//! Runs the commands and queries of README and `docs/`.

mod errors;
mod links;
mod schema;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use personal_connectors::{clock::Clock, store::Candidate};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{
    harness::{Server, TestDatabase},
    process::{Serving, program_on, run, token},
};

const BINARY: &str = env!("CARGO_BIN_EXE_personal-connectors");
const CONFIGURATION: &str = "docs/operate/configuration.md";

/// A page of the documentation.
pub struct Page {
    /// Its path in the repository, with slashes.
    pub path: String,
    pub text: String,
}

impl Page {
    fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let path = path.to_owned();
        Self { path, text }
    }

    /// Returns the blocks in these languages, in order.
    fn blocks_in(&self, languages: &[&str]) -> Vec<(String, String)> {
        let mut blocks = blocks(&self.text);
        blocks.retain(|(language, _)| languages.contains(&language.as_str()));
        blocks
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns README and all pages of `docs/`, by name.
pub fn pages() -> Vec<Page> {
    let docs = markdown(&root().join("docs"));
    let docs = docs.iter().map(|path| {
        let path = path.strip_prefix(root()).unwrap();
        Page::read(path.to_str().unwrap())
    });
    std::iter::once(Page::read("README.md"))
        .chain(docs)
        .collect()
}

/// Returns the pages whose commands and queries this file runs. `backup.rs` runs the page about backups, and `errors`
/// the one about errors.
fn run_here() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| ![errors::PAGE, "docs/operate/backup.md"].contains(&page.path.as_str()));
    pages
}

/// Returns the Markdown files of a folder and its subfolders, by name.
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

/// Returns the fenced blocks of a page, each with its language.
pub fn blocks(page: &str) -> Vec<(String, String)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            (language.to_owned(), text.to_owned())
        })
        .collect()
}

/// A process that is killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Returns the shell command of a page with this build in place of cargo's.
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
        // No MCP server listens on this port, so none is called.
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

/// Returns whether a block runs the tests, which must not run themselves.
fn runs_tests(command: &str) -> bool {
    let starts = ["script/test", "cargo test", "CONNECTORS_TEST_POSTGRES="];
    let is_one = |line: &str| starts.iter().any(|start| line.starts_with(start));
    command.lines().all(is_one)
}

/// Runs each page's commands beside a separate service, in a new folder.
#[tokio::test]
async fn commands() {
    for page in run_here() {
        let mut commands = page.blocks_in(&["sh"]);
        if page.path == "README.md" {
            assert_eq!(commands[0].1, "cargo run\n");
        }
        commands.retain(|(_, command)| !runs_tests(command));
        if commands.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let port = free_port();
        let _server = start("cargo run", port, folder);
        for (_, command) in commands {
            if command == "cargo run\n" || command.contains("postgres://") {
                // The service is started above; `commands_on_postgres` covers the others.
            } else if command.contains(" serve ") {
                drop(start(&command, free_port(), folder));
            } else {
                let output = shell(&localised(&command, port), folder).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                assert!(output.status.success(), "{}: {command}{text}", page.path);
                for line in text.lines().filter(|line| line.starts_with('{')) {
                    let answer: Value = serde_json::from_str(line).unwrap();
                    let is_ready = answer["ready"] == true;
                    let is_answer = answer["data"].is_object() || is_ready;
                    assert!(is_answer, "{}: {command}{answer}", page.path);
                }
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn commands_on_postgres() {
    let blocks = run_here()
        .into_iter()
        .flat_map(|page| page.blocks_in(&["sh"]));
    for (_, command) in blocks {
        if !command.contains("postgres://") || runs_tests(&command) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::postgres().await;
        let command = command.replace("postgres://postgres@127.0.0.1:5432/postgres", &database.url);
        let secret = folder.path().join("jwt-secret");
        std::fs::write(&secret, "of at least thirty-two bytes, as it is").unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        if command.contains(" migrate ") {
            let done = shell(&localised(&command, 0), folder.path()).status();
            assert!(done.unwrap().success(), "{command}");
        } else {
            drop(start(&command, free_port(), folder.path()));
        }
    }
}

/// Runs the SQL of the pages. A role with the documented rights serves what its owner has migrated.
#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn sql_on_postgres() {
    let blocks = run_here()
        .into_iter()
        .flat_map(|page| page.blocks_in(&["sql"]));
    let sql: Vec<_> = blocks.map(|(_, sql)| sql).collect();
    assert!(sql.iter().any(|sql| sql.contains("CREATE ROLE")));
    for sql in sql {
        let database = TestDatabase::postgres().await;
        let (server, name) = database.url.rsplit_once('/').unwrap();
        let role = name.replace("connectors_test", "connectors_role");
        run(program_on(&database, &["migrate"])).ok();
        let mut owner = PgConnection::connect(&database.url).await.unwrap();
        let makes_role = sql.contains("CREATE ROLE");
        let sql = sql.replace("TO connectors;", &format!("TO {role};"));
        let sql = sql.replace("ROLE connectors ", &format!("ROLE {role} "));
        owner.execute(AssertSqlSafe(sql)).await.unwrap();
        if !makes_role {
            continue;
        }
        let host = server.rsplit_once('@').map_or(server, |(_, host)| host);
        let limited = TestDatabase::at(format!("postgres://{role}@{host}/{name}"));
        let server = Serving::start(program_on(&limited, &[]));
        let create = r#"mutation { createCustomConnector(input: { name: "x", serverUrl: "https://x.example/mcp" }) {
            personalConnector { id } } }"#;
        let token = token("ann@acme", "connectors:write");
        let created = server.data(&token, create, json!({})).await;
        assert!(created["createCustomConnector"]["personalConnector"]["id"].is_string());
        server.stop();
        let forget = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        owner.execute(AssertSqlSafe(forget)).await.unwrap();
    }
}

/// Runs each page's queries against a separate service. The snapshot has the responses. `pcon_none` stands for the
/// connector that the page created last.
#[tokio::test(flavor = "multi_thread")]
async fn queries() {
    let mut answers = Vec::new();
    for page in run_here() {
        let blocks = page.blocks_in(&["graphql", "json"]);
        if !blocks.is_empty() {
            answers.extend(ask(&page.path, blocks).await);
        }
    }
    insta::assert_json_snapshot!("pages", answers);
}

async fn ask(page: &str, blocks: Vec<(String, String)>) -> Vec<Value> {
    let server = Server::on_sqlite(&[]).await;
    let ann = server.token("ann@acme", &["connectors:write"]);
    let root = server.token("root", &["catalog:admin"]);
    // This makes the database look as if a monitor runs.
    let mut monitor = Candidate::new(Duration::from_hours(1), Clock::system());
    server.database.take_lease(&mut monitor).await.unwrap();
    let mut blocks = blocks.into_iter().peekable();
    let mut id = "pcon_none".to_owned();
    let mut answers = Vec::new();
    while let Some((language, query)) = blocks.next() {
        assert_eq!(language, "graphql");
        let of_catalog = ["importConnectors", "updateCatalogConnectors"];
        let is_of_catalog = of_catalog.iter().any(|field| query.contains(field));
        let token = if is_of_catalog { &root } else { &ann };
        let variables = blocks.next_if(|(language, _)| language == "json");
        let variables =
            variables.map_or("{}".to_owned(), |(_, json)| json.replace("pcon_none", &id));
        let variables = serde_json::from_str(&variables).unwrap();
        let data = if query.starts_with("subscription") {
            first_event(&server, token, &query).await["data"].clone()
        } else {
            let sent = query.replace("pcon_none", &id);
            server.data(token, &sent, variables).await
        };
        if let Some(created) = data["createCustomConnector"]["personalConnector"]["id"].as_str() {
            created.clone_into(&mut id);
        }
        answers.push(json!({ "page": page, "query": query, "data": without_marks(data) }));
    }
    answers
}

/// Removes the cursors of changes, which are random. All begin with the same byte and a small number.
fn without_marks(answer: Value) -> Value {
    match answer {
        Value::String(text) if text.starts_with("BAAAAAAA") => "a cursor of changes".into(),
        Value::Array(all) => all.into_iter().map(without_marks).collect(),
        Value::Object(all) => {
            let all = all.into_iter();
            all.map(|(name, value)| (name, without_marks(value)))
                .collect()
        }
        other => other,
    }
}

/// Returns the first event of a subscription that starts at the beginning of the log.
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

/// Code in other languages is part of the clients that `tests/clients/run` runs. `text` is no code.
#[test]
fn snippets() {
    let clients = root().join("tests/clients");
    let folders = [
        "apollo",
        "apollo/src",
        "go",
        "go/src/app",
        "gql",
        "python",
        "relay/src",
        "relay/src/older",
        "rust/src",
        "rust/src/bin",
        "typescript",
        "typescript/src",
        "typescript/src/older",
    ];
    let sources: Vec<String> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(clients.join(folder)).unwrap())
        .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
        .collect();
    for page in pages() {
        for (language, text) in blocks(&page.text) {
            assert!(
                ["sh", "graphql", "json", "sql", "text"].contains(&language.as_str())
                    || (page.path == CONFIGURATION && language == "toml")
                    || sources.iter().any(|source| source.contains(&text)),
                "{}: no client has this {language}:\n{text}",
                page.path
            );
        }
    }
}

/// The service accepts the configuration files on their page.
#[test]
fn configuration_files() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = Page::read(CONFIGURATION).blocks_in(&["toml"]);
    assert!(!blocks.is_empty());
    for (_, text) in blocks {
        std::fs::write(folder.path().join("file.toml"), text).unwrap();
        let command = format!("{BINARY} config --config file.toml");
        run(shell(&command, folder.path())).ok();
    }
}

#[test]
fn settings() {
    const SETTINGS: &str = "docs/reference/settings.md";
    let pages = pages();
    let page = pages.iter().find(|page| page.path == SETTINGS).unwrap();
    let cli = personal_connectors::config::command();
    for command in cli.get_subcommands().chain([&cli]) {
        for flag in command.get_arguments().filter(|flag| {
            flag.get_long()
                .is_some_and(|long| !["help", "version"].contains(&long))
        }) {
            let long = flag.get_long().unwrap();
            let row = page
                .text
                .lines()
                .find(|line| line.starts_with(&format!("| `--{long}` |")));
            let row = row.unwrap_or_else(|| panic!("{SETTINGS} has no row of --{long}"));
            let env = flag.get_env().map(|env| format!("`{}`", env.display()));
            let column = row.split('|').nth(2).map(str::trim);
            assert_eq!(column, Some(env.as_deref().unwrap_or("")), "--{long}");
            for default in flag.get_default_values() {
                assert!(
                    row.contains(&format!("`{}`", default.to_str().unwrap())),
                    "--{long}: {default:?}"
                );
            }
        }
    }
}
