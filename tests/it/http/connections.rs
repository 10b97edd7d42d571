//! The limits of one connection.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use personal_connectors::http::{
    serve::{Bounds, serve},
    stopping::Stopping,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use crate::support::harness::{Server, TestDatabase, fixed_clock};

/// Much longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";

async fn server(bounds: impl FnOnce(&mut Bounds)) -> Server {
    let mut of = Bounds::default();
    bounds(&mut of);
    Server::start_with(of, Arc::new(TestDatabase::sqlite()), &[], fixed_clock()).await
}

async fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Returns the first bytes of the response.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1000];
    let read = timeout(LONG, stream.read(&mut bytes)).await;
    let read = read.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// Reads to the end of the connection, whether closed or reset.
async fn end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn a_head_that_dribbles_in_is_cut() {
    let server = server(|bounds| bounds.head = Duration::from_millis(500)).await;
    let stream = connect(&server).await;
    let (mut reader, mut writer) = stream.into_split();
    let dribbling = tokio::spawn(async move {
        let head = b"GET /health/live HTTP/1.1\r\nhost: ".iter();
        for byte in head.chain(std::iter::repeat(&b'x')) {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut rest = String::new();
    let ended = timeout(LONG, reader.read_to_string(&mut rest)).await;
    assert!(ended.is_ok(), "it may dribble for ever");
    assert!(!rest.contains("200"), "{rest}");
    timeout(LONG, dribbling).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_cut() {
    let server = server(|bounds| bounds.head = Duration::from_millis(500)).await;
    end(&mut connect(&server).await).await;
    // An idle connection with an earlier request is closed, too.
    let mut idle = connect(&server).await;
    idle.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    end(&mut idle).await;
}

/// One timer serves all heads of a connection.
#[tokio::test]
async fn each_head_has_its_whole_time() {
    let head = Duration::from_secs(2);
    let server = server(|bounds| bounds.head = head).await;
    let mut stream = connect(&server).await;
    for _ in 0..3 {
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(head / 2).await;
    }
    let began = Instant::now();
    stream.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    end(&mut stream).await;
    let took = began.elapsed();
    assert!(took >= head, "{took:?}");
}

#[tokio::test]
async fn beyond_the_most_connections_wait_until_one_ends() {
    let server = server(|bounds| bounds.connections = 2).await;
    let mut first = connect(&server).await;
    let mut second = connect(&server).await;
    for stream in [&mut first, &mut second] {
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    let mut third = connect(&server).await;
    third.write_all(REQUEST).await.unwrap();
    let early = timeout(Duration::from_millis(300), third.read(&mut [0; 1])).await;
    assert!(early.is_err(), "it does not wait");
    // Existing connections continue.
    first.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
    drop(second);
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stop_answers_those_that_wait_for_another_to_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/health/live", get(async || "it lives"));
    let stopping = Stopping::default();
    let bounds = Bounds {
        connections: 1,
        ..Bounds::default()
    };
    let serving = tokio::spawn(serve(listener, router, stopping.clone(), bounds));
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let early = timeout(Duration::from_millis(300), second.read(&mut [0; 1])).await;
    assert!(early.is_err(), "it does not wait");
    stopping.close(Instant::now() + LONG);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200"));
    timeout(LONG, serving).await.unwrap().unwrap();
    end(&mut first).await;
}

/// Sends bytes on a new connection, and returns all received bytes until its end.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server).await;
    stream.write_all(bytes).await.unwrap();
    let mut answers = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut answers))
        .await
        .unwrap();
    String::from_utf8_lossy(&answers).into_owned()
}

const QUERY: &str = r#"{"query":"{ viewer { userId } }"}"#;

fn post(more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: \
         {length}\r\n{more}\r\n{body}"
    )
}

#[tokio::test]
async fn beyond_its_number_an_address_is_answered_probes_alone() {
    let server = server(|bounds| bounds.connections_of_address = 2).await;
    let mut kept = [connect(&server).await, connect(&server).await];
    for stream in &mut kept {
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    let live = exchange(&server, &REQUEST.repeat(2)).await;
    assert!(live.starts_with("HTTP/1.1 200"), "{live}");
    assert_eq!(live.matches("HTTP/1.1").count(), 1, "one head: {live}");
    let refused = exchange(&server, post("", QUERY).as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    for part in [
        "UNAVAILABLE",
        "\"retryAfter\":1",
        "retry-after: 1",
        "connection: close",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    // Existing connections continue, and freed slots are available again.
    kept[0].write_all(post("", QUERY).as_bytes()).await.unwrap();
    assert!(answer(&mut kept[0]).await.starts_with("HTTP/1.1 200"));
    drop(kept);
    let close = post("connection: close\r\n", QUERY);
    let asked = async {
        while !exchange(&server, close.as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
        {}
    };
    timeout(LONG, asked).await.unwrap();
}

#[tokio::test]
async fn a_probe_takes_the_place_of_the_oldest_surplus_connection() {
    let server = server(|bounds| {
        bounds.connections = 40;
        bounds.connections_of_address = 1;
    })
    .await;
    let mut kept = connect(&server).await;
    kept.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut kept).await.starts_with("HTTP/1.1 200"));
    // Two surplus slots, and many connections that compete for them.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(connect(&server).await);
        let live = exchange(&server, REQUEST).await;
        assert!(live.starts_with("HTTP/1.1 200"), "{live}");
    }
    end(&mut silent[0]).await;
}

#[tokio::test]
async fn a_trusted_proxy_has_all_connections() {
    let server = server(|bounds| {
        bounds.connections_of_address = 1;
        bounds.trusted = Arc::from(["127.0.0.0/8".parse().unwrap()]);
    })
    .await;
    let mut kept = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&server).await;
        stream.write_all(post("", QUERY).as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        kept.push(stream);
    }
}

#[tokio::test]
async fn who_reads_nothing_is_cut() {
    let server = server(|bounds| bounds.without_progress = Duration::from_millis(300)).await;
    let query = json!({ "query": "{ __schema { types { name description fields { name } } } }" });
    let request = post("", &query.to_string());
    let mut stream = connect(&server).await;
    // The service reads no further request while it cannot send a response.
    let sending = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(LONG, sending).await.unwrap();
}

#[tokio::test]
async fn a_half_closed_client_is_answered() {
    let server = server(|_| {}).await;
    for request in [
        post("", QUERY),
        "GET /graphql?query={viewer{userId}} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /graphql?query={viewer{userId}} HTTP/1.0\r\n\r\n".to_owned(),
        // The response to a chunked body, which ends with the last byte sent.
        format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: \
             chunked\r\n\r\n{:x}\r\n{QUERY}\r\n0\r\n\r\n",
            QUERY.len()
        ),
    ] {
        for _ in 0..10 {
            let mut stream = connect(&server).await;
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            let read = timeout(LONG, stream.read_to_string(&mut answer)).await;
            read.unwrap().unwrap();
            let answer = answer
                .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
                .unwrap_or(&answer);
            let status = answer.get(8..12);
            assert_eq!(status, Some(" 200"), "{request}: {answer}");
            assert!(
                answer.ends_with(r#"{"data":{"viewer":{"userId":null}}}"#),
                "{answer}"
            );
        }
    }
    // A body that ends early is not waited for until the request timeout.
    let mut stream = connect(&server).await;
    let request = post("", QUERY);
    stream
        .write_all(&request.as_bytes()[..request.len() - 1])
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    end(&mut stream).await;
}

#[tokio::test]
async fn a_head_is_as_http_says() {
    let server = server(|_| {}).await;
    let live = |head: &str| format!("GET /health/live HTTP/1.1\r\n{head}connection: close\r\n\r\n");
    let long = "x".repeat(70_000);
    for (request, status) in [
        (live("host: x\r\n"), 200),
        (live(""), 400),
        (live("host: x\r\nhost: x\r\n"), 400),
        (live("host: a b\r\n"), 400),
        (live("host:\r\n"), 200),
        ("GET /health/live HTTP/1.0\r\n\r\n".to_owned(), 200),
        (live("host: x\r\nexpect: 200-ok\r\n"), 417),
        (live("host: x\r\na: b\r\n c\r\n"), 400),
        (live("host: x\r\na : b\r\n"), 400),
        (
            live("host: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n"),
            400,
        ),
        (live("host: x\r\ncontent-length: +1\r\n"), 400),
        (live("host: x\r\ntransfer-encoding: gzip\r\n"), 400),
        (live(&format!("host: x\r\nx: {long}\r\n")), 431),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 431),
        (
            "GET http://a.example/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
                .to_owned(),
            200,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(),
            204,
        ),
        (
            "CONNECT a.example:80 HTTP/1.1\r\nhost: a.example:80\r\nconnection: close\r\n\r\n"
                .to_owned(),
            404,
        ),
    ] {
        let answer = exchange(&server, request.as_bytes()).await;
        let found = answer.get(9..12).and_then(|status| status.parse().ok());
        assert_eq!(found, Some(status), "{request:.300}: {answer}");
    }
    // The chunks count, and the connection ends after them (RFC 9112, section 6.1).
    let both = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: \
         3\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{QUERY}\r\n0\r\n\r\n",
        QUERY.len()
    );
    let answer = exchange(&server, both.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_no_leave() {
    let server = server(|_| {}).await;
    let head = |length: usize, kind: &str| {
        format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\nexpect: 100-continue\r\ncontent-length: \
             {length}\r\n\r\n"
        )
    };
    for (head, status) in [
        (head(1 << 30, "application/json"), "413"),
        (head(10, "text/plain"), "415"),
    ] {
        let answer = exchange(&server, head.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    let mut stream = connect(&server).await;
    let head = head(QUERY.len(), "application/json");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(QUERY.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn head_is_get_without_content() {
    let server = server(|_| {}).await;
    let get = |method: &str, query: &str| {
        format!("{method} /graphql?query={query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    };
    for (query, status) in [
        ("{viewer{userId}}", "200"),
        (
            "mutation{deleteCustomConnector(input:{id:%22a%22}){deletedId}}",
            "405",
        ),
        ("", "200"),
        ("{a}&query={a}", "400"),
    ] {
        let whole = exchange(&server, get("GET", query).as_bytes()).await;
        let head = exchange(&server, get("HEAD", query).as_bytes()).await;
        assert_eq!(whole.get(9..12), Some(status), "{whole}");
        let fields = |answer: &str| {
            let (fields, _) = answer.split_once("\r\n\r\n").unwrap();
            let fields = fields
                .lines()
                .filter(|line| !line.starts_with("date:") && !line.starts_with("x-request-id:"));
            let mut fields: Vec<_> = fields.map(ToOwned::to_owned).collect();
            fields.sort();
            fields
        };
        assert_eq!(fields(&head), fields(&whole));
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
}
