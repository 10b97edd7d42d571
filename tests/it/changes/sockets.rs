//! WebSockets and event streams by their protocols: opening, ending, and limits.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::{
    clients::subscribers::{CHANGED, Events, PROTOCOL, Socket},
    harness::{Server, TestDatabase, client},
    mutations::WRITE,
    process::{Serving, program_on},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_against_the_protocol_closes_the_socket() {
    let server = Server::on_sqlite(&["--anonymous-read", "false"]).await;
    let ann = server.token("ann@acme", WRITE);
    let bearer = |token: &str| format!("Bearer {token}");
    let init =
        |name: &str, value: Value| json!({ "type": "connection_init", "payload": { name: value } });
    let subscribe =
        |id: Value, payload: Value| json!({ "type": "subscribe", "id": id, "payload": payload });
    let good = init("Authorization", json!(bearer(&ann)));
    let query = json!({ "query": CHANGED });
    for (what, sent, expected) in [
        ("no type", vec![json!({})], 4400),
        ("another type", vec![json!({ "type": "start" })], 4400),
        ("no object", vec![json!([])], 4400),
        (
            "subscribe before init",
            vec![subscribe(json!("1"), query.clone())],
            4401,
        ),
        ("no token", vec![json!({ "type": "connection_init" })], 4403),
        (
            "a null for a token",
            vec![init("Authorization", json!(null))],
            4403,
        ),
        (
            "a number for a token",
            vec![init("Authorization", json!(1))],
            4403,
        ),
        (
            "no bearer's token",
            vec![init("Authorization", json!("Basic YTpi"))],
            4403,
        ),
        (
            "a bad token",
            vec![init("authorization", json!(bearer("a.b.c")))],
            4403,
        ),
        (
            "control characters for a token",
            vec![init("Authorization", json!("Bearer \n"))],
            4403,
        ),
        (
            "a payload that is no object",
            vec![json!({ "type": "connection_init", "payload": 1 })],
            4400,
        ),
        ("init twice", vec![good.clone(), good.clone()], 4429),
        (
            "an id twice",
            vec![
                good.clone(),
                subscribe(json!("1"), query.clone()),
                subscribe(json!("1"), query.clone()),
            ],
            4409,
        ),
        (
            "no id",
            vec![good.clone(), subscribe(json!(null), query.clone())],
            4400,
        ),
        (
            "an empty id",
            vec![good.clone(), subscribe(json!(""), query.clone())],
            4400,
        ),
        (
            "a number for an id",
            vec![good.clone(), subscribe(json!(1), query.clone())],
            4400,
        ),
        (
            "no query",
            vec![good.clone(), subscribe(json!("1"), json!({}))],
            4400,
        ),
        (
            "no payload",
            vec![good.clone(), json!({ "type": "subscribe", "id": "1" })],
            4400,
        ),
        (
            "a server's message",
            vec![
                good.clone(),
                json!({ "type": "next", "id": "1", "payload": {} }),
            ],
            4400,
        ),
    ] {
        let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
        for message in sent {
            socket.send(message).await;
        }
        let (code, reason, _) = socket.closed().await;
        assert_eq!(code, expected, "{what}: {reason}");
        assert!(!reason.is_empty(), "{what}");
    }
    for message in [
        Message::text("x"),
        Message::text("{\"type\":\"ping\""),
        Message::binary("x"),
    ] {
        let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
        socket.say(message).await;
        assert_eq!(socket.closed().await.0, 4400);
    }
    for headers in [&[][..], &[("sec-websocket-protocol", "graphql-ws")]] {
        let socket = Socket::open(&server, headers).await;
        // A client that requested a protocol and gets none closes the socket itself.
        if let Ok(mut socket) = socket {
            assert_eq!(socket.closed().await.0, 4406);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_may_bring_the_token() {
    let server = Server::on_sqlite(&["--anonymous-read", "false"]).await;
    let bearer = |who: &str| format!("Bearer {}", server.token(who, WRITE));
    let (header, other) = (bearer("ann@acme"), bearer("bob@acme"));
    let init = |payload: Value| json!({ "type": "connection_init", "payload": payload });
    for (payload, expected) in [
        (json!({ "type": "connection_init" }), None),
        (init(json!({ "authorization": header })), None),
        // The payload contradicts the header.
        (init(json!({ "AUTHORIZATION": other })), Some(4403)),
    ] {
        let headers = [PROTOCOL, ("authorization", header.as_str())];
        let mut socket = Socket::open(&server, &headers).await.unwrap();
        socket.send(payload).await;
        match expected {
            None => assert_eq!(socket.next().await, json!({ "type": "connection_ack" })),
            Some(code) => assert_eq!(socket.closed().await.0, code),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered() {
    let server = Server::on_sqlite(&[]).await;
    let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
    let payload = json!({ "at": [1, 2.50] });
    for _ in 0..2 {
        socket.send(json!({ "type": "ping" })).await;
        assert_eq!(socket.next().await, json!({ "type": "pong" }));
        socket
            .send(json!({ "type": "ping", "payload": payload }))
            .await;
        assert_eq!(
            socket.next().await,
            json!({ "type": "pong", "payload": payload })
        );
        socket.send(json!({ "type": "pong" })).await;
        socket.say(Message::Ping("x".into())).await;
        let event = socket.0.next().await;
        assert_eq!(event.unwrap().unwrap(), Message::Pong("x".into()));
        socket
            .send(json!({ "type": "complete", "id": "none" }))
            .await;
        socket.send(json!({ "type": "connection_init" })).await;
        let answer = socket.next().await;
        if answer == json!({ "type": "connection_ack" }) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for() {
    let server = Server::on_sqlite(&[]).await;
    let mut socket = Socket::open(&server, &[PROTOCOL]).await.unwrap();
    assert_eq!(socket.closed().await.0, 4408);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_open_no_sockets() {
    let server = Server::on_sqlite(&["--cors-origin", "https://app.example.com"]).await;
    for (origin, opens) in [
        (server.url.as_str(), true),
        ("https://app.example.com", true),
        ("https://evil.example.com", false),
        ("http://localhost", false),
        ("null", false),
    ] {
        let opened = Socket::open(&server, &[PROTOCOL, ("origin", origin)]).await;
        match opened {
            Ok(_) => assert!(opens, "{origin}"),
            Err(tungstenite::Error::Http(response)) => {
                assert_eq!(
                    (response.status().as_u16(), opens),
                    (403, false),
                    "{origin}"
                );
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_says_which_origin_was_asked() {
    let start = async |proxies: &[&str]| Server::on_sqlite(proxies).await;
    let trusting = start(&["--trusted-proxy", "127.0.0.1"]).await;
    let standard = start(&[
        "--trusted-proxy",
        "127.0.0.1",
        "--proxy-header",
        "forwarded",
    ])
    .await;
    let (bare, forwarded) = (
        start(&[]).await,
        "for=192.0.2.1;proto=https;host=app.example.com",
    );
    let (host, proto) = (
        ("x-forwarded-host", "app.example.com"),
        ("x-forwarded-proto", "https"),
    );
    for (server, origin, headers, opens) in [
        (
            &trusting,
            "https://app.example.com",
            &[host, proto][..],
            true,
        ),
        (
            &trusting,
            "https://app.example.com:443",
            &[host, proto],
            true,
        ),
        (&trusting, "https://app.example.com", &[host], true),
        (&trusting, "http://app.example.com", &[host, proto], false),
        (&trusting, "https://app.example.com", &[proto], false),
        (&trusting, "https://evil.example.com", &[host, proto], false),
        (
            &trusting,
            "https://app.example.com",
            &[("forwarded", forwarded)],
            false,
        ),
        (
            &standard,
            "https://app.example.com",
            &[("forwarded", forwarded)],
            true,
        ),
        (&standard, "https://app.example.com", &[host, proto], false),
        (&bare, "https://app.example.com", &[host, proto], false),
    ] {
        let mut sent = vec![PROTOCOL, ("origin", origin)];
        sent.extend(headers);
        let opened = Socket::open(server, &sent).await;
        assert_eq!(opened.is_ok(), opens, "{sent:?}");
        if let Err(tungstenite::Error::Http(response)) = opened {
            let body = String::from_utf8(response.into_body().unwrap_or_default()).unwrap();
            assert!(
                body.contains(origin) && body.contains("--cors-origin"),
                "{body}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_token_opens_a_socket() {
    let server = Server::on_sqlite(&["--max-token-bytes=24576", "--max-body-bytes=1024"]).await;
    let least = server.token("ann@acme", &["a"]).len();
    // Three characters of a scope take four in the token.
    let scope = "s".repeat((24_000 - least) / 4 * 3);
    let token = server.token("ann@acme", &[&scope]);
    assert!(token.len() > 23_000);
    drop(Socket::of(&server, &token).await);
    let who = server
        .data(&token, "{ viewer { userId } }", json!({}))
        .await;
    assert_eq!(who["viewer"]["userId"], "ann");
    let small = Server::on_sqlite(&["--max-token-bytes", "1024"]).await;
    let (status, answer) = small
        .post(&token, r#"{"query":"{ viewer { userId } }"}"#)
        .await;
    assert_eq!(status, 401);
    let message = format!("the token has {} bytes, and may have 1024", token.len());
    assert_eq!(answer["errors"][0]["message"], message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_needs_a_stream() {
    let server = Server::on_sqlite(&[]).await;
    for (accept, query, status, content_type) in [
        (
            "application/json",
            CHANGED,
            406,
            "application/json; charset=utf-8",
        ),
        ("*/*", CHANGED, 406, "application/json; charset=utf-8"),
        (
            "application/graphql-response+json",
            CHANGED,
            406,
            "application/graphql-response+json; charset=utf-8",
        ),
        // urql and others send this with all operations, Apollo's clients with subscriptions, and Apollo Client with
        // `@defer`.
        (
            "multipart/mixed;subscriptionSpec=1.0,application/graphql-response+json,application/json",
            CHANGED,
            200,
            "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0",
        ),
        (
            "multipart/mixed;subscriptionSpec=1.0,application/graphql-response+json,application/json",
            "{ viewer { userId } }",
            200,
            "application/graphql-response+json; charset=utf-8",
        ),
        (
            "multipart/mixed;deferSpec=20220824,application/json",
            "{ viewer { userId } }",
            200,
            "application/json; charset=utf-8",
        ),
        (
            "multipart/mixed;deferSpec=20220824,application/json",
            CHANGED,
            406,
            "application/json; charset=utf-8",
        ),
        (
            "multipart/mixed",
            CHANGED,
            406,
            "application/json; charset=utf-8",
        ),
        (
            "application/json, text/event-stream, multipart/mixed",
            CHANGED,
            200,
            "text/event-stream",
        ),
        (
            "application/json, text/event-stream, multipart/mixed",
            "{ viewer { userId } }",
            200,
            "application/json; charset=utf-8",
        ),
        (
            "text/event-stream",
            "{ viewer { userId } }",
            200,
            "text/event-stream",
        ),
        (
            "text/event-stream;q=0, application/json",
            CHANGED,
            406,
            "application/json; charset=utf-8",
        ),
        (
            "text/html",
            "{ viewer { userId } }",
            406,
            "application/json; charset=utf-8",
        ),
    ] {
        for post in [true, false] {
            let url = format!("{}/graphql", server.url);
            let request = if post {
                let body = json!({ "query": query }).to_string();
                client()
                    .post(url)
                    .header("content-type", "application/json")
                    .body(body)
            } else {
                let url = reqwest::Url::parse_with_params(&url, [("query", query)]).unwrap();
                client().get(url)
            };
            let response = request.header("accept", accept).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{accept} {query}");
            assert_eq!(
                response.headers()["content-type"],
                content_type,
                "{accept} {query}"
            );
        }
    }
    let mutation = [(
        "query",
        "mutation { deleteCustomConnector(input: {id: \"a\"}) { deletedId } }",
    )];
    let url =
        reqwest::Url::parse_with_params(&format!("{}/graphql", server.url), mutation).unwrap();
    let request = client().get(url).header("accept", "text/event-stream");
    assert_eq!(request.send().await.unwrap().status(), 405);
    let request = client()
        .post(format!("{}/graphql", server.url))
        .header("accept", "text/event-stream");
    let response = request
        .header("content-type", "application/json")
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["content-type"]
        ),
        (400, &"application/json; charset=utf-8".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_has_so_many() {
    let server = Server::on_sqlite(&["--max-sockets", "2", "--max-socket-operations", "2"]).await;
    let (ann, bob) = (
        server.token("ann@acme", WRITE),
        server.token("bob@acme", WRITE),
    );
    let mut first = Socket::of(&server, &ann).await;
    let events = Events::of(&server, &ann, CHANGED, json!({})).await;
    // A third stream is too many over either protocol, but another caller's is not.
    let mut third = Socket::open(&server, &[PROTOCOL]).await.unwrap();
    third.init(&ann).await;
    assert_eq!(third.closed().await.0, 1013);
    let body = json!({ "query": CHANGED }).to_string();
    let third = || async {
        let request = client()
            .post(format!("{}/graphql", server.url))
            .bearer_auth(&ann);
        let request = request
            .header("accept", "text/event-stream")
            .header("content-type", "application/json");
        request
            .body(body.clone())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(third().await, 429);
    drop(Socket::of(&server, &bob).await);

    for id in ["1", "2"] {
        first.subscribe(id, CHANGED, json!({})).await;
    }
    first
        .subscribe("3", "{ viewer { userId } }", json!({}))
        .await;
    let message = first.next().await;
    assert_eq!(
        (&message["id"], &message["type"]),
        (&json!("3"), &json!("error"))
    );
    assert_eq!(
        message["payload"][0]["extensions"]["code"],
        "LIMIT_EXCEEDED"
    );
    first.send(json!({ "id": "1", "type": "complete" })).await;
    first
        .subscribe("3", "{ viewer { userId } }", json!({}))
        .await;
    assert_eq!(first.next().await["type"], "next");

    // A stream that ended freed its slot.
    drop(events);
    for _ in 0..100 {
        if third().await == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a stream that ended keeps its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_ends_it() {
    let server = Server::on_sqlite(&[]).await;
    let token = server.short_token("ann@acme", WRITE, Duration::from_secs(2));
    let mut socket = Socket::of(&server, &token).await;
    socket.subscribe("1", CHANGED, json!({})).await;
    let mut events = Events::of(&server, &token, CHANGED, json!({})).await;
    let (code, reason, before) = socket.closed().await;
    assert_eq!((code, reason.as_str()), (4403, "the token has expired"));
    assert_eq!(before, Vec::<Value>::new());
    // The stream ends without "complete", so that the client retries and gets the reason.
    let (event, data) = events.next().await.unwrap();
    let error = &data["errors"][0];
    assert_eq!(
        (event.as_str(), &error["message"]),
        ("next", &json!("the token has expired"))
    );
    assert_eq!(error["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_what_would_stay_open() {
    let storage = TestDatabase::sqlite();
    // Longer than any wait of the test, so that the deadline cuts nothing.
    let server = Serving::start(program_on(&storage, &["--shutdown-timeout", "10m"]));
    let mut socket = Socket::at(&server.url, "").await;
    socket.subscribe("1", CHANGED, json!({})).await;
    let body = json!({ "query": CHANGED }).to_string();
    let events = client()
        .post(&server.url)
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .body(body);
    let events = events.send().await.unwrap();
    assert_eq!(events.status(), 200);
    let stopped = tokio::task::spawn_blocking(|| server.stop());
    assert_eq!(socket.closed().await.0, 1001);
    let text = events.text().await.unwrap();
    assert!(
        text.starts_with("event: next\ndata: {\"errors\":"),
        "{text}"
    );
    assert!(
        text.contains(r#""code":"UNAVAILABLE","retryAfter":1"#) && !text.contains("complete"),
        "{text}"
    );
    stopped.await.unwrap().ok();
}
