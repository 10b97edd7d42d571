//! Bodies without an end.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{ONE, SIXTEEN};
use crate::support::{
    harness::TestDatabase,
    process::{Serving, program_on},
};

const LONG: Duration = Duration::from_mins(1);
const HEAD: &str = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

fn serving() -> (TestDatabase, Serving) {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &["--request-timeout", "5m"]));
    (storage, serving)
}

async fn connect(serving: &Serving) -> TcpStream {
    let address = serving.url.strip_prefix("http://").unwrap();
    TcpStream::connect(address.strip_suffix("/graphql").unwrap())
        .await
        .unwrap()
}

/// Sends a body of a MiB except its last byte, as far as the service reads it.
async fn begin(serving: &Serving) -> TcpStream {
    let mut stream = connect(serving).await;
    let head = format!("{HEAD}content-length: 1048576\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let body = vec![b' '; 1_048_575];
    let _ = timeout(LONG, stream.write_all(&body)).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_share_their_memory() {
    let (_storage, serving) = serving();
    // The last bodies are refused while the others hold the memory. The service may read them after the client sent
    // them.
    let mut open = Vec::new();
    let (answers, grown) = serving
        .process
        .growth(async {
            for _ in 0..800 {
                open.push(begin(&serving).await);
            }
            let mut answers = Vec::new();
            let last = open.last_mut().unwrap();
            let _ = timeout(LONG, last.read_to_end(&mut answers)).await.unwrap();
            answers
        })
        .await;
    assert!(grown <= SIXTEEN, "{grown} MiB");
    let answer = String::from_utf8_lossy(&answers);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for part in ["UNAVAILABLE", "\"retryAfter\":1", "retry-after: 1"] {
        assert!(answer.contains(part), "{answer}");
    }
    // A small body is accepted again when the connections have ended.
    drop(open);
    let asked = async {
        while serving
            .ask("", "{ viewer { userId } }", serde_json::json!({}))
            .await
            .is_none_or(|answer| answer.get("data").is_none())
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LONG, asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_tiny_pieces_takes_what_it_weighs() {
    let (_storage, serving) = serving();
    let (_open, grown) = serving
        .process
        .growth(async {
            let mut stream = connect(&serving).await;
            stream.set_nodelay(true).unwrap();
            let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..20_000 {
                stream.write_all(b"1\r\n \r\n").await.unwrap();
                tokio::task::yield_now().await;
            }
            stream
        })
        .await;
    assert!(grown <= ONE, "{grown} MiB");
}
