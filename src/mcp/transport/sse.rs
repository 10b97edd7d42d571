//! HTTP with server-sent events (MCP 2024-11-05), which the library has no client for any more: a stream that begins with the
//! address to send messages to, and then has the server's.

use futures_util::{StreamExt, stream::BoxStream};
use hyper::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use sse_stream::{Sse, SseStream};
use url::Url;

use crate::mcp::{
    failure::{Failure, NOT_JSON_RPC},
    wire::{EVENT_STREAM, JSON, URL_BYTES, Wire, is, refused},
};

pub(in crate::mcp) struct SseTransport {
    wire: Wire,
    /// Where messages are sent to.
    endpoint: Url,
    events: BoxStream<'static, Result<Sse, Failure>>,
}

impl SseTransport {
    /// Opens the stream, and waits for where messages are to be sent.
    pub(in crate::mcp) async fn open(wire: Wire, url: &Url) -> Result<Self, Failure> {
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(EVENT_STREAM))]);
        let (url, response) = wire.send(Method::GET, url, accept, None).await?;
        if let Some(failure) = refused(&url, &response) {
            return Err(failure);
        }
        if !is(response.headers(), EVENT_STREAM) {
            return Err(NOT_JSON_RPC);
        }
        let body = wire.body(response, wire.limits().bytes);
        let noting = wire.clone();
        let body = body.map(move |chunk| {
            let chunk = chunk.map_err(|failure| noting.fail(failure));
            chunk.map(std::io::Cursor::new)
        });
        let events = SseStream::from_bytes_stream(body);
        let mut events = events.map(|event| event.map_err(|_| NOT_JSON_RPC)).boxed();
        let first = events.next().await.ok_or(NOT_JSON_RPC)?;
        let first = first.map_err(|failure| wire.failure().unwrap_or(failure))?;
        let endpoint = match (first.event.as_deref(), first.data) {
            (Some("endpoint"), Some(data)) if data.len() <= URL_BYTES => {
                url.join(data.trim()).map_err(|_| NOT_JSON_RPC)?
            }
            _ => return Err(NOT_JSON_RPC),
        };
        // Messages go to nobody but who was asked.
        if endpoint.origin() != url.origin() {
            return Err(Failure::NotMcp("has messages sent to another host"));
        }
        Ok(Self {
            wire,
            endpoint,
            events,
        })
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = Failure;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let (wire, endpoint) = (self.wire.clone(), self.endpoint.clone());
        async move {
            let body = serde_json::to_vec(&message).map_err(|_| NOT_JSON_RPC)?;
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
            let sent = wire
                .send(Method::POST, &endpoint, headers, Some(body))
                .await;
            let (url, response) = sent.map_err(|failure| wire.fail(failure))?;
            let awaited = matches!(message, ClientJsonRpcMessage::Request(_));
            match refused(&url, &response).filter(|_| awaited) {
                Some(failure) => Err(wire.fail(failure)),
                None => Ok(()),
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let event = match self.events.next().await {
                Some(Ok(event)) => event,
                Some(Err(failure)) => {
                    self.wire.fail(failure);
                    return None;
                }
                None => {
                    self.wire.fail(Failure::Broken);
                    return None;
                }
            };
            if !matches!(event.event.as_deref(), None | Some("message")) {
                continue;
            }
            let Some(data) = event.data else { continue };
            match self.wire.message(data.as_bytes()).await {
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
        self.events = futures_util::stream::empty().boxed();
        Ok(())
    }
}
