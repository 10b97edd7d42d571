//! The ends of sockets and of their operations: each sends a message, and abandoned work ends.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    on_both,
    support::{
        clients::subscribers::{LONG, PROTOCOL, Socket, frame, now},
        connection::Other,
        harness::Server,
        mutations::{ADMIN, CREATE, draft},
    },
};

/// Returns the code of the close frame that ends a socket, if any, and checks that the connection ends after it.
async fn closed(socket: &mut Socket) -> Option<u16> {
    loop {
        match timeout(LONG, socket.0.next()).await.unwrap() {
            Some(Ok(Message::Close(frame))) => {
                // The connection ends, perhaps before the client's reply.
                let more = timeout(LONG, socket.0.next()).await.unwrap();
                assert!(!matches!(more, Some(Ok(_))), "{more:?}");
                return frame.map(|frame| frame.code.into());
            }
            Some(Ok(_)) => {}
            other => panic!("no close frame: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_websocket_is_answered_with_its_code() {
    let server = Server::on_sqlite(&["--max-body-bytes", "100000"]).await;
    let unmasked = |first: u8| vec![first, 2, b'{', b'}'];
    let joined = |frames: &[Vec<u8>]| frames.concat();
    for (what, bytes, code) in [
        ("an unmasked frame", unmasked(0x81), 1002),
        ("a reserved opcode", frame(0x83, b"{}"), 1002),
        ("a reserved control frame", frame(0x8b, b""), 1002),
        ("a reserved bit", frame(0xc1, b"{}"), 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", frame(0x80, b"{}"), 1002),
        (
            "a text within a text",
            joined(&[frame(0x01, b"{"), frame(0x81, b"{}")]),
            1002,
        ),
        ("half a close code", frame(0x88, &[3]), 1002),
        ("a code that none may send", frame(0x88, &[3, 0xed]), 1002),
        (
            "a reason that is no UTF-8",
            frame(0x88, &[3, 0xe8, 0xff]),
            1007,
        ),
        ("no UTF-8", frame(0x81, b"\"\xff\""), 1007),
        (
            "no UTF-8 in a fragment",
            joined(&[frame(0x01, b"\""), frame(0x00, b"\xff\xff")]),
            1007,
        ),
        ("a large frame", frame(0x81, &vec![b' '; 100_001]), 1009),
        (
            "a large message",
            joined(&[
                frame(0x01, &vec![b' '; 60_000]),
                frame(0x80, &vec![b' '; 60_000]),
            ]),
            1009,
        ),
    ] {
        for acknowledged in [false, true] {
            let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
            if acknowledged {
                socket.init("").await;
                assert_eq!(socket.next().await["type"], "connection_ack");
            }
            // More bytes may follow, but the code is still sent.
            let sent = [&bytes[..], &frame(0x81, b"{}")].concat();
            socket.0.get_mut().write_all(&sent).await.unwrap();
            assert_eq!(closed(&mut socket).await, Some(code), "{what}");
        }
    }
    // Before the token is verified, the limit is small.
    let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
    let long = frame(0x81, &vec![b' '; 25_000]);
    socket.0.get_mut().write_all(&long).await.unwrap();
    assert_eq!(closed(&mut socket).await, Some(1009));
    // The limit of bodies does not apply to a token, but to later messages.
    let small = Server::on_sqlite(&["--max-body-bytes", "1024"]).await;
    let mut socket = Socket::open(&small, &[PROTOCOL]).await.unwrap();
    let text = json!({ "type": "ping", "payload": "x".repeat(1024) }).to_string();
    socket.say(Message::text(text.clone())).await;
    assert_eq!(socket.next().await["type"], "pong");
    socket.init("").await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    socket.say(Message::text(text)).await;
    assert_eq!(closed(&mut socket).await, Some(1009));
    let mut socket = Socket::at(&format!("{}/graphql", server.url), "").await;
    let text = json!({ "type": "ping", "payload": "x".repeat(90_000) }).to_string();
    socket.say(Message::text(text)).await;
    assert_eq!(socket.next().await["type"], "pong", "in fragments");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_close_is_clean() {
    let server = Server::on_sqlite(&[]).await;
    for acknowledged in [false, true] {
        for code in [None, Some(1000), Some(1001), Some(4999)] {
            let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
            if acknowledged {
                socket.init("").await;
                socket.subscribe("1", "{ __typename }", json!({})).await;
            }
            let frame = code.map(|code| CloseFrame {
                code: CloseCode::from(code),
                reason: "enough".into(),
            });
            socket.say(Message::Close(frame)).await;
            assert_eq!(closed(&mut socket).await, code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_is_refused() {
    let server = Server::on_sqlite(&[]).await;
    for (header, value, status) in [
        ("sec-websocket-version", "12", 426),
        ("connection", "close", 400),
    ] {
        let refused = Socket::open(&server, &[PROTOCOL, (header, value)]).await;
        match refused.err() {
            Some(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                assert_eq!(response.status(), status, "{header}");
                let version = response.headers().get("sec-websocket-version");
                assert_eq!(version.is_some_and(|v| v == "13"), status == 426);
            }
            other => panic!("{header}: {other:?}"),
        }
    }
}

on_both! {
    async fn an_operation_that_nobody_waits_for_ends(server: Server) {
        const LIST: &str = "{ personalConnectors { nodes { id } } }";
        // The service has one permit. An operation in progress holds it.
        let flags = [
            "--max-concurrency",
            "1",
            "--request-timeout",
            "1m",
            "--database-wait",
            "1m",
        ];
        let server = Server::start(server.storage.clone(), &flags, server.clock.clone()).await;
        let mut other = Other::connect(&server).await;
        let url = format!("{}/graphql", server.url);
        let asked = AtomicUsize::new(0);
        let free = async || {
            // A cached response needs no permit.
            let query = format!(
                "{{ a{}: viewer {{ userId }} }}",
                asked.fetch_add(1, Ordering::Relaxed)
            );
            let body = json!({ "query": query }).to_string();
            server.post("", body).await.0 == 200
        };
        other.hold_up_reads().await;
        // On PostgreSQL a statement in progress ends at its timeout, over HTTP too.
        let on_sqlite = server.storage.url.starts_with("sqlite");
        for end in ["complete", "close", "hang-up"]
            .into_iter()
            .filter(|_| on_sqlite)
        {
            let mut socket = Socket::at(&url, "").await;
            socket.subscribe("1", LIST, json!({})).await;
            while free().await {}
            let began = Instant::now();
            match end {
                "complete" => socket.send(json!({ "id": "1", "type": "complete" })).await,
                "close" => socket.say(Message::Close(None)).await,
                _ => drop(socket.0.get_mut().shutdown().await),
            }
            while !free().await {
                assert!(began.elapsed() < LONG, "{end}: it runs on");
            }
            drop(socket);
        }
        other.let_reads_go().await;
        assert!(free().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_slow_socket_misses_nothing() {
    const SUBSCRIPTIONS: usize = 100;
    const CHANGES: usize = 60;
    /// Longer than half of the patience for a stalled reader.
    const PAUSE: Duration = Duration::from_secs(18);
    const LONG_CHANGED: &str = "subscription($after: String) {
        personalConnectorChanged(after: $after) { cursor personalConnector { name description } }
    }";
    let server = Server::on_sqlite(&[]).await;
    let admin = server.token("boss@acme", ADMIN);
    let after = now(&server, &admin).await;
    for i in 0..CHANGES {
        let description = "\u{20ac}".repeat(2000);
        let input = json!({ "description": description, "visibility": "ORGANIZATION" });
        server
            .change(&admin, CREATE, draft(&format!("N{i}"), input))
            .await;
    }
    let mut slow = Socket::of(&server, &admin).await;
    for i in 0..SUBSCRIPTIONS {
        let variables = json!({ "after": after });
        slow.subscribe(&i.to_string(), LONG_CHANGED, variables)
            .await;
    }
    // The client reads something, so it is not disconnected, but most of its operations wait all the time.
    let mut heard = vec![0; SUBSCRIPTIONS];
    let mut hear = |message: Value| {
        assert_eq!(message["type"], "next", "{message}");
        let id: usize = message["id"].as_str().unwrap().parse().unwrap();
        heard[id] += 1;
    };
    for _ in 0..2 {
        tokio::time::sleep(PAUSE).await;
        for _ in 0..500 {
            hear(slow.next().await);
        }
    }
    for _ in 1000..SUBSCRIPTIONS * CHANGES {
        hear(slow.next().await);
    }
    assert_eq!(heard, [CHANGES; SUBSCRIPTIONS]);
}
