//! MCP servers for tests: real ones, misbehaving ones, and addresses that the service must not call.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use entity::ServerType;
use personal_connectors::{
    config::{InspectionLimits, ServerRules},
    domain::inspection::Inspection,
    mcp::{
        guard::Guard,
        handshake::{Inspector, PutOff},
        memory::Memory,
    },
    outbound::Outbound,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::harness::{direct, fixed_clock};

pub fn allowing(places: &[&str]) -> ServerRules {
    ServerRules {
        allow: places.iter().map(|place| place.parse().unwrap()).collect(),
        ..ServerRules::default()
    }
}

/// Inspection limits, some of them so low that tests reach them soon.
pub fn limits() -> InspectionLimits {
    InspectionLimits {
        beginning: Duration::from_secs(1),
        ..InspectionLimits::within(Duration::from_secs(5))
    }
}

/// An inspector whose wait for slots is long, so that no inspection is put off.
#[derive(Debug)]
pub struct Patient(Inspector);

impl Patient {
    pub async fn inspect(&self, url: Option<&str>, claimed: Option<ServerType>) -> Inspection {
        self.try_inspect(url, claimed).await.unwrap()
    }

    pub async fn try_inspect(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
    ) -> Result<Inspection, PutOff> {
        let inspected = self.0.inspect(url, claimed, Duration::from_mins(1));
        inspected.await
    }
}

pub fn inspector(guard: Guard, limits: InspectionLimits) -> Patient {
    inspector_through(direct(), guard, limits)
}

/// Returns an inspector that connects through a proxy, or trusts more authorities.
pub fn inspector_through(outbound: Outbound, guard: Guard, limits: InspectionLimits) -> Patient {
    Patient(Inspector::new(
        guard,
        outbound,
        Memory::default(),
        limits,
        fixed_clock(),
    ))
}

/// Inspects a local server.
pub async fn inspect(url: &str, claimed: ServerType) -> Inspection {
    let guard = Guard::new(allowing(&["127.0.0.0/8"]));
    let inspector = inspector(guard, limits());
    inspector.inspect(Some(url), Some(claimed)).await
}

/// A raw request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// The head in lower case.
    pub head: String,
    pub body: Value,
}

impl Request {
    /// Returns the method of the JSON-RPC message; empty if there is none.
    pub fn asks(&self) -> &str {
        self.body["method"].as_str().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    }
}

/// The reaction to a request, after which the connection ends.
#[derive(Clone, Debug)]
pub enum Reaction {
    Send(Vec<u8>),
    /// A beginning, followed by endless repetitions.
    Endless(Vec<u8>, Vec<u8>),
    /// A beginning, followed by single bytes with pauses.
    Drip(Vec<u8>),
    Hang,
    /// Bytes, followed by silence until the client disconnects.
    Hold(Vec<u8>),
    Close,
}

/// An HTTP server on a plain socket.
#[derive(Clone, Debug)]
pub struct Plain {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
    /// The number of bytes written.
    pub written: Arc<Mutex<usize>>,
}

impl Plain {
    pub async fn new(react: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", react).await
    }

    pub async fn at(
        address: &str,
        react: impl Fn(&Request) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            written: Arc::default(),
        };
        let (serving, react) = (server.clone(), Arc::new(react));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (server, react) = (serving.clone(), react.clone());
                tokio::spawn(async move { server.serve(socket, &*react).await });
            }
        });
        server
    }

    async fn serve(&self, mut socket: TcpStream, react: &(dyn Fn(&Request) -> Reaction + Sync)) {
        let Some(request) = read(&mut socket).await else {
            return;
        };
        let reaction = react(&request);
        self.requests.lock().unwrap().push(request);
        match reaction {
            Reaction::Send(bytes) => {
                let _ = socket.write_all(&bytes).await;
            }
            Reaction::Endless(beginning, more) => {
                let _ = socket.write_all(&beginning).await;
                while socket.write_all(&more).await.is_ok() {
                    *self.written.lock().unwrap() += more.len();
                }
            }
            Reaction::Drip(beginning) => {
                let _ = socket.write_all(&beginning).await;
                while socket.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Reaction::Hold(bytes) => {
                let _ = socket.write_all(&bytes).await;
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
            }
            Reaction::Hang => {
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
            }
            Reaction::Close => {}
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub fn asked(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| request.asks().to_owned())
            .collect()
    }
}

pub async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    let first = String::from_utf8_lossy(&bytes[..head_end]);
    let mut first = first.lines().next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request {
        method,
        path,
        head,
        body: serde_json::from_slice(&bytes[head_end + 4..]).unwrap_or_default(),
    })
}

/// A response head, for a body that ends with the connection.
pub fn head(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

pub fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Reaction {
    Reaction::Send([&head(status, headers), body.as_ref()].concat())
}

pub fn json_answer(body: &Value) -> Reaction {
    answer(200, "content-type: application/json\r\n", body.to_string())
}

/// The tools of [`result`], in GraphQL's form.
pub fn two_tools() -> Value {
    json!([
        {
            "name": "add",
            "title": null,
            "description": "Adds.",
            "inputSchema": { "type": "object" },
            "outputSchema": null,
            "annotations": { "readOnlyHint": true },
        },
        {
            "name": "subtract",
            "title": null,
            "description": null,
            "inputSchema": { "type": "object" },
            "outputSchema": null,
            "annotations": null,
        },
    ])
}

/// Returns the result of a server of the 2025 revision with the two tools of [`two_tools`].
pub fn result(request: &Request) -> Option<Value> {
    Some(match request.asks() {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {}, "prompts": {} },
            "serverInfo": { "name": "plain", "title": "A plain server", "version": "1.2.3" },
            "instructions": "Ask it little.",
        }),
        "tools/list" => json!({ "tools": [
            { "name": "add", "description": "Adds.", "inputSchema": { "type": "object" },
                "annotations": { "readOnlyHint": true } },
            { "name": "subtract", "inputSchema": { "type": "object" } },
        ] }),
        "prompts/list" => json!({ "prompts": [{ "name": "hello" }] }),
        _ => return None,
    })
}

pub fn response(request: &Request, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": request.body["id"], "result": result })
}

/// Reacts like a streamable HTTP server without sessions.
pub fn well_behaved(request: &Request) -> Reaction {
    match (request.method.as_str(), result(request)) {
        ("POST", Some(result)) => json_answer(&response(request, &result)),
        ("POST", None) if request.body["id"].is_null() => answer(202, "", ""),
        ("POST", None) => json_answer(&json!({
            "jsonrpc": "2.0",
            "id": request.body["id"],
            "error": { "code": -32601, "message": "no such method" },
        })),
        _ => answer(405, "", ""),
    }
}
