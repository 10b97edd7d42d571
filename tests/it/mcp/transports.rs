//! The transports, and the one found if another was claimed.

use entity::ServerType;
use futures_util::{SinkExt, StreamExt};
use personal_connectors::{
    domain::inspection::{Inspection, Outcome, Transport},
    mcp::guard::Guard,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::broadcast};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{Message, handshake::server},
};

use crate::support::mcp::{
    Plain, Request, allowing, answer, inspect, inspector, json_answer, limits, read, response,
    result, well_behaved,
};

fn names(found: &Inspection) -> Vec<&str> {
    found.tools.iter().map(|tool| tool.name.as_str()).collect()
}

fn is_the_plain_server(found: &Inspection, transport: Transport) {
    let server = found
        .server_info
        .as_ref()
        .unwrap_or_else(|| panic!("{}", found.message));
    assert_eq!(
        (server.name.as_str(), server.version.as_str()),
        ("plain", "1.2.3")
    );
    assert_eq!(found.protocol_version.as_deref(), Some("2025-06-18"));
    assert_eq!(found.instructions.as_deref(), Some("Ask it little."));
    assert_eq!(names(found), ["add", "subtract"]);
    assert_eq!(
        found.tools[0].annotations.as_deref(),
        Some(r#"{"readOnlyHint":true}"#)
    );
    assert_eq!(
        found.tools[0].input_schema.as_deref(),
        Some(r#"{"type":"object"}"#)
    );
    assert_eq!((found.prompt_count, found.resource_count), (Some(1), None));
    assert_eq!(found.transport, Some(transport));
    assert!(found.latency_ms.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamable_http_in_json_and_in_events() {
    let server = Plain::new(well_behaved).await;
    is_the_plain_server(
        &inspect(&server.url, ServerType::Http).await,
        Transport::StreamableHttp,
    );
    // Discovery first, then a new session.
    assert_eq!(
        server.asked(),
        [
            "server/discover",
            "initialize",
            "notifications/initialized",
            "tools/list",
            "prompts/list"
        ]
    );
    let server = Plain::new(|request| match result(request) {
        Some(result) => answer(
            200,
            "content-type: text/event-stream; charset=utf-8\r\n",
            format!(
                ": a comment\n\nid: 1\ndata:\n\ndata: {}\n\nevent: message\ndata: {}\n\n",
                json!({ "jsonrpc": "2.0", "method": "notifications/message",
                    "params": { "level": "info", "data": "x" } }),
                response(request, &result),
            ),
        ),
        None => well_behaved(request),
    })
    .await;
    is_the_plain_server(
        &inspect(&server.url, ServerType::Http).await,
        Transport::StreamableHttp,
    );
}

/// A server of the 2026 revision has no sessions, and handles each request separately.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_the_2026_revision_is_discovered() {
    let server = Plain::new(|request| {
        if request.asks() == "server/discover" {
            return json_answer(&response(
                request,
                &json!({
                    "resultType": "complete",
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": { "tools": {} },
                    "instructions": "Ask.",
                    "ttlMs": 0,
                    "cacheScope": "private",
                    "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "modern", "version": "2.0.0" } },
                }),
            ));
        }
        well_behaved(request)
    })
    .await;
    let found = inspect(&server.url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    assert_eq!(found.protocol_version.as_deref(), Some("2026-07-28"));
    assert_eq!(found.server_info.as_ref().unwrap().name, "modern");
    assert_eq!(names(&found), ["add", "subtract"]);
    assert_eq!(server.asked(), ["server/discover", "tools/list"]);
    let requests = server.requests.lock().unwrap();
    assert_eq!(
        requests[1].header("mcp-protocol-version"),
        Some("2026-07-28")
    );
    assert_eq!(requests[1].header("mcp-method"), Some("tools/list"));
}

/// A server that ignores unknown requests gets `initialize` over another connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_on_discovery_is_given_a_new_beginning() {
    let server = Plain::new(|request| match request.asks() {
        "server/discover" => crate::support::mcp::Reaction::Hang,
        _ => well_behaved(request),
    })
    .await;
    is_the_plain_server(
        &inspect(&server.url, ServerType::Http).await,
        Transport::StreamableHttp,
    );
}

/// Starts a server that answers POST requests on one stream.
async fn older() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    let (events, _) = broadcast::channel::<String>(100);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let events = events.clone();
            tokio::spawn(async move {
                let mut own = events.subscribe();
                let request = read(&mut socket).await?;
                let close = "connection: close\r\n";
                match (request.method.as_str(), request.path.as_str()) {
                    ("GET", "/sse") => {
                        let head = format!(
                            "HTTP/1.1 200 OK\r\n{close}content-type: text/event-stream\r\n\r\n"
                        );
                        let first = format!("{head}event: endpoint\ndata: /messages?session=1\n\n");
                        socket.write_all(first.as_bytes()).await.ok()?;
                        while let Ok(message) = own.recv().await {
                            let event = format!("event: message\r\ndata: {message}\r\n\r\n");
                            socket.write_all(event.as_bytes()).await.ok()?;
                        }
                    }
                    ("POST", "/messages?session=1") => {
                        let accepted = format!(
                            "HTTP/1.1 202 Accepted\r\n{close}content-length: 8\r\n\r\nAccepted"
                        );
                        socket.write_all(accepted.as_bytes()).await.ok()?;
                        let result = result(&request)?;
                        events.send(response(&request, &result).to_string()).ok()?;
                    }
                    _ => {
                        let refused = format!("HTTP/1.1 405 X\r\n{close}content-length: 0\r\n\r\n");
                        socket.write_all(refused.as_bytes()).await.ok()?;
                    }
                }
                Some(())
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_with_server_sent_events() {
    let found = inspect(&older().await, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    is_the_plain_server(&found, Transport::Sse);
    let found = inspect(&older().await, ServerType::Websocket).await;
    assert_eq!(found.outcome, Outcome::WrongTransport, "{}", found.message);
    is_the_plain_server(&found, Transport::Sse);
}

/// A stream may not direct messages to another host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_names_its_own_host_alone() {
    let elsewhere = Plain::new(well_behaved).await;
    let event = format!("event: endpoint\ndata: {}/messages\n\n", elsewhere.url);
    let server = Plain::new(move |request| match request.method.as_str() {
        "GET" => answer(200, "content-type: text/event-stream\r\n", &event),
        _ => answer(405, "", ""),
    })
    .await;
    let found = inspect(&server.url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::NotMcp, "{}", found.message);
    assert!(elsewhere.requests.lock().unwrap().is_empty());
}

/// Starts a server that chooses the subprotocol, or does not.
async fn websocket(chooses: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                #[expect(clippy::result_large_err, reason = "the library requires this type")]
                let choose = |request: &server::Request, mut response: server::Response| {
                    let offered = request.headers().get("sec-websocket-protocol");
                    if let Some(offered) = offered.filter(|_| chooses) {
                        response
                            .headers_mut()
                            .insert("sec-websocket-protocol", offered.clone());
                    }
                    Ok(response)
                };
                let mut socket = accept_hdr_async(socket, choose).await.ok()?;
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else {
                        continue;
                    };
                    let body: Value = serde_json::from_str(&text).unwrap();
                    let request = Request {
                        method: String::new(),
                        path: String::new(),
                        head: String::new(),
                        body,
                    };
                    // Like a server that disconnects on unknown requests.
                    if request.asks() == "server/discover" {
                        break;
                    }
                    if let Some(result) = result(&request) {
                        let text = response(&request, &result).to_string();
                        socket.send(Message::text(text)).await.ok()?;
                    }
                }
                Some(())
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets() {
    for chooses in [true, false] {
        let url = websocket(chooses).await;
        let found = inspect(&url, ServerType::Websocket).await;
        assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
        is_the_plain_server(&found, Transport::WebSocket);
        let found = inspect(&url.replace("ws://", "http://"), ServerType::Http).await;
        assert_eq!(found.outcome, Outcome::WrongTransport, "{}", found.message);
        is_the_plain_server(&found, Transport::WebSocket);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_where_a_websocket_is_claimed() {
    let server = Plain::new(well_behaved).await;
    let found = inspect(
        &server.url.replace("http://", "ws://"),
        ServerType::Websocket,
    )
    .await;
    assert_eq!(found.outcome, Outcome::WrongTransport, "{}", found.message);
    assert!(found.message.contains("over HTTP, and not over WebSocket"));
    is_the_plain_server(&found, Transport::StreamableHttp);
}

/// Uvicorn forbids a WebSocket if a program has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_handshake_is_no_answer_over_http() {
    let server = Plain::new(|request| match request.header("upgrade") {
        Some(_) => answer(403, "", ""),
        None => well_behaved(request),
    })
    .await;
    let url = server.url.replace("http://", "ws://");
    let found = inspect(&url, ServerType::Websocket).await;
    assert_eq!(found.outcome, Outcome::WrongTransport, "{}", found.message);
    is_the_plain_server(&found, Transport::StreamableHttp);
    // A server that forbids everything has the same outcome over both.
    for claimed in [ServerType::Websocket, ServerType::Http] {
        let forbidding = Plain::new(|_| answer(403, "", "")).await;
        let found = inspect(&forbidding.url, claimed).await;
        assert_eq!(found.outcome, Outcome::NotMcp);
        assert!(
            found.message.contains("HTTP status 403"),
            "{}",
            found.message
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_are_not_run_and_no_address_is_not_called() {
    let inspector = inspector(Guard::new(allowing(&[])), limits());
    for (url, claimed) in [
        (Some("https://mcp.example.com"), Some(ServerType::Stdio)),
        (None, Some(ServerType::Http)),
        (None, None),
    ] {
        let found = inspector.inspect(url, claimed).await;
        assert_eq!(
            (found.outcome, found.transport),
            (Outcome::NotCheckable, None)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_sign_in_says_where() {
    let metadata = json!({
        "resource": "http://127.0.0.1/mcp",
        "authorization_servers": ["https://issuer.example/a", "javascript:alert(1)", "https://issuer.example/b"],
    });
    let cases = [
        // Discovery by the challenge, by the well-known path with and without the server's path, and none.
        ("/said", "/said", 2),
        ("/none", "/.well-known/oauth-protected-resource/mcp", 2),
        ("/none", "/.well-known/oauth-protected-resource", 2),
        ("/none", "/nowhere", 0),
    ];
    for (said, at, servers) in cases {
        for status in [401, 403] {
            let metadata = metadata.clone();
            let server = Plain::new(move |request| {
                let host = request.header("host").unwrap().to_owned();
                if request.path == at {
                    return json_answer(&metadata);
                }
                if request.path != "/mcp" {
                    return answer(404, "", "");
                }
                let challenge = format!(
                    "www-authenticate: Bearer resource_metadata=\"http://{host}{said}\"\r\n"
                );
                answer(status, &challenge, "")
            })
            .await;
            let found = inspect(&format!("{}/mcp", server.url), ServerType::Http).await;
            assert_eq!(
                found.outcome,
                Outcome::AuthRequired,
                "{status} {at}: {}",
                found.message
            );
            assert_eq!(found.authorization_servers.len(), servers, "{status} {at}");
        }
    }
    // A 403 without a challenge is no sign-in, unless metadata names issuers.
    for (status, at, outcome) in [
        (401, "/nowhere", Outcome::AuthRequired),
        (403, "/nowhere", Outcome::NotMcp),
        (
            403,
            "/.well-known/oauth-protected-resource",
            Outcome::AuthRequired,
        ),
    ] {
        let metadata = metadata.clone();
        let server = Plain::new(move |request| match request.path.as_str() {
            path if path == at => json_answer(&metadata),
            "/mcp" => answer(status, "", ""),
            _ => answer(404, "", ""),
        })
        .await;
        let found = inspect(&format!("{}/mcp", server.url), ServerType::Http).await;
        assert_eq!(found.outcome, outcome, "{status} {at}: {}", found.message);
    }
    // Some servers describe themselves publicly, but protect their tools.
    let server = Plain::new(|request| match request.asks() {
        "tools/list" => answer(401, "www-authenticate: Bearer\r\n", ""),
        _ => well_behaved(request),
    })
    .await;
    let found = inspect(&server.url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::AuthRequired, "{}", found.message);
    assert_eq!(found.server_info.unwrap().name, "plain");
}
