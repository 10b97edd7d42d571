//! Clients of subscriptions: over a WebSocket, and over server-sent events.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::support::{harness::Server, mutations::text};

pub const CHANGED: &str = "subscription($after: String, $filter: PersonalConnectorChangeFilter) {
    personalConnectorChanged(after: $after, filter: $filter) {
        cursor kind personalConnectorId personalConnector { name revision } revision actor
    }
}";

/// A time limit that is much longer than anything here takes.
pub const LONG: Duration = Duration::from_secs(30);

/// A client of `graphql-transport-ws`.
pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens a socket with these headers.
    pub async fn open(
        server: &Server,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        Self::open_at(&format!("{}/graphql", server.url), headers).await
    }

    pub async fn open_at(
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

    /// Opens a socket with a token, and waits for the acknowledgement.
    pub async fn of(server: &Server, token: &str) -> Self {
        Self::at(&format!("{}/graphql", server.url), token).await
    }

    /// Opens a socket at `http://…/graphql` with a token.
    pub async fn at(url: &str, token: &str) -> Self {
        let mut socket = Self::open_at(url, &[PROTOCOL]).await.unwrap();
        socket.init(token).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub async fn init(&mut self, token: &str) {
        let payload = if token.is_empty() {
            json!({})
        } else {
            json!({ "Authorization": format!("Bearer {token}") })
        };
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    pub async fn send(&mut self, message: Value) {
        self.say(Message::text(message.to_string())).await;
    }

    pub async fn say(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "id": id, "type": "subscribe", "payload": payload }))
            .await;
    }

    /// Returns the next message, apart from positions without a change.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = self.message().await;
            if message["type"] != "ping" {
                return message;
            }
        }
    }

    /// Returns the next message of any type.
    pub async fn message(&mut self) -> Value {
        loop {
            let message = timeout(LONG, self.0.next()).await.unwrap();
            match message.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other}"),
            }
        }
    }

    /// Returns the change in the next message.
    pub async fn change(&mut self) -> Value {
        let mut message = self.next().await;
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"].get("errors"), None, "{message}");
        message["payload"]["data"]["personalConnectorChanged"].take()
    }

    /// Returns the close code and reason, and the messages before.
    pub async fn closed(&mut self) -> (u16, String, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            match timeout(LONG, self.0.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    before.extend(Some(message).filter(|message| message["type"] != "ping"));
                }
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string(), before);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A client's frame (RFC 6455, section 5.2) with this first byte of flags and opcode. Its mask is zero.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ ..126) => frame.push(0x80 | u8::try_from(short).unwrap()),
        Ok(long) => {
            frame.push(0xfe);
            frame.extend(long.to_be_bytes());
        }
        Err(_) => {
            frame.push(0xff);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

/// A stream of server-sent events.
pub struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    pub async fn of(server: &Server, token: &str, query: &str, variables: Value) -> Self {
        let response = server.events(token, query, variables).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            response,
            text: String::new(),
        }
    }

    /// Returns the next event's name and data; none at the end.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let event = self.block().await?;
            // The comment is a keepalive.
            if event.starts_with(':') {
                continue;
            }
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            let data = field("data:").unwrap_or_default().trim();
            let data = serde_json::from_str(data).unwrap_or_default();
            return Some((field("event:").unwrap().trim().to_owned(), data));
        }
    }

    /// Returns the next lines up to an empty one: an event, or a keepalive.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = timeout(LONG, self.response.chunk()).await.unwrap();
            let chunk = chunk.ok()??;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    pub async fn change(&mut self) -> Value {
        let (event, mut data) = self.next().await.unwrap();
        assert_eq!(
            (event.as_str(), data.get("errors")),
            ("next", None),
            "{data}"
        );
        data["data"]["personalConnectorChanged"].take()
    }
}

/// Returns a change's kind and the connector's name, if present.
pub fn told(change: &Value) -> (&str, &str) {
    let name = change["personalConnector"]["name"].as_str();
    (text(&change["kind"]), name.unwrap_or("-"))
}

/// Returns the cursor after all changes so far.
pub async fn now(server: &Server, token: &str) -> String {
    let query = "{ personalConnectors(first: 0) { changesCursor } }";
    let data = server.fresh(token, query, json!({})).await;
    text(&data["personalConnectors"]["changesCursor"]).to_owned()
}
