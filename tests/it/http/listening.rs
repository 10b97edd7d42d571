//! The addresses that the service listens on: names, all addresses, and Unix sockets.

use std::{
    fs,
    net::TcpListener as BlockingListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::HeaderValue, routing::get};
use futures_util::{SinkExt, StreamExt};
use personal_connectors::{
    config::ListenAddress,
    http::{
        connections::listener::{Listener, Reachable},
        serve::{Bounds, serve},
        stopping::Stopping,
    },
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::support::{
    harness::TestDatabase,
    process::{Process, Serving, program_on, run},
    waiting::within,
};

const LONG: Duration = Duration::from_secs(30);
const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const QUERY: &str = r#"{"query":"{ viewer { userId } }"}"#;

/// Returns a query of the viewer, with an additional header.
fn viewer(header: &str) -> String {
    let length = QUERY.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{header}\r\n{QUERY}"
    )
}

fn start(storage: &TestDatabase, listen: &str, flags: &[&str]) -> Serving {
    let mut command = program_on(storage, flags);
    Serving::up(Process::spawn(command.env("CONNECTORS_LISTEN", listen)))
}

/// Returns the path of a socket in a temporary folder.
fn socket() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    (folder, path)
}

async fn over_unix(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(LONG, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

async fn over_tcp(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(LIVE.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Some machines have no IPv6.
fn has_ipv6() -> bool {
    BlockingListener::bind("[::1]:0").is_ok()
}

#[tokio::test]
async fn names_and_all_addresses() {
    let v6 = has_ipv6();
    for (listen, announced, on_v4, on_v6) in [
        ("127.0.0.1:0", "127.0.0.1", true, false),
        ("localhost:0", "localhost", true, v6),
        (":0", "127.0.0.1", true, v6),
        ("0.0.0.0:0", "127.0.0.1", true, false),
        ("[::]:0", "127.0.0.1", v6, v6),
        ("[::1]:0", "[::1]", false, v6),
    ] {
        if !v6 && listen.starts_with('[') {
            continue;
        }
        let address: ListenAddress = listen.parse().unwrap();
        let (listener, reachable) = Listener::bind(&[address], 0o660).await.unwrap();
        let [Reachable::Tcp { authority, is_any }] = &reachable[..] else {
            panic!("{reachable:?}");
        };
        let (host, port) = authority.rsplit_once(':').unwrap();
        assert_eq!(host, announced, "{listen}");
        let is_unspecified = [":0", "0.0.0.0:0", "[::]:0"].contains(&listen);
        assert_eq!(*is_any, is_unspecified, "{listen}");
        let router = Router::new().route("/health/live", get(async || "it lives"));
        let serving = tokio::spawn(serve(
            listener,
            router,
            Stopping::default(),
            Bounds::default(),
        ));
        for (host, answers) in [("127.0.0.1", on_v4), ("[::1]", on_v6), (announced, true)] {
            let answer = over_tcp(&format!("{host}:{port}")).await;
            assert_eq!(answer.is_some(), answers, "{listen} at {host}: {answer:?}");
        }
        serving.abort();
    }
}

#[tokio::test]
async fn a_port_of_several_addresses_is_taken_on_all_or_none() {
    if !has_ipv6() {
        return;
    }
    let taken = BlockingListener::bind("[::1]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let address: ListenAddress = format!("localhost:{port}").parse().unwrap();
    let refused = Listener::bind(&[address], 0o660).await.unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains(&format!("localhost:{port}")) && told.contains("in use"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_addresses_are_announced_and_served() {
    let storage = TestDatabase::sqlite();
    let (_folder, path) = socket();
    let (metrics, shown) = (path.with_extension("metrics"), path.display());
    let listen = format!("127.0.0.1:0, unix:{shown}");
    let flags = ["--metrics-listen", metrics.to_str().unwrap()];
    let server = start(&storage, &listen, &flags);
    assert_eq!(server.get("/health/live").await.0, 200);
    let answer = over_unix(&path, &viewer("")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = over_unix(
        &metrics,
        "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.contains("graphql_requests_total"), "{answer}");

    let mut request = "ws://localhost/graphql".into_client_request().unwrap();
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let stream = UnixStream::connect(&path).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let init = Message::text(r#"{"type":"connection_init"}"#);
    socket.send(init).await.unwrap();
    let message = socket.next().await.unwrap().unwrap();
    assert!(
        message.to_text().unwrap().contains("connection_ack"),
        "{message}"
    );
    drop(socket);

    let done = server.stop();
    let announced = done.out.clone();
    done.ok();
    assert!(!path.exists() && !metrics.exists());
    // The announced command works, with either version of HTTP.
    let line = format!("GraphQL at unix:{shown} (");
    let command = announced.lines().find_map(|text| text.strip_prefix(&line));
    let command = command.unwrap().strip_suffix(')').unwrap().to_owned();
    assert!(
        announced.contains(&format!("Metrics at unix:{}", metrics.display())),
        "{announced}"
    );
    assert!(!announced.contains("GraphiQL at unix:"), "{announced}");
    let _server = start(&storage, &listen, &[]);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let asked = format!(
            "{command} -s {version} -w ' %{{http_version}}' -H 'content-type: application/json' -d '{QUERY}'"
        );
        let output = Command::new("sh").args(["-c", &asked]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = match version {
            "--http1.1" => r#"{"data":{"viewer":{"userId":null}}} 1.1"#,
            _ => r#"{"data":{"viewer":{"userId":null}}} 2"#,
        };
        assert_eq!(text, expected, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_a_unix_socket() {
    let storage = TestDatabase::sqlite();
    let (folder, path) = socket();
    let listen = path.to_str().unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let mut server = start(&storage, listen, &[]);
    assert_eq!(mode(), 0o660);

    // A served socket is not replaced.
    let refused = |listen: &str, expected: &[&str]| {
        let mut command = program_on(&storage, &["serve"]);
        command.env("CONNECTORS_LISTEN", listen);
        let told = run(command).failed(1);
        for part in expected {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
    };
    refused(listen, &[listen, "another process serves it", "--listen"]);
    assert!(over_unix(&path, LIVE).await.starts_with("HTTP/1.1 200"));

    // A dead process's socket is replaced.
    server.process.kill();
    assert!(path.exists());
    let file = folder.path().join("connectors.toml");
    fs::write(&file, "listen-mode = 0o600").unwrap();
    let server = start(&storage, listen, &["--config", file.to_str().unwrap()]);
    assert_eq!(mode(), 0o600);
    assert!(over_unix(&path, LIVE).await.starts_with("HTTP/1.1 200"));

    // A file that was put at the path later is not removed.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    server.stop().ok();
    assert!(path.exists());
    drop(other);

    let text = folder.path().join("text");
    fs::write(&text, "hello").unwrap();
    let of = |path: &Path| path.to_str().unwrap().to_owned();
    refused(
        &of(&text),
        &["text", "a file that is not a socket", "Remove it"],
    );
    assert_eq!(fs::read_to_string(&text).unwrap(), "hello");
    let nowhere = folder.path().join("none/x.sock");
    refused(&of(&nowhere), &["none/x.sock", "folder does not exist"]);
    let long = folder.path().join("x".repeat(108));
    refused(&of(&long), &["longer than", "Choose a shorter path"]);
}

/// Two processes start at once on the socket of a dead process. One serves, and the other is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_start_at_once_one_has_the_socket() {
    let (_folder, path) = socket();
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let address = [ListenAddress::Unix(path.clone())];
        let bind = || {
            let address = address.clone();
            tokio::spawn(async move { Listener::bind(&address, 0o660).await })
        };
        let (first, second) = tokio::join!(bind(), bind());
        let bound = [first.unwrap(), second.unwrap()];
        assert_eq!(bound.iter().filter(|bound| bound.is_ok()).count(), 1);
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(bound);
        assert!(!path.exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_end_of_a_unix_socket_is_a_trusted_proxy() {
    let storage = TestDatabase::sqlite();
    let (_folder, path) = socket();
    let listen = format!("127.0.0.1:0,unix:{}", path.display());
    // A caller may send two requests at once, and an address may have two connections.
    let flags = ["--rate-limit", "1", "--max-connections-per-address", "2"];
    let server = start(&storage, &listen, &flags);
    let status = async |header: &str| {
        let answer = over_unix(&path, &viewer(header)).await;
        answer[9..12].to_owned()
    };
    let proxied = |address: &str| format!("x-forwarded-for: 6.6.6.6, {address}\r\n");
    for address in ["192.0.2.1", "192.0.2.2"] {
        let header = proxied(address);
        let statuses = [(); 3].map(|()| status(&header));
        let mut found = Vec::new();
        for status in statuses {
            found.push(status.await);
        }
        assert_eq!(found, ["200", "200", "429"], "{address}");
    }
    // Requests without an address share one budget, which others do not use.
    assert_eq!(status("").await, "200");
    assert_eq!(status("forwarded: for=192.0.2.9\r\n").await, "200");
    assert_eq!(status("").await, "429");
    assert_eq!(status(&proxied("192.0.2.3")).await, "200");
    // A client over TCP is not trusted.
    let address = server.url["http://".len()..].trim_end_matches("/graphql");
    let over_tcp = async |header: String| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = viewer(&header);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!(over_tcp(proxied("192.0.2.4")).await, "200");
    assert_eq!(over_tcp(proxied("192.0.2.5")).await, "200");
    assert_eq!(over_tcp(proxied("192.0.2.6")).await, "429");
    // The limit of an address does not apply to a proxy.
    let mut open = Vec::new();
    for i in 0..10 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let header = proxied(&format!("198.51.100.{i}"));
        let request = viewer(&header).replace("connection: close\r\n", "");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        open.push(stream);
    }
}

/// A service over a Unix socket with one handler of a given duration.
struct Slow {
    path: PathBuf,
    stopping: Stopping,
    serving: tokio::task::JoinHandle<()>,
    cancelled: Arc<AtomicBool>,
    _folder: TempDir,
}

/// Records whether a handler is dropped before its response.
struct Cancelled(Arc<AtomicBool>, bool);

impl Drop for Cancelled {
    fn drop(&mut self) {
        if !self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

async fn slow(takes: Duration, bounds: Bounds) -> Slow {
    let (folder, path) = socket();
    let cancelled = Arc::new(AtomicBool::new(false));
    let told = cancelled.clone();
    let handler = async move || {
        let mut guard = Cancelled(told.clone(), false);
        sleep(takes).await;
        guard.1 = true;
        "done"
    };
    let router = Router::new()
        .route("/health/live", get(async || "it lives"))
        .route("/slow", get(handler));
    let address = [ListenAddress::Unix(path.clone())];
    let (listener, _) = Listener::bind(&address, 0o660).await.unwrap();
    let stopping = Stopping::default();
    let serving = tokio::spawn(serve(listener, router, stopping.clone(), bounds));
    Slow {
        path,
        stopping,
        serving,
        cancelled,
        _folder: folder,
    }
}

const SLOW: [&str; 2] = [
    "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "GET /slow HTTP/1.0\r\n\r\n",
];

#[tokio::test]
async fn a_half_closed_client_is_answered_and_one_that_hung_up_is_not() {
    for request in SLOW {
        let server = slow(Duration::from_millis(500), Bounds::default()).await;
        let mut stream = UnixStream::connect(&server.path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        let read = timeout(LONG, stream.read_to_string(&mut answer)).await;
        read.unwrap().unwrap();
        // No interim response is needed to distinguish them.
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK"));
        assert!(answer.ends_with("done"), "{answer}");

        let server = slow(LONG * 10, Bounds::default()).await;
        let mut stream = UnixStream::connect(&server.path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        assert!(!server.cancelled.load(Ordering::Relaxed));
        drop(stream);
        let cancelled = async || server.cancelled.load(Ordering::Relaxed);
        let took = within(LONG, "the handler ends", cancelled).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test]
async fn the_bounds_of_connections_hold_over_unix() {
    let bounds = Bounds {
        connections: 1,
        head: Duration::from_millis(300),
        ..Bounds::default()
    };
    let server = slow(Duration::ZERO, bounds).await;
    // A silent connection has a time limit, and another one waits for its slot.
    let silent = UnixStream::connect(&server.path).await.unwrap();
    let began = Instant::now();
    let answer = over_unix(&server.path, LIVE).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(200));
    drop(silent);
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_stop_answers_what_was_sent_over_unix() {
    let server = slow(Duration::from_millis(800), Bounds::default()).await;
    let mut under_way = UnixStream::connect(&server.path).await.unwrap();
    under_way.write_all(SLOW[0].as_bytes()).await.unwrap();
    let mut idle = UnixStream::connect(&server.path).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    server.stopping.close(Instant::now() + LONG);
    // The file is removed first, so that no client waits in a queue that is dropped.
    let is_gone = async || !server.path.exists();
    within(LONG, "the file is removed", is_gone).await;
    assert!(!server.serving.is_finished());
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    timeout(LONG, server.serving).await.unwrap().unwrap();
}
