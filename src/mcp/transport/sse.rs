//! HTTP with server-sent events (MCP 2024-11-05), which the library no longer has a client for. A stream names the URL
//! to post to, then carries the server's messages.

use std::sync::Arc;

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
use sse_stream::Sse;
use tokio::sync::watch;
use url::Url;

use crate::mcp::{
    failure::{Failure, NO_ENDPOINT, NOT_JSON_RPC},
    verdict::Evidence,
    wire::{EVENT_STREAM, JSON, URL_BYTES, Wire, is, refused},
};

use super::events::{events, is_message};

pub(in crate::mcp) struct SseTransport {
    wire: Wire,
    /// The URL that messages are posted to.
    endpoint: Url,
    events: BoxStream<'static, Result<Sse, Failure>>,
    /// A received message that was not returned yet, because the library may drop [`receive`](Transport::receive) at
    /// any time.
    received: Option<String>,
    /// The reason that the stream ended.
    ended: Option<Failure>,
    /// The number of requests being sent. The stream's messages wait for them, so that a refused request counts however
    /// the stream ends.
    sending: Arc<watch::Sender<usize>>,
}

/// A request being sent, counted until drop.
struct Sending(Arc<watch::Sender<usize>>);

impl Sending {
    fn new(sending: &Arc<watch::Sender<usize>>) -> Self {
        sending.send_modify(|count| *count += 1);
        Self(sending.clone())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl SseTransport {
    /// Opens the stream, and waits for the event `endpoint`, skipping others.
    pub(in crate::mcp) async fn open(wire: Wire, url: &Url) -> Result<Self, Failure> {
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(EVENT_STREAM))]);
        let (url, response) = wire.send(Method::GET, url, accept, None).await?;
        if let Some(failure) = refused(&url, &response) {
            return Err(failure);
        }
        if !is(response.headers(), EVENT_STREAM) {
            return Err(NOT_JSON_RPC);
        }
        wire.saw(Evidence::Channel);
        let mut events = events(wire.body(response, wire.limits().bytes)).boxed();
        let data = loop {
            let event = events.next().await.ok_or(NO_ENDPOINT)??;
            if let (Some("endpoint"), Some(data)) = (event.event.as_deref(), event.data) {
                break data;
            }
        };
        if data.len() > URL_BYTES {
            return Err(NO_ENDPOINT);
        }
        let endpoint = url.join(data.trim()).map_err(|_| NO_ENDPOINT)?;
        // Messages go only to the origin that was asked.
        if endpoint.origin() != url.origin() {
            return Err(Failure::NotMcp("has messages sent to another host"));
        }
        wire.saw(Evidence::Message);
        Ok(Self {
            wire,
            endpoint,
            events,
            received: None,
            ended: None,
            sending: Arc::default(),
        })
    }

    /// Returns the next message, or the failure.
    async fn message(&mut self) -> Result<ServerJsonRpcMessage, Failure> {
        loop {
            while self.received.is_none() {
                let event = self.events.next().await.ok_or(Failure::Broken)??;
                let is_message = is_message(&event);
                let data = event
                    .data
                    .filter(|data| is_message && !data.trim().is_empty());
                self.received = data;
            }
            self.sent().await;
            let data = self.received.as_deref().unwrap_or_default();
            let message = self.wire.message(data.as_bytes()).await;
            self.received = None;
            if let Some(message) = message? {
                return Ok(message);
            }
        }
    }

    /// Waits for requests being sent, within a limit, because some servers answer a POST late.
    async fn sent(&mut self) {
        let mut sending = self.sending.subscribe();
        let sent = Box::pin(async move {
            let _ = sending.wait_for(|count| *count == 0).await;
        });
        let time = self.wire.limits().beginning;
        let _ = self.wire.stopwatch().within(time, sent).await;
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = Failure;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let (wire, endpoint) = (self.wire.clone(), self.endpoint.clone());
        let sending = wire.asks(&message).then(|| Sending::new(&self.sending));
        async move {
            let body = serde_json::to_vec(&message).map_err(|_| NOT_JSON_RPC)?;
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
            let sent = Box::pin(wire.send(Method::POST, &endpoint, headers, Some(body)));
            if sending.is_none() {
                // Servers respond to notifications in any way, or not at all.
                let _ = wire.stopwatch().within(wire.limits().beginning, sent).await;
                return Ok(());
            }
            let refusal = match sent.await {
                Ok((url, response)) => refused(&url, &response),
                Err(failure) => Some(failure),
            };
            match refusal.filter(|_| wire.is_waiting()) {
                Some(failure) => {
                    wire.fail(failure.clone());
                    drop(sending);
                    Err(wire.end(failure).await)
                }
                None => Ok(()),
            }
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
        // A server may close the stream after its last response.
        self.sent().await;
        self.wire.waiting().await;
        self.wire.end(failure).await;
        None
    }

    async fn close(&mut self) -> Result<(), Failure> {
        self.events = futures_util::stream::empty().boxed();
        Ok(())
    }
}
