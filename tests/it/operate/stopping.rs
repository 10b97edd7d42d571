//! The stop of the service: the work that it finishes or refuses, and its end.

use std::{
    future::Future,
    io::{Read, Write},
    net::TcpStream as BlockingStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::support::{
    clients::subscribers::{CHANGED, LONG, Socket},
    harness::{TestDatabase, client, rows},
    mutations::{CREATE, draft, mutation},
    process::{Serving, program_on, token},
    waiting::within,
};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";

fn start(storage: &TestDatabase, flags: &[&str]) -> Serving {
    Serving::start(program_on(storage, flags))
}

fn address(server: &Serving) -> String {
    let address = server.url.trim_start_matches("http://");
    address.trim_end_matches("/graphql").to_owned()
}

/// Waits until new connections are refused.
async fn refused(address: &str) {
    let is_refused = async || TcpStream::connect(address).await.is_err();
    within(LONG, "new connections are refused", is_refused).await;
}

/// Sends a request over a connection, and reads the head of the response.
fn ask(stream: &mut BlockingStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut bytes = [0; 2000];
    let read = stream.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_ends_before_the_listener_closes() {
    let storage = TestDatabase::sqlite();
    let mut server = start(&storage, &["--drain-delay", "3s"]);
    let address = address(&server);
    let mut kept = BlockingStream::connect(&address).unwrap();
    let mut idle = BlockingStream::connect(&address).unwrap();
    for stream in [&mut kept, &mut idle] {
        let head = ask(stream, LIVE);
        assert!(!head.contains("connection: close"), "{head}");
    }
    let mut socket = Socket::at(&server.url, "").await;
    let is_ready = async || server.get("/health/ready").await.0 == 200;
    within(LONG, "it is ready", is_ready).await;

    let began = Instant::now();
    server.process.signal("TERM");
    let mut report = String::new();
    let drains = async || {
        let (status, text) = server.get("/health/ready").await;
        report = text;
        status == 503
    };
    let took = within(LONG, "it drains", drains).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let expected = json!({ "ready": false, "reason": "the service stops" });
    assert_eq!(report, expected);

    // Requests over old and new connections are answered, and each connection ends with the response.
    let mut new = BlockingStream::connect(&address).unwrap();
    for stream in [&mut kept, &mut new] {
        let head = ask(stream, LIVE);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0);
    }
    socket.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(socket.next().await["type"], "next");
    assert_eq!(socket.next().await["type"], "complete");
    let mut late = Socket::at(&server.url, "").await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "the machine is too slow"
    );

    refused(&address).await;
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(socket.closed().await.0, 1001);
    assert_eq!(late.closed().await.0, 1001);
    assert_eq!(idle.read(&mut [0; 100]).unwrap(), 0);
    server.process.wait().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_waits_for_no_load_balancer() {
    let storage = TestDatabase::sqlite();
    let mut server = start(&storage, &["--drain-delay", "1h"]);
    let began = Instant::now();
    server.process.signal("INT");
    server.process.wait().ok();
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// A client that sends requests repeatedly, over reused or new connections.
struct Asking {
    address: String,
    keeps: bool,
    answered: Arc<AtomicUsize>,
}

impl Asking {
    /// Sends requests until the service is gone. Returns how a request was lost, if one was.
    async fn until_refused(self) -> Option<String> {
        let mut kept: Option<BufReader<TcpStream>> = None;
        loop {
            let mut stream = match kept.take() {
                // A client may find that its connection ended before it sends anything.
                Some(stream) if stream.get_ref().try_read(&mut [0]).is_err() => stream,
                _ => match TcpStream::connect(&self.address).await {
                    Ok(stream) => BufReader::new(stream),
                    Err(_) => return None,
                },
            };
            match exchange(&mut stream).await {
                Ok(closes) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    kept = (self.keeps && !closes).then_some(stream);
                }
                Err(error) => return Some(error.to_string()),
            }
        }
    }
}

/// Sends a request and reads its response. Returns whether the connection ends with it.
async fn exchange(stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    const REQUEST: &[u8] =
        b"GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n";
    stream.write_all(REQUEST).await?;
    let (mut length, mut closes) = (0, false);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            None if line == "\r\n" => break,
            None => assert!(line.starts_with("HTTP/1.1 200"), "{line}"),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("connection", value)) => closes = value == "close",
            Some(_) => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(closes)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_in_thirty_stops() {
    const CLIENTS: usize = 8;
    let storage = TestDatabase::sqlite();
    for stop in 0..30 {
        let mut server = start(&storage, &["--drain-delay", "0s"]);
        let answered = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for number in 0..2 * CLIENTS {
            let client = Asking {
                address: address(&server),
                keeps: number % 2 == 0,
                answered: answered.clone(),
            };
            clients.spawn(client.until_refused());
        }
        let is_busy = async || answered.load(Ordering::Relaxed) > 20 * CLIENTS;
        within(LONG, "clients are answered", is_busy).await;
        server.process.signal(["INT", "TERM"][stop % 2]);
        server.process.wait().ok();
        for lost in clients.join_all().await {
            assert_eq!(lost, None, "stop {stop}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_which_a_part_has_arrived_is_answered() {
    let storage = TestDatabase::sqlite();
    let mut server = start(&storage, &[]);
    let address = address(&server);
    let connect = || {
        let mut stream = BlockingStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert!(ask(&mut stream, LIVE).starts_with("HTTP/1.1 200"));
        stream
    };
    let (mut idle, mut asking) = (connect(), connect());
    let (first, second) = LIVE.split_at(30);
    asking.write_all(first).unwrap();
    server.process.signal("TERM");
    // Idle connections are closed, and the other one is not.
    assert_eq!(idle.read(&mut [0; 100]).unwrap(), 0);
    let head = ask(&mut asking, second);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    server.process.wait().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_socket_is_closed_with_1001() {
    const SOCKETS: usize = 600;
    let storage = TestDatabase::sqlite();
    let mut server = start(&storage, &["--max-sockets", "0"]);
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let mut socket = Socket::at(&server.url, "").await;
        if number % 2 == 0 {
            socket.subscribe("1", CHANGED, json!({})).await;
        }
        sockets.push(socket);
    }
    server.process.signal("TERM");
    let mut closed = JoinSet::new();
    for mut socket in sockets {
        closed.spawn(async move { socket.closed().await });
    }
    for (code, reason, before) in closed.join_all().await {
        assert_eq!((code, reason.as_str()), (1001, "the service stops"));
        // A client without a "complete" subscribes again.
        assert_eq!(before, Vec::<Value>::new());
    }
    server.process.wait().ok();
}

/// Takes a lock for which changes wait until it is released.
async fn lock(storage: &TestDatabase) -> SqliteConnection {
    let mut other = SqliteConnection::connect(&storage.url).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    other
}

/// Starts a process whose changes wait for a lock.
async fn locked(flags: &[&str]) -> (TestDatabase, Serving, SqliteConnection) {
    let storage = TestDatabase::sqlite();
    let waits = ["--request-timeout", "30s", "--database-wait", "30s"];
    let server = start(&storage, &[&waits, flags].concat());
    let other = Box::pin(lock(&storage)).await;
    (storage, server, other)
}

/// Begins a change over a new socket, which waits for a lock.
async fn change_over_a_socket(server: &Serving) -> Socket {
    let ann = token("ann@acme", "connectors:write");
    let mut socket = Socket::at(&server.url, &ann).await;
    socket.subscribe("feed", CHANGED, json!({})).await;
    let variables = json!({ "input": draft("Wiki", json!({})) });
    socket
        .subscribe("change", &mutation(CREATE), variables)
        .await;
    // Messages are handled in order, so the change has begun when this is answered.
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await["type"], "pong");
    socket
}

const MADE: &str = "SELECT COUNT(*) FROM personal_connector WHERE name = 'Wiki'";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_over_a_socket_is_finished() {
    let (storage, mut server, mut other) = locked(&[]).await;
    let mut socket = change_over_a_socket(&server).await;
    server.process.signal("TERM");
    refused(&address(&server)).await;
    // No more operations begin.
    socket.subscribe("late", "{ __typename }", json!({})).await;
    let late = socket.next().await;
    assert_eq!(
        (&late["id"], &late["type"]),
        (&json!("late"), &json!("error"))
    );
    let unavailable = json!({ "code": "UNAVAILABLE", "retryAfter": 1 });
    assert_eq!(late["payload"][0]["extensions"], unavailable);
    other.execute("ROLLBACK").await.unwrap();
    let (code, _, before) = socket.closed().await;
    assert_eq!(code, 1001);
    let told: Vec<_> = before
        .iter()
        .map(|message| (&message["id"], &message["type"]))
        .collect();
    let id = json!("change");
    assert_eq!(told, [(&id, &json!("next")), (&id, &json!("complete"))]);
    let payload = &before[0]["payload"];
    assert_eq!(
        payload["data"][CREATE]["userErrors"],
        json!([]),
        "{payload}"
    );
    assert_eq!(rows(&storage.url, MADE).await, "1\n");
    server.process.wait().ok();
    assert_eq!(rows(&storage.url, MADE).await, "1\n");
}

fn events(server: &Serving, body: &Value) -> impl Future<Output = reqwest::Response> + use<> {
    let ann = token("ann@acme", "connectors:write");
    let request = client()
        .post(&server.url)
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .bearer_auth(ann)
        .body(body.to_string());
    async { request.send().await.unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_over_an_event_stream_is_finished() {
    let (storage, mut server, mut other) = locked(&[]).await;
    let input = json!({ "input": draft("Wiki", json!({})) });
    let change = json!({ "query": mutation(CREATE), "variables": input });
    let change = events(&server, &change).await;
    let feed = events(&server, &json!({ "query": CHANGED })).await;
    server.process.signal("TERM");
    // The subscription ends without "complete", so its client retries.
    let feed = feed.text().await.unwrap();
    assert!(
        feed.contains(r#""code":"UNAVAILABLE","retryAfter":1"#)
            && !feed.contains("event: complete"),
        "{feed}"
    );
    refused(&address(&server)).await;
    other.execute("ROLLBACK").await.unwrap();
    let text = change.text().await.unwrap();
    assert!(
        text.contains("event: next") && text.contains(r#""userErrors":[]"#),
        "{text}"
    );
    assert!(text.ends_with("event: complete\ndata:\n\n"), "{text}");
    server.process.wait().ok();
    assert_eq!(rows(&storage.url, MADE).await, "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_would_end_at_once_is_refused() {
    let (_storage, mut server, mut other) = locked(&[]).await;
    let mut socket = change_over_a_socket(&server).await;
    let address = address(&server);
    let body = json!({ "query": CHANGED }).to_string();
    let length = body.len();
    let subscribe = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         accept: text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let upgrade = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    // A part has arrived, so the connections stay open.
    let begun = [subscribe.as_str(), upgrade].map(|request| {
        let mut stream = BlockingStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let (first, second) = request.split_at(20);
        stream.write_all(first.as_bytes()).unwrap();
        (stream, second)
    });
    server.process.signal("TERM");
    refused(&address).await;
    for (mut stream, rest) in begun {
        let head = ask(&mut stream, rest.as_bytes());
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(head.contains("UNAVAILABLE"), "{head}");
    }
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(socket.closed().await.0, 1001);
    server.process.wait().ok();
}

/// One deadline for everything: requests, sockets, the database and the collector of spans.
#[tokio::test(flavor = "multi_thread")]
async fn everything_ends_by_one_deadline() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}", silent.local_addr().unwrap());
    let flags = ["--shutdown-timeout", "3s", "--otlp-endpoint", &collector];
    let (_storage, mut server, _other) = locked(&flags).await;
    let mut socket = change_over_a_socket(&server).await;
    let input = json!({ "input": draft("Other", json!({})) });
    let change = json!({ "query": mutation(CREATE), "variables": input });
    let change = events(&server, &change).await;
    let began = Instant::now();
    server.process.signal("TERM");
    // The last part of the time is reserved for this.
    let (code, _, before) = socket.closed().await;
    assert_eq!((code, before), (1001, Vec::new()));
    let done = server.process.wait();
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_millis(3800),
        "{took:?}"
    );
    assert!(done.err.contains("are cut"), "{}", done.err);
    assert!(
        !change
            .text()
            .await
            .is_ok_and(|text| text.contains("complete"))
    );
    done.ok();
}
