//! WebSocket, which MCP does not define: a message of JSON-RPC a text message, as the servers that speak it have it.

use std::sync::Arc;

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::{
    StatusCode,
    header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL, USER_AGENT, WWW_AUTHENTICATE},
};
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
        wire::{AGENT, Wire, refused_by, uri},
    },
    outbound::connection::Connection,
};

type Socket = WebSocketStream<Connection>;

pub(in crate::mcp) struct WebSocketTransport {
    wire: Wire,
    sink: Arc<Mutex<SplitSink<Socket, Message>>>,
    stream: SplitStream<Socket>,
}

impl WebSocketTransport {
    /// Connects to an address that the guard permits, and to no other.
    pub(in crate::mcp) async fn open(wire: Wire, url: &Url) -> Result<Self, Failure> {
        let mut url = url.clone();
        let scheme = match url.scheme() {
            "https" | "wss" => "wss",
            _ => "ws",
        };
        url.set_scheme(scheme).map_err(|()| Refusal::NotAUrl)?;
        // A server need not choose the subprotocol, but its client's library wants it to.
        let socket = match handshake(&wire, &url, true).await? {
            Some(socket) => socket,
            None => handshake(&wire, &url, false).await?.ok_or(NOT_JSON_RPC)?,
        };
        let (sink, stream) = socket.split();
        Ok(Self {
            wire,
            sink: Arc::new(Mutex::new(sink)),
            stream,
        })
    }
}

/// None if the server did not choose the subprotocol that it was offered.
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
            let challenge = response.headers().get(WWW_AUTHENTICATE);
            let challenge = challenge.and_then(|value| value.to_str().ok());
            let failure = refused_by(url, response.status(), challenge);
            Err(failure.unwrap_or(Failure::Status(StatusCode::OK)))
        }
        Err(Error::Io(error)) => Err(reason(&error, false)),
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
    // It connects as to a web server, and to the same port.
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
            wire.request().map_err(|failure| wire.fail(failure))?;
            let text = serde_json::to_string(&message).map_err(|_| NOT_JSON_RPC)?;
            let sent = sink.lock().await.send(Message::text(text)).await;
            sent.map_err(|_| wire.fail(Failure::Broken))
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let received = match self.stream.next().await {
                Some(Ok(received)) => received,
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    self.wire.fail(TOO_LARGE);
                    return None;
                }
                Some(Err(Error::Protocol(_) | Error::Utf8(_))) => {
                    self.wire.fail(NOT_JSON_RPC);
                    return None;
                }
                Some(Err(Error::Io(error))) => {
                    self.wire.fail(reason(&error, false));
                    return None;
                }
                Some(Err(_)) | None => {
                    self.wire.fail(Failure::Broken);
                    return None;
                }
            };
            let message = match &received {
                Message::Text(text) => self.wire.message(text.as_bytes()).await,
                Message::Binary(bytes) => self.wire.message(bytes).await,
                _ => Ok(None),
            };
            match message {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(failure) => {
                    self.wire.fail(failure);
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Failure> {
        let closed = self.sink.lock().await.close().await;
        closed.map_err(|_| Failure::Broken)
    }
}
