//! Servers that close connections at will: a request on a closed one is sent once more.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entity::ServerType;
use personal_connectors::domain::inspection::Outcome;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::{
    mcp::verdicts::steady,
    support::mcp::{Reaction, Request, inspect, read, well_behaved},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    KeepsOpen,
    /// Closes without notice.
    Closes,
    ClosesLater,
    Resets,
    SaysClose,
    SpeaksHttp10,
    /// Closes after it has read the next request.
    ClosesOnTheNext,
}

/// Starts a working server that ends each connection in a given way, and counts connections.
async fn server(ending: Ending, asked: Arc<Mutex<Vec<String>>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(socket, ending, asked.clone()));
        }
    });
    (url, connections)
}

async fn serve(mut socket: TcpStream, ending: Ending, asked: Arc<Mutex<Vec<String>>>) {
    let mut answered = false;
    while let Some(request) = read(&mut socket).await {
        asked.lock().unwrap().push(request.asks().to_owned());
        if answered && ending == Ending::ClosesOnTheNext {
            return;
        }
        if socket.write_all(&reply(&request, ending)).await.is_err() {
            return;
        }
        answered = true;
        match ending {
            Ending::KeepsOpen | Ending::ClosesOnTheNext => {}
            Ending::ClosesLater => {
                tokio::time::sleep(Duration::from_micros(500)).await;
                return;
            }
            Ending::Resets => {
                // The response must be read before the reset discards it.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let _ = socket.set_zero_linger();
                return;
            }
            _ => return,
        }
    }
}

/// Returns a valid response with its length, and `connection: close` only if the ending says so.
fn reply(request: &Request, ending: Ending) -> Vec<u8> {
    let Reaction::Send(bytes) = well_behaved(request) else {
        unreachable!()
    };
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = match ending {
        Ending::SaysClose => head.to_owned(),
        Ending::SpeaksHttp10 => head
            .replace("HTTP/1.1", "HTTP/1.0")
            .replace("\r\nconnection: close", ""),
        _ => head.replace("\r\nconnection: close", ""),
    };
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_closes_connections_is_open() {
    for ending in [
        Ending::KeepsOpen,
        Ending::Closes,
        Ending::ClosesLater,
        Ending::Resets,
        Ending::SaysClose,
        Ending::SpeaksHttp10,
        Ending::ClosesOnTheNext,
    ] {
        let (url, connections) = server(ending, Arc::default()).await;
        let name = format!("{ending:?}");
        let found = steady(&name, &url, ServerType::Http).await;
        assert_eq!(found.outcome, Outcome::Open, "{name}: {}", found.message);
        assert_eq!(found.message, "The server speaks MCP.", "{name}");
        assert_eq!(found.tools.len(), 2, "{name}");
        let connections = connections.load(Ordering::Relaxed);
        if ending == Ending::KeepsOpen {
            assert_eq!(connections, 30);
        }
    }
}

/// A repeated request is unchanged, and sent at most twice. One on a new connection is not repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_sent_again_only_if_its_connection_had_answered_before() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (url, _) = server(Ending::ClosesOnTheNext, asked.clone()).await;
    let found = inspect(&url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    let count = |method: &str| asked.iter().filter(|asked| *asked == method).count();
    let counts = ["server/discover", "initialize", "tools/list"].map(count);
    assert!(
        counts.iter().all(|count| (1..=2).contains(count)),
        "{asked:?}"
    );
    assert!(counts.contains(&2), "{asked:?}");

    let closing = crate::support::mcp::Plain::new(|request| match request.asks() {
        "tools/list" => Reaction::Close,
        _ => well_behaved(request),
    })
    .await;
    let found = inspect(&closing.url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    let message = "it ends the connection in the middle of an answer";
    assert!(found.message.contains(message), "{}", found.message);
    let asked = closing.asked();
    let lists = asked.iter().filter(|asked| *asked == "tools/list");
    assert_eq!(lists.count(), 1, "{asked:?}");
}
