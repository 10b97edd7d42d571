//! What a connection may cost, whoever opens it.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use personal_connectors::http::{
    serve::{Bounds, serve},
    stopping::Stopping,
};
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

/// The first bytes of the answer to what was sent.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1000];
    let read = timeout(LONG, stream.read(&mut bytes)).await;
    let read = read.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// Reads to the end of the connection, however it comes.
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
    // Nor is one kept on which something was asked once.
    let mut idle = connect(&server).await;
    idle.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    end(&mut idle).await;
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
    // Those that are in go on.
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
