//! Runs the commands and queries of README and `docs/`.
//!
//! A block of `console` is not run. A comment above it says why: `<!-- not run: … -->`.

mod errors;
mod files;
mod identity_providers;
mod links;
mod observability;
mod page;
mod schema;
mod settings;

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
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

pub use page::blocks;
use page::{Page, pages, root};

const BINARY: &str = env!("CARGO_BIN_EXE_personal-connectors");
/// The pages whose blocks another test runs.
const RUN_ELSEWHERE: [&str; 4] = [
    errors::PAGE,
    files::PAGE,
    identity_providers::PAGE,
    "docs/operate/backup.md",
];
/// The pages with configuration files as blocks of TOML.
const CONFIGURATIONS: [&str; 2] = [
    "docs/operate/configuration.md",
    "docs/operate/production.md",
];

/// Returns the pages whose commands and queries this file runs.
fn run_here() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| !RUN_ELSEWHERE.contains(&page.path.as_str()));
    pages
}

/// A process, killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Returns a page's command with this build's binary instead of `cargo run`, and with another port.
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

/// Returns whether a block only runs tests. Such a block is skipped.
fn runs_tests(command: &str) -> bool {
    let starts = ["script/test", "cargo test", "CONNECTORS_TEST_POSTGRES="];
    let is_one = |line: &str| starts.iter().any(|start| line.starts_with(start));
    // The closing fence of a block in a list is indented.
    let lines = command.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).all(is_one)
}

/// Runs a page's blocks in one shell, like a reader who pastes them. Checks each line that is a response.
fn paste(page: &Page, blocks: &[String], port: u16, folder: &Path) {
    // `echo` ends the line after a response without a line end.
    let script = blocks.join("echo\n");
    let output = shell(&localised(&script, port), folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}: {script}{text}", page.path);
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let answer: Value = serde_json::from_str(line).unwrap();
        let is_ready = answer["ready"] == true;
        let is_answer = answer["data"].is_object() || is_ready;
        assert!(is_answer, "{}: {script}{answer}", page.path);
    }
}

/// Runs each page's commands in a new folder, with a service of its own.
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
        let mut pasted = Vec::new();
        for (_, command) in commands {
            if command == "cargo run\n" || command.contains("postgres://") {
                // `cargo run` is started above, and `commands_on_postgres` runs the others.
            } else if command.contains(" serve ") {
                drop(start(&command, free_port(), folder));
            } else {
                pasted.push(command);
            }
        }
        paste(&page, &pasted, port, folder);
    }
}

/// The commands of the story give the results that its page describes.
#[tokio::test]
async fn the_story_ends_as_it_says() {
    let page = Page::read("docs/guides/story.md");
    let blocks = page.blocks_in(&["sh"]).into_iter();
    let script: String = blocks.map(|(_, command)| command).collect();
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _server = start("cargo run", port, folder.path());
    let output = shell(&localised(&script, port), folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text.lines().filter(|line| line.starts_with('{'));
    let answers: Vec<Value> = answers
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let data = |number: usize, pointer: &str| {
        let value = answers[number]["data"].pointer(pointer);
        value
            .unwrap_or_else(|| panic!("{number} {pointer}: {text}"))
            .clone()
    };
    assert_eq!(
        data(2, "/createCustomConnector/personalConnector/revision"),
        1
    );
    assert_eq!(
        data(3, "/updateCustomConnector/personalConnector/revision"),
        2
    );
    assert_eq!(
        data(4, "/updateCustomConnector/userErrors/0/code"),
        "CONFLICT"
    );
    let changed = data(
        4,
        "/updateCustomConnector/userErrors/0/conflict/changedFields",
    );
    assert_eq!(changed, json!(["DESCRIPTION"]));
    let kinds = |number| {
        let nodes = data(number, "/personalConnectorChanges/nodes");
        let kinds = nodes.as_array().unwrap().iter();
        kinds.map(|node| node["kind"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(5)[..2], ["CREATED", "UPDATED"]);
    assert_eq!(
        data(6, "/setConnectorStatus/personalConnector/replacedBy/name"),
        "Jira"
    );
    assert_eq!(data(7, "/deleteCustomConnector/userErrors"), json!([]));
    assert_eq!(data(8, "/personalConnector"), Value::Null);
    assert_eq!(kinds(9).last().unwrap(), "DELETED");
    assert_eq!(answers.len(), 10, "{text}");
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

/// Runs the SQL of the pages. A service works with the rights that a page grants to its role, after the database's
/// owner has migrated it.
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

/// Runs each page's queries against a service of its own. The snapshot has the responses. `pcon_none` stands for the id
/// of the connector that the page created last.
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
    // The monitor's lease has a holder, as in a service that checks connectors.
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

/// Returns a response without the cursors of changes, which are random. Each of them begins with the same byte and a
/// small number.
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

/// Returns the first event of a subscription that begins with the oldest change.
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

/// A block in another language is a part of a client that `tests/clients/run` runs, or of a file of `deploy/`. A block
/// of `text` is no code. A comment above a block of `console` says why it is not run.
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
    let folders = folders.map(|folder| clients.join(folder));
    let folders = folders.into_iter().chain([root().join("deploy")]);
    let sources: Vec<String> = folders
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
        .collect();
    for page in pages() {
        let mut before = "";
        for (number, part) in page.text.split("```").enumerate() {
            let (above, is_block) = (std::mem::replace(&mut before, part), number % 2 == 1);
            if !is_block {
                continue;
            }
            let (language, text) = part.split_once('\n').unwrap();
            let is_known = match language {
                "sh" | "graphql" | "json" | "sql" | "text" => true,
                "console" => {
                    let last = above.trim_end().lines().next_back().unwrap_or_default();
                    let last = last.trim_start();
                    last.starts_with("<!-- not run: ") && last.ends_with(". -->")
                }
                "toml" if CONFIGURATIONS.contains(&page.path.as_str()) => true,
                "toml" if page.path == identity_providers::PAGE => true,
                _ => sources.iter().any(|source| source.contains(text)),
            };
            assert!(
                is_known,
                "{}: nothing runs this {language}:\n{text}",
                page.path
            );
        }
    }
}

/// The service accepts the configuration files on the pages.
#[test]
fn configuration_files() {
    let folder = tempfile::tempdir().unwrap();
    for page in CONFIGURATIONS {
        let blocks = Page::read(page).blocks_in(&["toml"]);
        assert!(!blocks.is_empty(), "{page}");
        for (_, text) in blocks {
            std::fs::write(folder.path().join("file.toml"), text).unwrap();
            let command = format!("{BINARY} config --config file.toml");
            run(shell(&command, folder.path())).ok();
        }
    }
}
