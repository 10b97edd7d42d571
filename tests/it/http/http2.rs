//! HTTP/2 without TLS, for clients that begin with its preface.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{Method, Request, Response},
    routing::get,
};
use h2::{RecvStream, client::SendRequest, ext::Protocol};
use personal_connectors::http::{
    serve::{Bounds, serve},
    stopping::Stopping,
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::support::harness::{Server, TestDatabase, fixed_clock};

/// Much longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
const QUERY: &str = r#"{"query":"{ viewer { userId } }"}"#;

async fn server(bounds: impl FnOnce(&mut Bounds)) -> Server {
    let mut of = Bounds::default();
    bounds(&mut of);
    Server::start_with(of, Arc::new(TestDatabase::sqlite()), &[], fixed_clock()).await
}

/// A connection, and its end.
type Client = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

async fn client(address: &str, windows: u32) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(windows);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    (sender.ready().await.unwrap(), tokio::spawn(connection))
}

fn address(server: &Server) -> &str {
    server.url.strip_prefix("http://").unwrap()
}

fn request(method: Method, path: &str) -> Request<()> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("http://x.example{path}"));
    let request = request.header("content-type", "application/json");
    request.body(()).unwrap()
}

/// Returns the response to a request with a body.
async fn ask(sender: &SendRequest<Bytes>, request: Request<()>, body: &str) -> Response<String> {
    let mut sender = sender.clone().ready().await.unwrap();
    let (answer, mut out) = sender.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        out.send_data(body.to_owned().into(), true).unwrap();
    }
    let answer = timeout(LONG, answer).await.unwrap().unwrap();
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, text(body).await.unwrap())
}

/// The rest of a body.
async fn text(mut body: RecvStream) -> Result<String, h2::Error> {
    let mut text = Vec::new();
    while let Some(data) = timeout(LONG, body.data()).await.unwrap() {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    Ok(String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn requests_are_answered_as_over_http_1() {
    let server = server(|_| {}).await;
    let (sender, connection) = client(address(&server), 65_535).await;
    let live = ask(&sender, request(Method::GET, "/health/live"), "").await;
    assert_eq!(
        (live.status().as_u16(), live.body().as_str()),
        (200, r#"{"live":true}"#)
    );
    for header in ["date", "x-request-id"] {
        assert!(live.headers().contains_key(header), "{header}");
    }
    let answer = ask(&sender, request(Method::POST, "/graphql"), QUERY).await;
    assert_eq!(answer.body(), r#"{"data":{"viewer":{"userId":null}}}"#);
    assert_eq!(
        answer.headers()["content-length"],
        answer.body().len().to_string()
    );
    let path = "/graphql?query={viewer{userId}}";
    let head = ask(&sender, request(Method::HEAD, path), "").await;
    assert_eq!((head.status().as_u16(), head.body().as_str()), (200, ""));
    assert_eq!(
        head.headers()["content-length"],
        answer.headers()["content-length"]
    );
    // A response in many pieces.
    let query = json!({ "query": "{ __schema { types { name description fields { name description args { name \
                                  description } } } } }" });
    let large = ask(
        &sender,
        request(Method::POST, "/graphql"),
        &query.to_string(),
    )
    .await;
    let value: Value = serde_json::from_str(large.body()).unwrap();
    assert!(value["data"]["__schema"]["types"].as_array().unwrap().len() > 50);
    assert!(large.body().len() > 32 * 1024, "{}", large.body().len());
    // A body that is too large is refused before it is sent.
    let mut huge = request(Method::POST, "/graphql");
    huge.headers_mut()
        .insert("content-length", "9999999".parse().unwrap());
    let (refused, _out) = sender.clone().send_request(huge, false).unwrap();
    let refused = timeout(LONG, refused).await.unwrap().unwrap();
    assert_eq!(refused.status(), 413);
    // Many requests at once.
    let asked = (0..300).map(|_| ask(&sender, request(Method::POST, "/graphql"), QUERY));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.status(), 200);
    }
    drop(sender);
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_and_others_go_on() {
    let server = server(|bounds| bounds.without_progress = Duration::from_millis(500)).await;
    // Each stream has a window of a few bytes, which grows as the body is read.
    let (sender, _connection) = client(address(&server), 10).await;
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let mut sender = sender.clone().ready().await.unwrap();
        // A response in several pieces.
        let path = "/graphql?query={__schema{types{name,description,fields{name,description,args{name,description}}}}}";
        let (answer, _) = sender
            .send_request(request(Method::GET, path), true)
            .unwrap();
        let answer = timeout(LONG, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        stuck.push(answer.into_body());
    }
    let go_on = async {
        for body in &mut stuck {
            // The client reads the window's bytes, and then the end without the rest.
            let mut read = 0;
            let end = loop {
                match timeout(LONG, body.data()).await.unwrap() {
                    Some(Ok(data)) => read += data.len(),
                    end => break end,
                }
            };
            assert!(matches!(end, Some(Err(_))), "{end:?}");
            assert_eq!(read, 10);
        }
    };
    let asked = async {
        for _ in 0..20 {
            let answer = ask(&sender, request(Method::POST, "/graphql"), QUERY).await;
            assert_eq!(answer.body(), r#"{"data":{"viewer":{"userId":null}}}"#);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(go_on, asked);
}

/// Proxies hold a piece back until the next one, or the end of the stream, arrives.
#[tokio::test]
async fn a_small_answer_ends_with_its_data() {
    let server = server(|_| {}).await;
    let (sender, _connection) = client(address(&server), 65_535).await;
    for _ in 0..20 {
        let mut sender = sender.clone().ready().await.unwrap();
        let path = "/graphql?query={viewer{userId}}";
        let (answer, _) = sender
            .send_request(request(Method::GET, path), true)
            .unwrap();
        let mut body = timeout(LONG, answer).await.unwrap().unwrap().into_body();
        timeout(LONG, body.data()).await.unwrap().unwrap().unwrap();
        assert!(body.is_end_stream());
    }
}

#[tokio::test]
async fn a_small_answer_that_is_not_read_ends_the_connection() {
    let server = server(|bounds| bounds.without_progress = Duration::from_millis(500)).await;
    let (sender, connection) = client(address(&server), 10).await;
    let mut sender = sender.ready().await.unwrap();
    let path = "/graphql?query={viewer{userId}}";
    let (answer, _) = sender
        .send_request(request(Method::GET, path), true)
        .unwrap();
    let _unread = timeout(LONG, answer).await.unwrap().unwrap();
    let _ = timeout(LONG, connection).await.unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_told_to_go() {
    let server = server(|bounds| bounds.head = Duration::from_millis(300)).await;
    let (_sender, connection) = client(address(&server), 65_535).await;
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    // A client that sends only the preface.
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, preface)
        .await
        .unwrap();
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    let _ = timeout(LONG, read).await.unwrap();
}

#[tokio::test]
async fn a_stop_answers_streams_and_says_goaway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let slow = async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        "at last"
    };
    let router = Router::new().route("/slow", get(slow));
    let stopping = Stopping::default();
    let serving = tokio::spawn(serve(listener, router, stopping.clone(), Bounds::default()));
    let (mut sender, connection) = client(&address, 65_535).await;
    let (_idle, idle_connection) = client(&address, 65_535).await;
    let (answer, _) = sender
        .send_request(request(Method::GET, "/slow"), true)
        .unwrap();
    // The earlier data has arrived when a later request is answered.
    assert_eq!(
        ask(&sender, request(Method::GET, "/nowhere"), "")
            .await
            .status(),
        404
    );
    stopping.drain();
    timeout(LONG, idle_connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    stopping.close(Instant::now() + LONG);
    let answer = timeout(LONG, answer).await.unwrap().unwrap();
    assert!(!answer.headers().contains_key("connection"));
    assert_eq!(text(answer.into_body()).await.unwrap(), "at last");
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    timeout(LONG, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn beyond_its_number_an_address_is_answered_probes_alone() {
    let server = server(|bounds| bounds.connections_of_address = 1).await;
    let (sender, _connection) = client(address(&server), 65_535).await;
    assert_eq!(
        ask(&sender, request(Method::GET, "/health/live"), "")
            .await
            .status(),
        200
    );
    for (path, status) in [("/health/live", 200), ("/graphql?query={__typename}", 503)] {
        let (surplus, connection) = client(address(&server), 65_535).await;
        let answer = ask(&surplus, request(Method::GET, path), "").await;
        assert_eq!(answer.status(), status);
        timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    }
}

/// Returns a client's text frame, masked with zeros.
fn frame(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

#[tokio::test]
async fn a_web_socket_opens_by_extended_connect() {
    let server = server(|_| {}).await;
    let (mut sender, _connection) = client(address(&server), 65_535).await;
    // The server's settings come first.
    assert_eq!(
        ask(&sender, request(Method::GET, "/health/live"), "")
            .await
            .status(),
        200
    );
    assert!(sender.is_extended_connect_protocol_enabled());
    let mut open = request(Method::CONNECT, "/graphql");
    let headers = open.headers_mut();
    headers.remove("content-type");
    headers.insert("sec-websocket-version", "13".parse().unwrap());
    headers.insert(
        "sec-websocket-protocol",
        "graphql-transport-ws".parse().unwrap(),
    );
    open.extensions_mut()
        .insert(Protocol::from_static("websocket"));
    let (answer, mut out) = sender.send_request(open, false).unwrap();
    let answer = timeout(LONG, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["sec-websocket-protocol"],
        "graphql-transport-ws"
    );
    let mut body = answer.into_body();
    let mut heard = async |expected: &str| {
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(expected) {
            let data = timeout(LONG, body.data()).await.unwrap();
            heard.extend_from_slice(&data.unwrap().unwrap());
        }
    };
    out.send_data(frame(r#"{"type":"connection_init"}"#), false)
        .unwrap();
    heard("connection_ack").await;
    let subscribe = r#"{"id":"1","type":"subscribe","payload":{"query":"{viewer{userId}}"}}"#;
    out.send_data(frame(subscribe), false).unwrap();
    heard(r#""userId":null"#).await;
    heard("complete").await;
    // Other requests continue beside it.
    assert_eq!(
        ask(&sender, request(Method::POST, "/graphql"), QUERY)
            .await
            .status(),
        200
    );
    // A plain CONNECT is no WebSocket.
    let mut plain = Request::connect("x.example:80").body(()).unwrap();
    *plain.version_mut() = axum::http::Version::HTTP_2;
    let (answer, _) = sender.send_request(plain, true).unwrap();
    assert!(
        timeout(LONG, answer)
            .await
            .unwrap()
            .unwrap()
            .status()
            .is_client_error()
    );
}
