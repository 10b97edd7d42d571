//! The table of docs/reference/outcomes.md for HTTP+SSE and WebSocket, whose responses use another path than the
//! requests. Each server is inspected 30 times at once, always with the same outcome.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use entity::ServerType;
use futures_util::{SinkExt, StreamExt};
use personal_connectors::domain::inspection::{Outcome, Transport};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::{
    mcp::{open_message, verdicts::steady},
    support::mcp::{Plain, Reaction, Request, answer, read, response, result},
};

/// The reaction of an HTTP+SSE server to a request.
#[derive(Clone, Debug)]
enum Legacy {
    /// The status of the POST, followed by an event.
    Says(u16, Option<String>),
    /// The same, after which the stream ends.
    SaysAndEnds(u16, Option<String>),
    /// The event before the status.
    SaysFirst(u16, Option<String>),
    /// The POST has no answer, but the stream has.
    NeverAccepts(String),
    /// The connection of the POST is closed.
    Breaks,
}

fn well(request: &Request) -> Legacy {
    let result = result(request);
    Legacy::Says(
        202,
        result.map(|result| response(request, &result).to_string()),
    )
}

type React = Arc<dyn Fn(&Request) -> Legacy + Send + Sync>;
type Streams = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Option<String>>>>>;

/// Starts an HTTP+SSE server whose streams begin in a given way.
async fn legacy(
    beginning: &str,
    react: impl Fn(&Request) -> Legacy + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    let (beginning, react): (_, React) = (beginning.to_owned(), Arc::new(react));
    let (streams, ids) = (Streams::default(), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let id = ids.fetch_add(1, Ordering::Relaxed).to_string();
            tokio::spawn(serve(
                socket,
                id,
                beginning.clone(),
                react.clone(),
                streams.clone(),
            ));
        }
    });
    url
}

async fn serve(
    mut socket: TcpStream,
    id: String,
    beginning: String,
    react: React,
    streams: Streams,
) -> Option<()> {
    let request = read(&mut socket).await?;
    if (request.method.as_str(), request.path.as_str()) == ("GET", "/sse") {
        let (sender, mut messages) = mpsc::unbounded_channel();
        let head =
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";
        let endpoint = format!("event: endpoint\ndata: /messages/{id}\n\n");
        let text = beginning.replace("ENDPOINT", &endpoint);
        streams.lock().unwrap().insert(id, sender);
        socket
            .write_all(format!("{head}{text}").as_bytes())
            .await
            .ok()?;
        while let Some(Some(message)) = messages.recv().await {
            let event = format!("event: message\ndata: {message}\n\n");
            socket.write_all(event.as_bytes()).await.ok()?;
        }
        return Some(());
    }
    let stream = request.path.strip_prefix("/messages/");
    let stream = stream.and_then(|id| streams.lock().unwrap().get(id).cloned());
    let accepted = |status: u16| {
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .into_bytes()
    };
    let Some(stream) = stream else {
        socket.write_all(&accepted(405)).await.ok()?;
        return Some(());
    };
    let say = |message: Option<String>| message.map(|message| stream.send(Some(message)));
    match react(&request) {
        Legacy::Says(status, message) => {
            socket.write_all(&accepted(status)).await.ok()?;
            say(message);
        }
        Legacy::SaysAndEnds(status, message) => {
            say(message);
            let _ = stream.send(None);
            socket.write_all(&accepted(status)).await.ok()?;
        }
        Legacy::SaysFirst(status, message) => {
            say(message);
            tokio::task::yield_now().await;
            socket.write_all(&accepted(status)).await.ok()?;
        }
        Legacy::NeverAccepts(message) => {
            say(Some(message));
            std::future::pending::<()>().await;
        }
        Legacy::Breaks => {}
    }
    Some(())
}

/// A ping, a `retry:`, an id, a comment and more may come before the event `endpoint`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_endpoint_may_come_after_other_events() {
    let many = format!("{}ENDPOINT", "event: ping\ndata: {}\n\n".repeat(1000));
    for beginning in [
        "ENDPOINT",
        ": hello\n\nENDPOINT",
        "retry: 3000\n\nENDPOINT",
        "retry: soon\n\nENDPOINT",
        "id: 1\ndata:\n\nENDPOINT",
        "event: ping\ndata: {}\n\nENDPOINT",
        "data: hello\n\nENDPOINT",
        "unknown: x\nalone\n\nENDPOINT",
        "\u{feff}: hello\r\n\r\nevent: ping\r\ndata\r\n\r\nENDPOINT",
        &many,
    ] {
        let url = legacy(beginning, well).await;
        let name = &beginning[..beginning.len().min(40)];
        let found = steady(name, &url, ServerType::Http).await;
        assert_eq!(found.outcome, Outcome::Open, "{name}: {}", found.message);
        assert_eq!(found.message, open_message(Transport::Sse), "{name}");
        assert_eq!(
            (found.transport, found.tools.len()),
            (Some(Transport::Sse), 2),
            "{name}"
        );
    }
}

/// The message has the failure of the attempt that got furthest. A stream without an endpoint got further than a POST
/// that is answered with 405.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_leads_nowhere_says_so() {
    for (beginning, message) in [
        ("", "without the address for messages"),
        (
            "event: ping\ndata: {}\n\n",
            "without the address for messages",
        ),
        (
            "event: endpoint\ndata: http://127.0.0.2/\n\n",
            "has messages sent to another host",
        ),
        (
            "event: endpoint\ndata: http://[\n\n",
            "without the address for messages",
        ),
    ] {
        let url = legacy(beginning, well).await;
        let found = steady(beginning, &url, ServerType::Http).await;
        assert_eq!(
            found.outcome,
            Outcome::NotMcp,
            "{beginning}: {}",
            found.message
        );
        assert!(
            found.message.contains(message),
            "{beginning}: {}",
            found.message
        );
    }
    // A stream that ends before its endpoint.
    let plain = Plain::new(|request| match request.method.as_str() {
        "GET" => answer(
            200,
            "content-type: text/event-stream\r\n",
            "event: ping\ndata:\n\n",
        ),
        _ => answer(405, "", ""),
    })
    .await;
    let found = steady("an end", &plain.url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::NotMcp, "{}", found.message);
    assert!(
        found.message.contains("address for messages"),
        "{}",
        found.message
    );
    // A refused GET outranks a POST that is not allowed.
    for (status, outcome) in [
        (401, Outcome::AuthRequired),
        (403, Outcome::NotMcp),
        (429, Outcome::Unreachable),
        (503, Outcome::Unreachable),
    ] {
        let plain = Plain::new(move |request| match request.header("upgrade") {
            None if request.method == "GET" && request.path == "/sse" => answer(status, "", ""),
            _ => answer(405, "", ""),
        })
        .await;
        let url = format!("{}/sse", plain.url);
        let found = steady(&status.to_string(), &url, ServerType::Http).await;
        assert_eq!(found.outcome, outcome, "{status}: {}", found.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_and_its_stream_come_to_one_verdict() {
    use Outcome::{AuthRequired, NotMcp, Open, Unreachable};
    let error =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "no" } });
    let another = json!({ "jsonrpc": "2.0", "id": 99, "result": {} });
    let (error, another) = (error.to_string(), another.to_string());
    #[rustfmt::skip]
    let table = [
        // The method, the reaction, and the outcome.
        ("initialize", Legacy::Says(401, None), AuthRequired, "asks for a sign-in"),
        ("initialize", Legacy::SaysAndEnds(401, None), AuthRequired, "asks for a sign-in"),
        ("initialize", Legacy::SaysAndEnds(202, None), Unreachable, "in the middle of an answer"),
        ("initialize", Legacy::Says(503, None), Unreachable, "status 503"),
        ("initialize", Legacy::SaysAndEnds(503, None), Unreachable, "status 503"),
        ("initialize", Legacy::Says(404, None), NotMcp, "status 404"),
        ("initialize", Legacy::Breaks, Unreachable, "in the middle of an answer"),
        ("initialize", Legacy::Says(202, Some("hello".to_owned())), NotMcp, "a message that is not JSON-RPC"),
        ("initialize", Legacy::Says(202, Some(error.clone())), NotMcp, "refuses to begin a session"),
        ("initialize", Legacy::Says(202, Some(another.clone())), NotMcp, "the id of another request"),
        ("tools/list", Legacy::Says(401, None), AuthRequired, "asks for a sign-in before it lists"),
        ("tools/list", Legacy::SaysAndEnds(401, None), AuthRequired, "asks for a sign-in before it lists"),
        ("tools/list", Legacy::SaysAndEnds(202, None), Open, "it ends the connection in the middle"),
        ("tools/list", Legacy::Says(500, None), Open, "it answers with HTTP status 500"),
        ("tools/list", Legacy::Says(202, Some(error)), Open, "does not follow the MCP specification"),
        ("tools/list", Legacy::Says(202, Some(another)), Open, "it answers with the id of another request"),
    ];
    for (method, reaction, outcome, message) in table {
        let name = format!("{method} {reaction:?}");
        let react = move |request: &Request| match request.asks() {
            asks if asks == method => reaction.clone(),
            _ => well(request),
        };
        let found = steady(&name, &legacy("ENDPOINT", react).await, ServerType::Http).await;
        assert_eq!(found.outcome, outcome, "{name}: {}", found.message);
        assert!(found.message.contains(message), "{name}: {}", found.message);
        assert!(
            !found.message.contains("in time"),
            "{name}: {}",
            found.message
        );
    }
    // Working servers with different behaviour.
    let reply =
        |request: &Request| result(request).map(|result| response(request, &result).to_string());
    let last = move |request: &Request| match request.asks() {
        "prompts/list" => Legacy::SaysAndEnds(202, reply(request)),
        _ => well(request),
    };
    let first = move |request: &Request| Legacy::SaysFirst(200, reply(request));
    let never = move |request: &Request| match reply(request) {
        Some(reply) if request.asks() == "tools/list" => Legacy::NeverAccepts(reply),
        _ => well(request),
    };
    let notified = move |request: &Request| match reply(request) {
        None => Legacy::Breaks,
        _ => well(request),
    };
    let texts = move |request: &Request| {
        let Some(result) = result(request) else {
            return well(request);
        };
        let mut reply = response(request, &result);
        reply["id"] = json!(request.body["id"].to_string());
        Legacy::Says(202, Some(reply.to_string()))
    };
    for (name, url) in [
        ("ends after its last answer", legacy("ENDPOINT", last).await),
        ("answers before it accepts", legacy("ENDPOINT", first).await),
        ("never accepts", legacy("ENDPOINT", never).await),
        (
            "breaks after a notification",
            legacy("ENDPOINT", notified).await,
        ),
        ("ids are texts", legacy("ENDPOINT", texts).await),
    ] {
        let found = steady(name, &url, ServerType::Http).await;
        assert_eq!(found.outcome, Open, "{name}: {}", found.message);
        assert_eq!(found.message, open_message(Transport::Sse), "{name}");
        assert_eq!(found.tools.len(), 2, "{name}");
    }
}

/// The reaction of a WebSocket server.
#[derive(Clone, Debug)]
enum Socket {
    Says(String),
    Closes(u16),
    SaysAndCloses(String, u16),
    Drops,
    Nothing,
}

async fn websocket(react: impl Fn(&Request) -> Socket + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/mcp", listener.local_addr().unwrap());
    let react = Arc::new(react);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let react = react.clone();
            tokio::spawn(async move {
                let mut socket = accept_async(socket).await.ok()?;
                while let Some(Ok(message)) = socket.next().await {
                    let Ok(text) = message.to_text() else {
                        continue;
                    };
                    let body: Value = serde_json::from_str(text).unwrap_or_default();
                    let request = Request {
                        method: String::new(),
                        path: String::new(),
                        head: String::new(),
                        body,
                    };
                    let close = |code: u16| CloseFrame {
                        code: code.into(),
                        reason: "".into(),
                    };
                    match react(&request) {
                        Socket::Says(text) => socket.send(Message::text(text)).await.ok()?,
                        Socket::Closes(code) => socket.close(Some(close(code))).await.ok()?,
                        Socket::SaysAndCloses(text, code) => {
                            socket.send(Message::text(text)).await.ok()?;
                            socket.close(Some(close(code))).await.ok()?;
                        }
                        Socket::Drops => return None,
                        Socket::Nothing => {}
                    }
                }
                Some(())
            });
        }
    });
    url
}

fn speaks(request: &Request) -> Socket {
    match result(request) {
        Some(result) => Socket::Says(response(request, &result).to_string()),
        None if request.asks() == "server/discover" => Socket::Drops,
        None => Socket::Nothing,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_codes_are_what_statuses_are() {
    use Outcome::{AuthRequired, NotMcp, Open, Unreachable};
    for (code, begins, lists) in [
        (1000, NotMcp, Open),
        (1001, Unreachable, Open),
        (1003, NotMcp, Open),
        (1008, NotMcp, Open),
        (1011, Unreachable, Open),
        (1012, Unreachable, Open),
        (1013, Unreachable, Open),
        (3000, AuthRequired, AuthRequired),
        (3003, NotMcp, Open),
        (4401, AuthRequired, AuthRequired),
        (4403, NotMcp, Open),
        (4999, NotMcp, Open),
    ] {
        let name = format!("begins and closes with {code}");
        let url = websocket(move |_| Socket::Closes(code)).await;
        let found = steady(&name, &url, ServerType::Websocket).await;
        assert_eq!(found.outcome, begins, "{name}: {}", found.message);
        let name = format!("lists and closes with {code}");
        let url = websocket(move |request| match request.asks() {
            "tools/list" => Socket::Closes(code),
            _ => speaks(request),
        })
        .await;
        let found = steady(&name, &url, ServerType::Websocket).await;
        assert_eq!(found.outcome, lists, "{name}: {}", found.message);
        assert!(
            !found.message.contains("in time"),
            "{name}: {}",
            found.message
        );
        // An earlier response counts.
        let name = format!("answers and closes with {code}");
        let url = websocket(move |request| match speaks(request) {
            Socket::Says(text) if request.asks() == "prompts/list" => {
                Socket::SaysAndCloses(text, code)
            }
            other => other,
        })
        .await;
        let found = steady(&name, &url, ServerType::Websocket).await;
        assert_eq!(
            (found.outcome, found.tools.len()),
            (Open, 2),
            "{name}: {}",
            found.message
        );
        assert_eq!(found.message, "The server speaks MCP.", "{name}");
    }
    let url = websocket(|_| Socket::Drops).await;
    let found = steady("drops", &url, ServerType::Websocket).await;
    assert_eq!(found.outcome, Unreachable, "{}", found.message);
    // Without an id, it belongs to the last request.
    let error = r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"no"}}"#;
    let url = websocket(move |request| match request.asks() {
        "tools/list" => Socket::Says(error.to_owned()),
        _ => speaks(request),
    })
    .await;
    let found = steady("an error without an id", &url, ServerType::Websocket).await;
    assert_eq!(found.outcome, Open, "{}", found.message);
    assert!(
        found
            .message
            .contains("does not follow the MCP specification"),
        "{}",
        found.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_is_refused() {
    use Outcome::{AuthRequired, NotMcp, Unreachable};
    for (status, claimed, outcome) in [
        (200, ServerType::Websocket, NotMcp),
        (302, ServerType::Websocket, NotMcp),
        (401, ServerType::Websocket, AuthRequired),
        (403, ServerType::Websocket, NotMcp),
        (404, ServerType::Websocket, NotMcp),
        (426, ServerType::Websocket, NotMcp),
        (429, ServerType::Websocket, Unreachable),
        (503, ServerType::Websocket, Unreachable),
        // Many HTTP servers answer an upgrade with such a status, so it counts only for a claimed WebSocket.
        (401, ServerType::Http, AuthRequired),
        (403, ServerType::Http, NotMcp),
        (429, ServerType::Http, NotMcp),
        (503, ServerType::Http, NotMcp),
    ] {
        let name = format!("{status} {claimed:?}");
        let plain = Plain::new(move |request| match request.header("upgrade") {
            Some(_) => answer(status, "", ""),
            None => answer(404, "", ""),
        })
        .await;
        let found = steady(&name, &plain.url, claimed).await;
        assert_eq!(found.outcome, outcome, "{name}: {}", found.message);
        let status = match claimed {
            _ if outcome == AuthRequired => "sign-in".to_owned(),
            ServerType::Websocket => format!("status {status}"),
            _ => "status 404".to_owned(),
        };
        assert!(found.message.contains(&status), "{name}: {}", found.message);
    }
    let plain = Plain::new(|_| Reaction::Close).await;
    let found = steady("closes", &plain.url, ServerType::Websocket).await;
    assert_eq!(found.outcome, Unreachable, "{}", found.message);
}
