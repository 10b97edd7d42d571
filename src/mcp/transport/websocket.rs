//! WebSocket, which MCP does not define. One text message carries one JSON-RPC message, as existing servers have it.

use std::sync::Arc;

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::Mutex;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::{CapacityError, ProtocolError, SubProtocolError},
        protocol::WebSocketConfig,
    },
};
use url::Url;

use crate::{
    mcp::{
        failure::{Failure, NOT_JSON_RPC, TOO_LARGE, reason},
        guard::Refusal,
        verdict::{Evidence, PRIVATE_UNAUTHORIZED, UNAUTHORIZED},
        wire::{AGENT, Wire, refused, uri},
    },
    outbound::connection::Connection,
};

type Socket = WebSocketStream<Connection>;

pub(in crate::mcp) struct WebSocketTransport {
    wire: Wire,
    url: Url,
    sink: Arc<Mutex<SplitSink<Socket, Message>>>,
    stream: SplitStream<Socket>,
    /// A received message that was not returned yet, because the library may drop [`receive`](Transport::receive) at
    /// any time.
    received: Option<Message>,
    /// The reason that the connection ended.
    ended: Option<Failure>,
}

impl WebSocketTransport {
    /// Connects to an address that the guard permits.
    pub(in crate::mcp) async fn open(wire: Wire, url: &Url) -> Result<Self, Failure> {
        let mut url = url.clone();
        let scheme = match url.scheme() {
            "https" | "wss" => "wss",
            _ => "ws",
        };
        url.set_scheme(scheme).map_err(|()| Refusal::NotAUrl)?;
        // A server need not choose the subprotocol, but the client's library requires it.
        let socket = match handshake(&wire, &url, true).await? {
            Some(socket) => socket,
            None => handshake(&wire, &url, false).await?.ok_or(NOT_JSON_RPC)?,
        };
        wire.saw(Evidence::Channel);
        let (sink, stream) = socket.split();
        Ok(Self {
            wire,
            url,
            sink: Arc::new(Mutex::new(sink)),
            stream,
            received: None,
            ended: None,
        })
    }

    /// Returns the next message, or the failure.
    async fn message(&mut self) -> Result<ServerJsonRpcMessage, Failure> {
        loop {
            let received = if let Some(received) = self.received.take() {
                received
            } else {
                let received = self.stream.next().await.ok_or(Failure::Broken)?;
                received.map_err(|error| broken(&error))?
            };
            if let Message::Close(frame) = received {
                let code = frame.map(|frame| u16::from(frame.code));
                return Err(code.map_or(Failure::Broken, |code| closed(code, &self.url)));
            }
            if let Message::Text(_) | Message::Binary(_) = received {
                let received = self.received.insert(received);
                let message = self
                    .wire
                    .message(received.clone().into_data().as_ref())
                    .await;
                self.received = None;
                if let Some(message) = message? {
                    return Ok(message);
                }
            }
        }
    }
}

fn broken(error: &Error) -> Failure {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => TOO_LARGE,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Failure::Broken,
        Error::Protocol(_) | Error::Utf8(_) => NOT_JSON_RPC,
        Error::Io(error) => reason(error, false),
        _ => Failure::Broken,
    }
}

fn closed(code: u16, url: &Url) -> Failure {
    match code {
        UNAUTHORIZED | PRIVATE_UNAUTHORIZED => {
            Failure::AuthRequired(Vec::new(), Box::new(url.clone()))
        }
        code => Failure::Closed(code),
    }
}

/// Opens a WebSocket; none if the server ignored the offered subprotocol.
async fn handshake(wire: &Wire, url: &Url, subprotocol: bool) -> Result<Option<Socket>, Failure> {
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|_| Refusal::NotAUrl)?;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, AGENT);
    if subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mcp"));
    }
    let most = wire.limits().message_bytes;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let connection = connect(wire, url).await?;
    match client_async_with_config(request, connection, Some(config)).await {
        Ok((socket, _)) => Ok(Some(socket)),
        Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol,
        ))) if subprotocol => Ok(None),
        Err(Error::Http(response)) => {
            let failure = refused(url, &response);
            Err(failure.unwrap_or(Failure::Status(response.status())))
        }
        Err(Error::Io(error)) => Err(reason(&error, false)),
        Err(Error::Protocol(ProtocolError::HandshakeIncomplete)) => Err(Failure::Broken),
        Err(_) => Err(Failure::NotMcp("does not speak WebSocket")),
    }
}

async fn connect(wire: &Wire, url: &Url) -> Result<Connection, Failure> {
    wire.request()?;
    wire.guard().judge(url)?;
    let mut url = url.clone();
    let scheme = if url.scheme() == "wss" {
        "https"
    } else {
        "http"
    };
    // The connection is made as for HTTP, to the same port.
    url.set_scheme(scheme).map_err(|()| Refusal::NotAUrl)?;
    wire.line().connect(uri(&url)?).await
}

impl Transport<RoleClient> for WebSocketTransport {
    type Error = Failure;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let (wire, sink) = (self.wire.clone(), self.sink.clone());
        async move {
            if let Err(failure) = wire.request() {
                return Err(wire.end(failure).await);
            }
            let text = serde_json::to_string(&message).map_err(|_| NOT_JSON_RPC)?;
            wire.asks(&message);
            let sent = sink.lock().await.send(Message::text(text)).await;
            if sent.is_err() {
                // The server's close gives the reason.
                wire.over().await;
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        let failure = match self.ended.clone() {
            Some(failure) => failure,
            None => match self.message().await {
                Ok(message) => return Some(message),
                Err(failure) => self.ended.insert(failure).clone(),
            },
        };
        // A server may close the connection after its last response.
        self.wire.waiting().await;
        self.wire.end(failure).await;
        None
    }

    async fn close(&mut self) -> Result<(), Failure> {
        let closed = self.sink.lock().await.close().await;
        closed.map_err(|_| Failure::Broken)
    }
}
