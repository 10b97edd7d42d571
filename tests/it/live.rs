//! Subscriptions, over web sockets and as server-sent events.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::{
    change::{ADMIN, CREATE, DELETE, UPDATE, WRITE, draft, mutation, text},
    crash::objects,
    harness::{Server, TestDatabase, client, rows},
    on_both,
    process::{Serving, program_on, run},
};

const CHANGED: &str = "subscription($after: String, $filter: PersonalConnectorChangeFilter) {
    personalConnectorChanged(after: $after, filter: $filter) {
        cursor kind personalConnectorId personalConnector { name revision } revision actor
    }
}";

/// Longer than anything takes that happens at all.
const LONG: Duration = Duration::from_secs(30);

/// A client of `graphql-transport-ws`.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens a socket with these headers.
    async fn open(
        server: &Server,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        Self::open_at(&format!("{}/graphql", server.url), headers).await
    }

    async fn open_at(
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let url = url.replace("http://", "ws://");
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, response) = connect_async(request).await?;
        let asked = headers.iter().any(|(name, _)| *name == PROTOCOL.0);
        let chosen = response.headers().get(PROTOCOL.0);
        assert_eq!(chosen.is_some(), asked && headers.contains(&PROTOCOL));
        Ok(Self(socket))
    }

    /// Opens a socket, and has a token acknowledged.
    async fn of(server: &Server, token: &str) -> Self {
        Self::at(&format!("{}/graphql", server.url), token).await
    }

    /// The same at `http://…/graphql`.
    pub async fn at(url: &str, token: &str) -> Self {
        let mut socket = Self::open_at(url, &[PROTOCOL]).await.unwrap();
        socket.init(token).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    async fn init(&mut self, token: &str) {
        let payload = if token.is_empty() {
            json!({})
        } else {
            json!({ "Authorization": format!("Bearer {token}") })
        };
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    async fn send(&mut self, message: Value) {
        self.say(Message::text(message.to_string())).await;
    }

    async fn say(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "id": id, "type": "subscribe", "payload": payload }))
            .await;
    }

    /// The next message.
    async fn next(&mut self) -> Value {
        loop {
            let message = timeout(LONG, self.0.next()).await.unwrap();
            match message.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other}"),
            }
        }
    }

    /// The change of the next message.
    pub async fn change(&mut self) -> Value {
        let mut message = self.next().await;
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"].get("errors"), None, "{message}");
        message["payload"]["data"]["personalConnectorChanged"].take()
    }

    /// The code and reason that the connection is closed with, and what came before.
    async fn closed(&mut self) -> (u16, String, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            match timeout(LONG, self.0.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => before.push(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string(), before);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

/// A stream of server-sent events.
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn of(server: &Server, token: &str, query: &str, variables: Value) -> Self {
        let response = server.events(token, query, variables).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event's name and data; none at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                // A comment keeps the connection alive.
                if event.starts_with(':') {
                    continue;
                }
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let data = field("data:").unwrap_or_default().trim();
                let data = serde_json::from_str(data).unwrap_or_default();
                return Some((field("event:").unwrap().trim().to_owned(), data));
            }
            let chunk = timeout(LONG, self.response.chunk()).await.unwrap();
            let chunk = chunk.ok()??;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    async fn change(&mut self) -> Value {
        let (event, mut data) = self.next().await.unwrap();
        assert_eq!(
            (event.as_str(), data.get("errors")),
            ("next", None),
            "{data}"
        );
        data["data"]["personalConnectorChanged"].take()
    }
}

/// A change's kind and the connector's name, if it is there.
fn told(change: &Value) -> (&str, &str) {
    let name = change["personalConnector"]["name"].as_str();
    (text(&change["kind"]), name.unwrap_or("-"))
}

/// Where changes go on that happen from now on.
async fn now(server: &Server, token: &str) -> String {
    let query = "{ personalConnectors(first: 0) { changesCursor } }";
    let data = server.data(token, query, json!({})).await;
    text(&data["personalConnectors"]["changesCursor"]).to_owned()
}

on_both! {
    async fn what_was_missed_and_what_happens(server: Server) {
        let (ann, bob) = (server.token("ann@acme", WRITE), server.token("bob@acme", &[]));
        let after = now(&server, &ann).await;
        let missed = server.create(&ann, "Missed", "ORGANIZATION").await;
        server.create(&ann, "Mine", "PRIVATE").await;

        let mut socket = Socket::of(&server, &bob).await;
        socket.subscribe("1", CHANGED, json!({ "after": after })).await;
        let change = socket.change().await;
        assert_eq!(told(&change), ("CREATED", "Missed"));
        assert_eq!((change["personalConnectorId"].as_str(), change["actor"].as_str()), (Some(&*missed), Some("ann")));
        let mut events = Events::of(&server, &bob, CHANGED, json!({ "after": change["cursor"] })).await;

        // What bob doesn't see is not told, and neither is its place taken.
        server.change(&ann, UPDATE, json!({ "id": missed, "name": "Renamed" })).await;
        server.create(&ann, "Mine too", "PRIVATE").await;
        server.change(&ann, UPDATE, json!({ "id": missed, "visibility": "PRIVATE" })).await;
        let created = server.create(&ann, "Another", "ORGANIZATION").await;
        server.change(&ann, DELETE, json!({ "id": created })).await;
        let expected = ["UPDATED", "DELETED", "CREATED", "DELETED"];
        let mut cursors = Vec::new();
        for kind in expected {
            let (by_socket, by_events) = (socket.change().await, events.change().await);
            assert_eq!((text(&by_socket["kind"]), text(&by_events["kind"])), (kind, kind));
            assert_eq!(by_socket["cursor"], by_events["cursor"]);
            cursors.push(by_socket["cursor"].clone());
        }

        // Each of these is where to go on from.
        for (i, cursor) in cursors.iter().enumerate() {
            let id = format!("from {i}");
            socket.subscribe(&id, CHANGED, json!({ "after": cursor })).await;
            for kind in &expected[i + 1..] {
                let message = socket.next().await;
                assert_eq!(message["id"], id.as_str());
                assert_eq!(message["payload"]["data"]["personalConnectorChanged"]["kind"], *kind);
            }
            socket.send(json!({ "id": id, "type": "complete" })).await;
        }
    }

    async fn from_now_on_and_by_the_filter(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Before", "PRIVATE").await;
        let mut socket = Socket::of(&server, &ann).await;
        socket.subscribe("all", CHANGED, json!({})).await;
        socket.subscribe("design", CHANGED, json!({ "filter": { "category": "DESIGN" } })).await;
        // Both have begun when they tell of what happens.
        let mut begun = BTreeSet::new();
        for i in 0.. {
            let input = draft(&format!("Now {i}"), json!({ "category": "DESIGN" }));
            server.change(&ann, CREATE, input).await;
            while let Ok(message) = timeout(Duration::from_millis(300), socket.next()).await {
                assert!(message.to_string().contains("Now "), "{message}");
                begun.insert(text(&message["id"]).to_owned());
            }
            if begun.len() == 2 {
                break;
            }
        }

        let id = server.create(&ann, "A", "PRIVATE").await;
        server.change(&ann, UPDATE, json!({ "id": id, "category": "DESIGN" })).await;
        server.change(&ann, UPDATE, json!({ "id": id, "name": "B" })).await;
        let mut got = Vec::new();
        while got.len() < 5 {
            let message = socket.next().await;
            let change = &message["payload"]["data"]["personalConnectorChanged"];
            if change["personalConnectorId"] == *id {
                got.push(format!("{} {} {}", text(&message["id"]), text(&change["kind"]), change["revision"]));
            }
        }
        got.sort_unstable();
        assert_eq!(got, ["all CREATED 1", "all UPDATED 2", "all UPDATED 3", "design UPDATED 2", "design UPDATED 3"]);
    }

    async fn queries_and_mutations_over_both(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut socket = Socket::of(&server, &ann).await;
        socket.subscribe("m", &mutation(CREATE), json!({ "input": draft("Made", json!({})) })).await;
        let message = socket.next().await;
        assert_eq!(message["payload"]["data"][CREATE]["personalConnector"]["name"], "Made");
        assert_eq!(socket.next().await, json!({ "id": "m", "type": "complete" }));
        let mut events = Events::of(&server, &ann, &mutation(CREATE), json!({ "input": draft("Made too", json!({})) })).await;
        let (event, data) = events.next().await.unwrap();
        assert_eq!((event.as_str(), &data["data"][CREATE]["personalConnector"]["name"]), ("next", &json!("Made too")));
        assert_eq!(events.next().await, Some(("complete".to_owned(), Value::Null)));
        assert_eq!(events.next().await, None);

        let code = |errors: &Value| text(&errors[0]["extensions"]["code"]).to_owned();
        for (query, variables, expected) in [
            ("{", json!({}), "GRAPHQL_PARSE_FAILED"),
            ("{ nothing }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            ("subscription { nothing }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            ("subscription { personalConnectorChanged { nothing } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            ("subscription { __typename }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            ("subscription { a: personalConnectorChanged { kind } b: personalConnectorChanged { kind } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            ("subscription { ...F a: personalConnectorChanged { kind } } fragment F on Subscription { personalConnectorChanged { kind } }",
                json!({}), "GRAPHQL_VALIDATION_FAILED"),
            ("subscription($b: Boolean! = false) { personalConnectorChanged @include(if: $b) { kind } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            (CHANGED, json!({ "after": 1 }), "GRAPHQL_VALIDATION_FAILED"),
            ("query($n: Int) { personalConnectors(first: $n) { nodes { id } } }", json!({ "n": 1_000_000 }), "LIMIT_EXCEEDED"),
        ] {
            socket.subscribe("e", query, variables.clone()).await;
            let message = socket.next().await;
            assert_eq!(message["type"], "error", "{query}: {message}");
            assert_eq!(code(&message["payload"]), expected, "{query}: {message}");
            let mut events = Events::of(&server, &ann, query, variables).await;
            let (event, data) = events.next().await.unwrap();
            assert_eq!((event.as_str(), data.get("data")), ("next", None), "{query}");
            assert_eq!(code(&data["errors"]), expected, "{query}: {data}");
            assert_eq!(events.next().await, Some(("complete".to_owned(), Value::Null)));
        }
        // What only the source of events can say ends it as an answer.
        for (after, expected) in [("AAAA", "BAD_USER_INPUT"), ("AgAAAAAAD0JAYc5c9A", "BAD_USER_INPUT")] {
            socket.subscribe("c", CHANGED, json!({ "after": after })).await;
            let message = socket.next().await;
            assert_eq!(message["type"], "next", "{message}");
            assert_eq!(code(&message["payload"]["errors"]), expected, "{message}");
            assert_eq!(socket.next().await, json!({ "id": "c", "type": "complete" }));
        }
    }

    async fn fragments_bring_the_root_field(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let after = now(&server, &ann).await;
        server.create(&ann, "A", "PRIVATE").await;
        let mut socket = Socket::of(&server, &ann).await;
        let query = "subscription($a: String) {
            ...F
            ... on Subscription { personalConnectorChanged(after: $a) { revision } }
        }
        fragment F on Subscription { personalConnectorChanged(after: $a) { kind ...G } }
        fragment G on PersonalConnectorChange { personalConnector { name } }";
        socket.subscribe("1", query, json!({ "a": after })).await;
        // In the selection's order, once.
        let change = socket.change().await;
        assert_eq!(change.to_string(), r#"{"kind":"CREATED","personalConnector":{"name":"A"},"revision":1}"#);
        server.create(&ann, "B", "PRIVATE").await;
        assert_eq!(socket.change().await["personalConnector"]["name"], "B");
    }

    async fn a_replica_tells_of_the_others_changes(server: Server) {
        let other = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        let ann = server.token("ann@acme", WRITE);
        let after = now(&server, &ann).await;
        let mut sockets = [Socket::of(&server, &ann).await, Socket::of(&other, &ann).await];
        for socket in &mut sockets {
            socket.subscribe("1", CHANGED, json!({ "after": after })).await;
        }
        for i in 0..20 {
            let through = if i % 2 == 0 { &server } else { &other };
            through.create(&ann, &format!("N{i}"), "PRIVATE").await;
        }
        for socket in &mut sockets {
            for i in 0..20 {
                assert_eq!(told(&socket.change().await), ("CREATED", &*format!("N{i}")));
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
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
        // A client that asked for a protocol and gets none ends it itself.
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
        // One of the two is not meant.
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
        // What urql and others send with everything.
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
    // The third is too many, by whichever way; another's is not.
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

    // One that ended has left its place.
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
    // Without "complete": a client that still wants it asks again, and is told why not.
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_reads_nothing_holds_up_nobody_and_is_given_up() {
    const SUBSCRIPTIONS: usize = 100;
    const CHANGES: usize = 90;
    const LONG_CHANGED: &str = "subscription($after: String) {
        personalConnectorChanged(after: $after) { cursor personalConnector { name description } }
    }";
    let server = Server::on_sqlite(&[]).await;
    let admin = server.token("boss@acme", ADMIN);
    let after = now(&server, &admin).await;
    let mut deaf = Socket::of(&server, &admin).await;
    let mut hears = Socket::of(&server, &admin).await;
    // More, all in all, than the system keeps for a connection.
    for i in 0..SUBSCRIPTIONS {
        let variables = json!({ "after": after });
        deaf.subscribe(&i.to_string(), LONG_CHANGED, variables)
            .await;
    }
    hears
        .subscribe("1", CHANGED, json!({ "after": after }))
        .await;
    for i in 0..CHANGES {
        let description = "x".repeat(2000);
        let input = json!({ "description": description, "visibility": "ORGANIZATION" });
        let input = draft(&format!("N{i}"), input);
        server.change(&admin, CREATE, input).await;
    }
    for i in 0..CHANGES {
        assert_eq!(told(&hears.change().await), ("CREATED", &*format!("N{i}")));
    }

    // After half a minute, it has what was sent until then, and goes on from there by another socket.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let mut last = Value::Null;
    let (mut all, mut of_first) = (0, 0);
    while let Some(Ok(message)) = timeout(LONG, deaf.0.next()).await.unwrap() {
        let Message::Text(text) = message else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        all += 1;
        if message["id"] == "0" {
            of_first += 1;
            last = message["payload"]["data"]["personalConnectorChanged"]["cursor"].clone();
        }
    }
    assert!(all < SUBSCRIPTIONS * CHANGES, "it was not given up");
    let mut resumed = Socket::of(&server, &admin).await;
    let after = if last.is_null() { json!(after) } else { last };
    resumed
        .subscribe("1", CHANGED, json!({ "after": after }))
        .await;
    for i in of_first..CHANGES {
        assert_eq!(
            told(&resumed.change().await),
            ("CREATED", &*format!("N{i}"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_beside_the_server_is_told_to_everybody() {
    crowd(20, 300).await;
}

/// `cargo test --release --test it a_crowd -- --ignored --nocapture` prints how long a burst takes to the last of a crowd, and what
/// memory the crowd takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute, and measures"]
async fn a_crowd() {
    crowd(5000, 1000).await;
}

/// Has so many subscribers hear of so many changes, which another process makes.
async fn crowd(size: usize, burst: usize) {
    let storage = TestDatabase::sqlite();
    let flags = ["--max-sockets", "0", "--log", "warn"];
    let server = Serving::start(program_on(&storage, &flags));
    let memory = || server.process.resident().unwrap_or_default();
    let before = memory();
    let cursor = "{ personalConnectors(first: 0) { changesCursor } }";
    let cursor = server.data("", cursor, json!({})).await;
    let after = &cursor["personalConnectors"]["changesCursor"];
    let query = "subscription($after: String) {
        personalConnectorChanged(after: $after) { cursor kind personalConnectorId }
    }";
    let began = Instant::now();
    let mut crowd = Vec::new();
    for _ in 0..size {
        let mut socket = Socket::at(&server.url, "").await;
        socket
            .subscribe("1", query, json!({ "after": after }))
            .await;
        // Answered when the subscription has come as far, or nearly.
        socket.subscribe("q", "{ __typename }", json!({})).await;
        while socket.next().await["type"] != "complete" {}
        crowd.push(socket);
    }
    println!("{size} subscribers after {:.1?}", began.elapsed());
    let waiting = memory();
    println!(
        "memory: {before} KiB before, {waiting} KiB with them, {} bytes each",
        (waiting - before) * 1024 / size as u64
    );

    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("burst.jsonl");
    std::fs::write(&file, objects(burst)).unwrap();
    let listen = |mut socket: Socket| async move {
        let mut ids = Vec::with_capacity(burst);
        while ids.len() < burst {
            let change = socket.change().await;
            assert_eq!(change["kind"], "CREATED");
            ids.push(text(&change["personalConnectorId"]).to_owned());
        }
        (Instant::now(), ids)
    };
    let listening: Vec<_> = crowd
        .into_iter()
        .map(|socket| tokio::spawn(listen(socket)))
        .collect();
    let arguments = [
        "import",
        "--organization",
        "acme",
        "--visibility",
        "public",
        file.to_str().unwrap(),
    ];
    run(program_on(&storage, &arguments)).ok();
    let imported = Instant::now();
    let newest = format!(
        "SELECT personal_connector_id FROM connector_event ORDER BY number DESC LIMIT {burst}"
    );
    let expected = rows(&storage.url, &newest).await;
    let expected: Vec<_> = expected.lines().rev().map(ToOwned::to_owned).collect();
    let mut heard = Vec::new();
    for listener in listening {
        let (at, ids) = listener.await.unwrap();
        assert_eq!(ids, expected);
        heard.push(at.saturating_duration_since(imported));
    }
    heard.sort_unstable();
    println!(
        "{burst} changes: the first has heard all {:.1?} after the import, the last {:.1?}",
        heard[0],
        heard[size - 1]
    );
    println!("memory: {} KiB afterwards", memory());
}
