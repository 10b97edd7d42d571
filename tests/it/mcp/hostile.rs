//! Misbehaving servers: their outcomes, and their bounded cost.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entity::ServerType;
use personal_connectors::domain::inspection::{Inspection, Outcome};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use crate::support::mcp::{
    Plain, Reaction, Request, answer, head, inspect, json_answer, response, result, well_behaved,
};

const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";

async fn look(react: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> (Inspection, Plain) {
    let server = Plain::new(react).await;
    let found = inspect(&server.url, ServerType::Http).await;
    (found, server)
}

/// Inspects a server that reacts to every request alike, and compares the outcome.
async fn comes_to(name: &str, reaction: Reaction, outcome: Outcome, message: &str) -> Plain {
    let (found, server) = look(move |_| reaction.clone()).await;
    assert_eq!(found.outcome, outcome, "{name}: {}", found.message);
    assert!(found.message.contains(message), "{name}: {}", found.message);
    assert!(found.message.len() < 200, "{name}: {}", found.message);
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_speak_mcp() {
    use Outcome::{NotMcp, Unreachable};
    let html = "<!DOCTYPE html><title>Welcome</title>";
    let id_of = |id: Value| json!({ "jsonrpc": "2.0", "id": id, "result": {} }).to_string();
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], &[0; 10_000]].concat();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("[{}1]", "1,".repeat(400_000));
    let huge_header = format!("{JSON}x: {}\r\n", "a".repeat(1_000_000));
    let many_headers = format!("{JSON}{}", "x: a\r\n".repeat(10_000));
    #[rustfmt::skip]
    let alike = [
        ("HTML", answer(200, "content-type: text/html\r\n", html), NotMcp, "a message that is not JSON-RPC"),
        ("HTML that says JSON", answer(200, JSON, html), NotMcp, "a message that is not JSON-RPC"),
        ("no content type", answer(200, "", "{}"), NotMcp, "a message that is not JSON-RPC"),
        ("an empty body", answer(200, JSON, ""), NotMcp, "an empty body"),
        ("an empty object", answer(200, JSON, "{}"), NotMcp, "a message that is not JSON-RPC"),
        ("half a message", answer(200, JSON, "{\"jsonrpc\":\"2.0\""), NotMcp, "a message that is not JSON-RPC"),
        ("another version", answer(200, JSON, r#"{"jsonrpc":"1.0","id":0,"result":{}}"#), NotMcp, "a message that \
            is not JSON-RPC"),
        ("invalid UTF-8", answer(200, JSON, b"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"a\":\"\xff\xfe\"}}"), NotMcp,
            "answers against the MCP specification"),
        ("invalid UTF-8 in events", answer(200, EVENTS, b"data: \xff\xfe\n\n"), NotMcp, "that is not JSON-RPC"),
        ("events that are no messages", answer(200, EVENTS, "data: hello\n\n"), NotMcp, "that is not JSON-RPC"),
        ("a wrong id", answer(200, JSON, id_of(json!(99))), NotMcp, "the id of another request"),
        ("a wrong kind of id", answer(200, JSON, id_of(json!("x"))), NotMcp, "the id of another request"),
        ("a deep message", answer(200, JSON, deep), NotMcp, "more than this service accepts"),
        ("a message of many values", answer(200, JSON, wide), NotMcp, "more than this service accepts"),
        ("a coding that is none", answer(200, &format!("{JSON}content-encoding: gzip\r\n"), gzip), NotMcp, "its \
            Content-Encoding"),
        ("400", answer(400, "", ""), NotMcp, "status 400"),
        ("404", answer(404, "content-type: text/html\r\n", html), NotMcp, "status 404"),
        ("405", answer(405, "", ""), NotMcp, "status 405"),
        ("303", answer(303, "location: /\r\n", ""), NotMcp, "status 303"),
        ("304", answer(304, "", ""), NotMcp, "status 304"),
        ("500", answer(500, "", ""), Unreachable, "status 500"),
        ("503", answer(503, "content-type: text/html\r\n", html), Unreachable, "status 503"),
        ("429", answer(429, "retry-after: 1\r\n", ""), Unreachable, "status 429"),
        ("a huge header", answer(200, &huge_header, "{}"), Unreachable, "in the middle of an answer"),
        ("many headers", answer(200, &many_headers, "{}"), Unreachable, "in the middle of an answer"),
        ("no HTTP", Reaction::Send(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Unreachable, "in the middle of an answer"),
        ("closes at once", Reaction::Close, Unreachable, "in the middle of an answer"),
        ("a body cut short", answer(200, &format!("{JSON}content-length: 100\r\n"), "{"), Unreachable, "in the middle \
            of an answer"),
    ];
    for (name, reaction, outcome, message) in alike {
        comes_to(name, reaction, outcome, message).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_listens_there() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    for (url, claimed) in [
        (url.clone(), ServerType::Http),
        (url.replace("http", "ws"), ServerType::Websocket),
        (url.replace("http", "https"), ServerType::Http),
    ] {
        let found = inspect(&url, claimed).await;
        assert_eq!(found.outcome, Outcome::Unreachable, "{}", found.message);
        assert!(found.message.contains("no connection"), "{}", found.message);
    }
    let found = inspect("http://nowhere.invalid/mcp", ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Unreachable, "{}", found.message);
    assert!(
        found.message.contains("name is not known"),
        "{}",
        found.message
    );
    // A server without TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 X\r\n\r\n").await;
        }
    });
    for (scheme, claimed) in [("https", ServerType::Http), ("wss", ServerType::Websocket)] {
        let found = inspect(&plain.replace("http", scheme), claimed).await;
        assert_eq!(
            found.outcome,
            Outcome::Unreachable,
            "{scheme}: {}",
            found.message
        );
        assert!(
            found.message.contains("secure connection"),
            "{scheme}: {}",
            found.message
        );
    }
}

/// Each inspection ends at the time limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_takes_for_ever_is_left() {
    let drips = |headers| Reaction::Drip(head(200, headers));
    tokio::join!(
        comes_to("never answers", Reaction::Hang, Outcome::Timeout, "in time"),
        comes_to("drips JSON", drips(JSON), Outcome::Timeout, "in time"),
        comes_to("drips events", drips(EVENTS), Outcome::Timeout, "in time"),
        comes_to(
            "drips a head",
            Reaction::Drip(b"HTTP/1.1 200 OK\r\nx:".to_vec()),
            Outcome::Timeout,
            "in time"
        ),
    );
}

/// All connections of an ended inspection are closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_open_to_what_was_left() {
    for reaction in [
        Reaction::Hang,
        Reaction::Drip(head(200, JSON)),
        Reaction::Drip(head(200, EVENTS)),
    ] {
        let open = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (counted, reacting) = (open.clone(), reaction.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (open, reaction) = (counted.clone(), reacting.clone());
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while socket.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                        if let Reaction::Drip(beginning) = &reaction {
                            let _ = socket.write_all(beginning).await;
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        let found = inspect(&url, ServerType::Http).await;
        assert_eq!(found.outcome, Outcome::Timeout, "{}", found.message);
        let ended = Instant::now();
        while open.load(Ordering::SeqCst) > 0 {
            assert!(
                ended.elapsed() < Duration::from_secs(2),
                "{reaction:?}: {open:?} are open"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_end_is_cut_off() {
    let much = vec![b' '; 64 * 1024];
    let event = format!(
        "data: {}\n\n",
        json!({ "jsonrpc": "2.0", "method": "notifications/message",
            "params": { "level": "info", "data": "x".repeat(1000) } })
    );
    let too_much = "more than this service accepts";
    for (name, headers, more) in [
        ("JSON", JSON, much.clone()),
        ("one event", EVENTS, much),
        ("events", EVENTS, event.into_bytes()),
    ] {
        let endless = Reaction::Endless(head(200, headers), more);
        let server = comes_to(name, endless, Outcome::NotMcp, too_much).await;
        // The count includes bytes in socket buffers.
        let written = *server.written.lock().unwrap();
        assert!(written < 64 * 1024 * 1024, "{name}: {written}");
    }
    // Heads and framing count like their content.
    let chunked = head(200, &format!("{JSON}transfer-encoding: chunked\r\n"));
    let extension = format!("1;{}\r\n \r\n", "x".repeat(10_000)).into_bytes();
    let informational = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    let hints = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n",
        "x".repeat(1000)
    );
    for (name, beginning, more) in [
        ("100 Continue", Vec::new(), informational.repeat(1000)),
        ("103 Early Hints", Vec::new(), hints.repeat(10).into_bytes()),
    ] {
        let endless = Reaction::Endless(beginning, more);
        let server = comes_to(name, endless, Outcome::NotMcp, too_much).await;
        let written = *server.written.lock().unwrap();
        assert!(written < 64 * 1024 * 1024, "{name}: {written}");
    }
    let headers = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, beginning, more) in [
        ("headers", headers, b"x: a\r\n".to_vec()),
        ("chunk extensions", chunked, extension),
    ] {
        let endless = Reaction::Endless(beginning, more);
        let message = "in the middle of an answer";
        comes_to(name, endless, Outcome::Unreachable, message).await;
    }
}

/// Inspects a server that lists these tools, in one page or more.
async fn with_tools(
    page: impl Fn(&Request) -> Value + Send + Sync + 'static,
) -> (Inspection, Plain) {
    let (found, server) = look(move |request| match request.asks() {
        "tools/list" => json_answer(&response(request, &page(request))),
        _ => well_behaved(request),
    })
    .await;
    // The server speaks MCP, whatever its tools are.
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    (found, server)
}

fn tool(number: usize) -> Value {
    json!({ "name": format!("tool{number}"), "inputSchema": { "type": "object" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tools_than_anybody_needs() {
    // In one message that exceeds the limit.
    let (found, _) =
        with_tools(|_| json!({ "tools": (0..100_000).map(tool).collect::<Vec<_>>() })).await;
    assert!(found.tools.is_empty());
    assert!(
        found.message.contains("list is incomplete"),
        "{}",
        found.message
    );
    // In endless pages, and in one page that repeats.
    let (found, server) = with_tools(|request| {
        let from = request.body["params"]["cursor"].as_str().unwrap_or("0").parse().unwrap();
        json!({ "tools": (from..from + 100).map(tool).collect::<Vec<_>>(), "nextCursor": (from + 100).to_string() })
    })
    .await;
    assert_eq!(found.tools.len(), 1000);
    assert!(
        found
            .message
            .contains("more tools than this service stores"),
        "{}",
        found.message
    );
    assert_eq!(
        server
            .asked()
            .iter()
            .filter(|asks| *asks == "tools/list")
            .count(),
        10
    );
    let (found, server) =
        with_tools(|_| json!({ "tools": [tool(1)], "nextCursor": "again" })).await;
    // A repeated tool counts once.
    assert_eq!(found.tools.len(), 1);
    assert!(
        found
            .message
            .contains("more tools than this service stores"),
        "{}",
        found.message
    );
    assert_eq!(
        server
            .asked()
            .iter()
            .filter(|asks| *asks == "tools/list")
            .count(),
        2
    );
    // In pages without tools.
    let count = std::sync::atomic::AtomicUsize::new(0);
    let (found, server) = with_tools(move |_| {
        let next = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        json!({ "tools": [], "nextCursor": next.to_string() })
    })
    .await;
    assert!(
        found.message.contains("list is incomplete"),
        "{}",
        found.message
    );
    assert!(server.asked().len() <= 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_another_make() {
    let mut wide = String::new();
    for n in 0..10_000 {
        write!(wide, "property {n}, ").unwrap();
    }
    let (found, _) = with_tools(move |_| {
        json!({ "tools": [
            { "name": "large", "description": wide, "inputSchema": { "type": "object", "description": wide } },
            { "name": "small", "inputSchema": { "b": 1, "a": 2 }, "outputSchema": { "type": "object" } },
        ] })
    })
    .await;
    assert_eq!(found.tools[0].description.as_ref().unwrap().len(), 8000);
    assert_eq!(found.tools[0].input_schema, None);
    assert_eq!(
        found.tools[1].input_schema.as_deref(),
        Some(r#"{"b":1,"a":2}"#)
    );
    for page in [json!({ "tools": 1 }), json!({}), json!([])] {
        let (found, _) = with_tools(move |_| page.clone()).await;
        assert!(found.tools.is_empty());
        assert!(found.message.contains("list"), "{}", found.message);
    }
    // Pages that arrived before the failure are kept.
    for reaction in [Reaction::Hang, Reaction::Close] {
        let (found, _) = look(move |request| match request.asks() {
            "tools/list" if request.body["params"]["cursor"] == "2" => reaction.clone(),
            "tools/list" => {
                let page = json!({ "tools": [tool(1)], "nextCursor": "2" });
                json_answer(&response(request, &page))
            }
            _ => well_behaved(request),
        })
        .await;
        assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
        assert_eq!(found.tools.len(), 1, "{}", found.message);
        assert!(
            found.message.contains("list is incomplete"),
            "{}",
            found.message
        );
    }
    // A server that becomes silent, or stops speaking MCP.
    for reaction in [
        Reaction::Hang,
        Reaction::Close,
        answer(500, "", ""),
        answer(200, JSON, "{"),
    ] {
        let (found, _) = look(move |request| match request.asks() {
            "tools/list" => reaction.clone(),
            _ => well_behaved(request),
        })
        .await;
        assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
        assert!(
            found.message.contains("list is incomplete"),
            "{}",
            found.message
        );
    }
}

/// 256 KiB of a server's tools are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_much_text() {
    let (found, _) = with_tools(|request| {
        let from: usize = request.body["params"]["cursor"]
            .as_str()
            .unwrap_or("0")
            .parse()
            .unwrap();
        let tool = |n| {
            json!({ "name": format!("tool{n}"), "inputSchema": { "type": "object",
            "description": "x".repeat(60_000) } })
        };
        let tools: Vec<_> = (from..from + 10).map(tool).collect();
        json!({ "tools": tools, "nextCursor": (from < 30).then(|| (from + 10).to_string()) })
    })
    .await;
    assert!(found.tools_listed);
    assert_eq!(found.tools.len(), 40, "{}", found.message);
    let with_schemas = found
        .tools
        .iter()
        .filter(|tool| tool.input_schema.is_some())
        .count();
    assert_eq!(with_schemas, 4);
    assert!(
        found.message.contains("more text than this service stores"),
        "{}",
        found.message
    );
}

/// The message has none of a server's text, and only a little of its names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_any_length() {
    let (found, _) = look(|request| {
        let Some(mut result) = result(request) else {
            return well_behaved(request);
        };
        if request.asks() == "initialize" {
            let long = "é".repeat(100_000);
            result["serverInfo"] = json!({
                "name": long,
                "version": long,
                "icons": [
                    { "src": "javascript:alert(1)" },
                    { "src": "http://169.254.169.254/" },
                    { "src": "https://icons.example/a.png" },
                    { "src": format!("data:image/png;base64,{}", "A".repeat(100_000)) },
                ],
            });
            result["instructions"] = json!(long);
            result["protocolVersion"] = json!("2099-01-01");
        }
        json_answer(&response(request, &result))
    })
    .await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    let server = found.server_info.unwrap();
    assert_eq!(
        (server.name.chars().count(), server.version.chars().count()),
        (8000, 8000)
    );
    assert_eq!(server.icons, ["https://icons.example/a.png"]);
    assert_eq!(found.instructions.unwrap().chars().count(), 8000);
    assert_eq!(found.message, "The server speaks MCP.");
}

/// A session that its server does not end delays nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_end() {
    let (found, server) = look(|request| match (request.method.as_str(), request.asks()) {
        ("DELETE", _) => Reaction::Hang,
        (_, "initialize") => answer(
            200,
            &format!("{JSON}mcp-session-id: 1\r\n"),
            response(request, &result(request).unwrap()).to_string(),
        ),
        _ => well_behaved(request),
    })
    .await;
    assert_eq!(
        (found.outcome, found.tools.len()),
        (Outcome::Open, 2),
        "{}",
        found.message
    );
    assert!(
        server
            .requests
            .lock()
            .unwrap()
            .iter()
            .any(|request| request.method == "DELETE")
    );
}
