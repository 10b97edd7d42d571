//! Third-party servers: the MCP project's reference server, SDK servers for Python, TypeScript and Rust, and `FastMCP`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use entity::ServerType;
use personal_connectors::{
    config::{InspectionLimits, ServerRules},
    domain::inspection::{Inspection, Outcome, Transport},
    mcp::guard::Guard,
};
use rmcp::{
    ServerHandler,
    model::{
        Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    },
    service::{RequestContext, RoleServer},
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    mcp::open_message,
    support::mcp::{allowing, inspector},
};

/// A program that is killed with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a file that `script/test` installs, or one beside it.
fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/mcp")
        .join(path);
    assert!(
        path.exists(),
        "this test needs {}: run script/test mcp, which installs it",
        path.display()
    );
    path
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server, and waits until it listens.
async fn start(mut command: Command, port: u16) -> Running {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert_eq!(running.0.try_wait().unwrap(), None, "the server ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running
}

/// Inspects by name, because real servers check it. They may be slow.
async fn look(port: u16, path: &str, claimed: ServerType) -> Inspection {
    let url = format!("http://localhost:{port}{path}");
    let guard = Guard::new(allowing(&[&format!("localhost:{port}")]));
    let patient = InspectionLimits::within(Duration::from_mins(1));
    let found = inspector(guard, patient.clone())
        .inspect(Some(&url), Some(claimed))
        .await;
    // Without the operator's permission it is not called.
    let strict = inspector(Guard::new(ServerRules::default()), patient);
    let blocked = strict.inspect(Some(&url), Some(claimed)).await;
    assert_eq!(blocked.outcome, Outcome::Blocked, "{}", blocked.message);
    found
}

async fn everything(transport: &str, path: &str) -> Inspection {
    let script = installed("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let port = free_port().await;
    let mut command = Command::new("node");
    command
        .arg(script)
        .arg(transport)
        .env("PORT", port.to_string());
    let _server = start(command, port).await;
    look(port, path, ServerType::Http).await
}

fn is_everything(found: &Inspection, transport: Transport) {
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    assert_eq!(found.message, open_message(transport));
    assert_eq!(found.transport, Some(transport));
    let server = found.server_info.as_ref().unwrap();
    assert!(server.name.contains("everything"), "{server:?}");
    let echo = found.tools.iter().find(|tool| tool.name == "echo").unwrap();
    assert!(echo.input_schema.as_ref().unwrap().contains("\"message\""));
    assert!(echo.description.is_some());
    assert!(found.tools.len() > 5, "{}", found.tools.len());
    assert!(found.prompt_count.unwrap() > 0 && found.resource_count.is_some());
    assert!(found.capabilities.iter().any(|name| name == "tools"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an MCP server, which script/test mcp installs"]
async fn the_reference_server_over_streamable_http() {
    let found = everything("streamableHttp", "/mcp").await;
    is_everything(&found, Transport::StreamableHttp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an MCP server, which script/test mcp installs"]
async fn the_reference_server_over_sse() {
    let found = everything("sse", "/sse").await;
    is_everything(&found, Transport::Sse);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an MCP server, which script/test mcp installs"]
async fn a_server_in_python() {
    let python = installed(".venv/bin/python");
    let script = installed("server.py");
    for (transport, path, by) in [
        ("streamable-http", "/mcp", Transport::StreamableHttp),
        ("sse", "/sse", Transport::Sse),
    ] {
        let port = free_port().await;
        let mut command = Command::new(&python);
        command.arg(&script).arg(transport).arg(port.to_string());
        let _server = start(command, port).await;
        for claimed in [ServerType::Http, ServerType::Websocket] {
            let found = look(port, path, claimed).await;
            let outcome = match claimed {
                ServerType::Http => Outcome::Open,
                _ => Outcome::WrongTransport,
            };
            assert_eq!(
                (found.outcome, found.transport),
                (outcome, Some(by)),
                "{}",
                found.message
            );
            let server = found.server_info.unwrap();
            assert_eq!(
                (server.name.as_str(), server.version.as_str()),
                ("python", "1.0.0")
            );
            assert_eq!(found.instructions.as_deref(), Some("Adds numbers."));
            assert_eq!(found.tools.len(), 1);
            assert_eq!(
                found.tools[0].description.as_deref(),
                Some("Adds two numbers.")
            );
            assert!(
                found.tools[0]
                    .input_schema
                    .as_ref()
                    .unwrap()
                    .contains("integer")
            );
            assert!(found.tools[0].output_schema.is_some());
            assert_eq!(
                (found.prompt_count, found.resource_count),
                (Some(1), Some(1))
            );
        }
    }
}

/// A server of `FastMCP`, open or behind a sign-in.
async fn fastmcp(transport: &str, path: &str, access: &str) -> (u16, Inspection) {
    let port = free_port().await;
    let mut command = Command::new(installed(".venv/bin/python"));
    command.arg(installed("fastmcp_server.py"));
    command.args([transport, &port.to_string(), access]);
    let _server = start(command, port).await;
    (port, look(port, path, ServerType::Http).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an MCP server, which script/test mcp installs"]
async fn a_server_of_fastmcp() {
    for (transport, path, by) in [
        ("http", "/mcp", Transport::StreamableHttp),
        ("sse", "/sse", Transport::Sse),
    ] {
        let (_, found) = fastmcp(transport, path, "open").await;
        assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
        assert_eq!(found.message, open_message(by));
        assert_eq!(found.transport, Some(by));
        let server = found.server_info.unwrap();
        assert_eq!((&*server.name, &*server.version), ("fast", "1.0.0"));
        assert_eq!(found.instructions.as_deref(), Some("Multiplies numbers."));
        assert!(found.tools_listed);
        let names: Vec<_> = found.tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["multiply", "divide"]);
        let multiply = &found.tools[0];
        assert!(multiply.input_schema.as_ref().unwrap().contains("integer"));
        assert!(multiply.output_schema.is_some());
        let annotations = multiply.annotations.as_ref().unwrap();
        assert!(
            annotations.contains("\"readOnlyHint\":true"),
            "{annotations}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an MCP server, which script/test mcp installs"]
async fn a_server_of_fastmcp_behind_a_sign_in() {
    for (transport, path) in [("http", "/mcp"), ("sse", "/sse")] {
        let (port, found) = fastmcp(transport, path, "signed-in").await;
        assert_eq!(found.outcome, Outcome::AuthRequired, "{}", found.message);
        assert_eq!(found.message, "The server asks for a sign-in.");
        let issuers: Vec<_> = found
            .authorization_servers
            .iter()
            .map(|url| url.trim_end_matches('/'))
            .collect();
        assert_eq!(issuers, ["https://issuer.example"], "{port}");
        assert!(found.tools.is_empty() && !found.tools_listed);
    }
}

/// A server of the TypeScript SDK in both eras of MCP: with a handshake and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an MCP server, which script/test mcp installs"]
async fn a_server_in_typescript() {
    for (era, version) in [("modern", "2026-07-28"), ("legacy", "2025-11-25")] {
        let port = free_port().await;
        let mut command = Command::new("node");
        command.arg(installed("server.mjs"));
        command.args([&port.to_string(), era]);
        installed("node_modules/@modelcontextprotocol/server");
        let _server = start(command, port).await;
        let found = look(port, "/mcp", ServerType::Http).await;
        assert_eq!(found.outcome, Outcome::Open, "{era}: {}", found.message);
        assert_eq!(found.transport, Some(Transport::StreamableHttp));
        assert_eq!(found.protocol_version.as_deref(), Some(version));
        let server = found.server_info.unwrap();
        assert_eq!((&*server.name, &*server.version), ("typescript", "1.0.0"));
        assert_eq!(found.instructions.as_deref(), Some("Joins texts."));
        let names: Vec<_> = found.tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["join"]);
        let schema = found.tools[0].input_schema.as_ref().unwrap();
        assert!(schema.contains("\"texts\""), "{schema}");
    }
}

/// A server of the Rust SDK, with two pages.
#[derive(Clone)]
struct Rusty;

impl ServerHandler for Rusty {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("rusty", "3.0.0"))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, rmcp::ErrorData> {
        let second = request.is_some_and(|request| request.cursor.as_deref() == Some("2"));
        let name = if second { "two" } else { "one" };
        let tool = serde_json::json!({ "name": name, "inputSchema": { "type": "object" } });
        let mut page = ListToolsResult::with_all_items(vec![serde_json::from_value(tool).unwrap()]);
        page.next_cursor = (!second).then(|| "2".to_owned());
        Ok(page)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_rust() {
    let service = StreamableHttpService::new(
        || Ok(Rusty),
        std::sync::Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let found = look(port, "/mcp", ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    // A server of the 2026 revision gets no `initialize`.
    assert_eq!(found.protocol_version.as_deref(), Some("2026-07-28"));
    assert_eq!(found.server_info.unwrap().name, "rusty");
    let names: Vec<_> = found.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
}
