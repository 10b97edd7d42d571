//! The memory of sockets: unread frames, unfinished messages, and operations that are started and abandoned.

use std::time::Duration;

use fixtures::published::{numbered, with};
use futures_util::{
    FutureExt, SinkExt, StreamExt,
    future::{BoxFuture, join_all},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    clients::subscribers::{PROTOCOL, Socket, frame},
    harness::TestDatabase,
    process::{Serving, program_on, run},
};

use super::{ONE, SIXTEEN};

/// The document cache has a separate limit.
const FLAGS: [&str; 4] = ["--document-cache-mb", "0", "--log", "error"];

/// The time after which a server that reads would have continued.
const STUCK: Duration = Duration::from_secs(2);

/// Writes bytes until the server stops reading.
async fn flood(socket: &mut Socket, bytes: &[u8], times: usize) {
    for _ in 0..times {
        let written = timeout(STUCK, socket.0.get_mut().write_all(bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

/// Opens an acknowledged socket; none if the server is overloaded.
async fn acknowledged(url: &str) -> Option<Socket> {
    let mut socket = Socket::open_at(url, &[PROTOCOL]).await.ok()?;
    let init = Message::text(r#"{"type":"connection_init"}"#);
    socket.0.send(init).await.ok()?;
    loop {
        match socket.0.next().await?.ok()? {
            Message::Text(_) => return Some(socket),
            Message::Ping(_) => {}
            _ => return None,
        }
    }
}

/// Measures the growth by one socket, and then by sixteen at once.
async fn bounded(flags: &[&str], attack: impl Fn(String) -> BoxFuture<'static, ()>) {
    let storage = TestDatabase::sqlite();
    let server = Serving::start(program_on(&storage, &[&FLAGS, flags].concat()));
    measured(&server, attack).await;
}

async fn measured(server: &Serving, attack: impl Fn(String) -> BoxFuture<'static, ()>) {
    // The first use allocates memory once.
    drop(Socket::at(&server.url, "").await);
    let ((), one) = server.process.growth(attack(server.url.clone())).await;
    let sixteen = join_all((0..16).map(|_| attack(server.url.clone())));
    let (_, sixteen) = server.process.growth(sixteen).await;
    println!("one: {one} MiB, sixteen: {sixteen} MiB");
    assert!(one <= ONE, "one: {one} MiB");
    assert!(sixteen <= SIXTEEN, "sixteen: {sixteen} MiB");
    assert_eq!(server.get("/health/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_before_the_token_whose_pongs_nobody_reads() {
    let pings: Vec<u8> = (0..500).flat_map(|_| frame(0x89, &[b'x'; 125])).collect();
    bounded(&[], move |url| {
        let pings = pings.clone();
        async move {
            let mut socket = Socket::open_at(&url, &[PROTOCOL]).await.unwrap();
            flood(&mut socket, &pings, 800).await;
        }
        .boxed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_messages_whose_pongs_nobody_reads() {
    let text = json!({ "type": "ping", "payload": "x".repeat(100_000) }).to_string();
    bounded(&[], move |url| {
        let text = text.clone();
        async move {
            let mut socket = Socket::at(&url, "").await;
            for _ in 0..500 {
                let sent = socket.0.send(Message::text(text.clone()));
                if !matches!(timeout(STUCK, sent).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
        .boxed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_not_finished() {
    let storage = TestDatabase::sqlite();
    let server = Serving::start(program_on(&storage, &FLAGS));
    let url = &server.url;
    let begin = async || {
        let mut socket = Socket::at(url, "").await;
        let mut bytes = frame(0x01, &[b'x'; 1000]);
        bytes.extend((0..1000).flat_map(|_| frame(0x00, &[b'x'; 1000])));
        flood(&mut socket, &bytes, 1).await;
        socket
    };
    let all = async {
        // The sockets send one after another. At once, they would compete for the last bytes of the limit.
        let mut sockets = Vec::new();
        for _ in 0..100 {
            sockets.push(begin().await);
        }
        let mut refused = 0;
        for mut socket in sockets {
            let ended = async {
                loop {
                    match socket.0.next().await {
                        Some(Ok(Message::Ping(_))) => {}
                        other => return other,
                    }
                }
            };
            match timeout(Duration::from_millis(200), ended).await {
                Err(_) => {}
                Ok(Some(Ok(Message::Close(Some(frame))))) => {
                    assert_eq!(u16::from(frame.code), 1013);
                    refused += 1;
                }
                Ok(other) => panic!("{other:?}"),
            }
        }
        refused
    };
    let (refused, growth) = server.process.growth(all).await;
    println!("{refused} of 100 were refused, {growth} MiB");
    // One caller gets a part of the total.
    assert!((50..100).contains(&refused), "{refused}");
    assert!(growth <= SIXTEEN / 2, "{growth} MiB");
}

/// Returns a text that no earlier operation had.
fn text(number: usize, length: usize) -> String {
    format!("{{ a{number}: __typename # {} \n}}", "x".repeat(length))
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_are_completed_at_once() {
    bounded(&[], |url| {
        async move {
            let Some(mut socket) = acknowledged(&url).await else {
                return;
            };
            for i in 0..1000 {
                let id = i.to_string();
                let payload = json!({ "query": text(i, 20_000) });
                let subscribe = json!({ "id": id, "type": "subscribe", "payload": payload });
                let complete = json!({ "id": id, "type": "complete" });
                for message in [subscribe, complete] {
                    let sent = socket.0.send(Message::text(message.to_string()));
                    if !matches!(timeout(STUCK, sent).await, Ok(Ok(()))) {
                        return;
                    }
                }
            }
        }
        .boxed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_sockets_that_are_closed_at_once() {
    bounded(&[], |url| {
        async move {
            for round in 0..10 {
                let Some(mut socket) = acknowledged(&url).await else {
                    continue;
                };
                for i in 0..100 {
                    let payload = json!({ "query": text(100 * round + i, 20_000) });
                    let id = i.to_string();
                    let subscribe = json!({ "id": id, "type": "subscribe", "payload": payload });
                    let sent = socket.0.send(Message::text(subscribe.to_string()));
                    if !matches!(timeout(STUCK, sent).await, Ok(Ok(()))) {
                        break;
                    }
                }
            }
        }
        .boxed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_with_long_documents() {
    // Merged fields: few in the response, and all of them stored.
    let query = format!(
        "subscription {{ personalConnectorChanged {{ {} }} }}",
        "cursor kind revision actor ".repeat(100)
    );
    bounded(&["--max-complexity", "1000000"], move |url| {
        let query = query.clone();
        async move {
            let mut socket = Socket::at(&url, "").await;
            for i in 0..100 {
                socket.subscribe(&i.to_string(), &query, json!({})).await;
            }
            // The pong follows the responses to all subscriptions. Surplus ones are refused, but none for its own size.
            socket.send(json!({ "type": "ping" })).await;
            loop {
                let message = socket.next().await;
                if message["type"] == "pong" {
                    break;
                }
                let text = message.to_string();
                assert!(!text.contains("a subscription must have"), "{text}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        .boxed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_read_nothing() {
    const CHANGED: &str = "subscription($after: String) { personalConnectorChanged(after: $after) {
        cursor personalConnector { name metadata a: metadata b: metadata c: metadata d: metadata }
    } }";
    let storage = TestDatabase::sqlite();
    let server = Serving::start(program_on(&storage, &FLAGS));
    let cursor = "{ personalConnectors(first: 0) { changesCursor } }";
    let cursor = server.data("", cursor, json!({})).await;
    let after = cursor["personalConnectors"]["changesCursor"].clone();
    let large = json!({ "metadata": { "text": "x".repeat(15_000) } });
    let object = |i| with(numbered(i), large.clone()).to_string();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("large.jsonl");
    let objects: Vec<_> = (0..500).map(object).collect();
    std::fs::write(&file, objects.join("\n")).unwrap();
    let import = ["import", "--organization", "acme", "--visibility", "public"];
    run(program_on(
        &storage,
        &[&import[..], &[file.to_str().unwrap()]].concat(),
    ))
    .ok();
    measured(&server, |url| {
        let after = after.clone();
        async move {
            let mut socket = Socket::at(&url, "").await;
            for i in 0..100 {
                let variables = json!({ "after": after });
                socket.subscribe(&i.to_string(), CHANGED, variables).await;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(socket);
        }
        .boxed()
    })
    .await;
}
