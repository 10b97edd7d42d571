//! Streamable HTTP (MCP 2025-03-26 and later): the library's transport over this module's HTTP client.
//!
//! The client counts, bounds and checks all that is read. The library handles sessions, version headers and the
//! matching of responses.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use hyper::{
    Method, StatusCode,
    body::Body,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::{
        StreamableHttpClientTransport,
        common::client_side_sse::SseRetryPolicy,
        streamable_http_client::{
            SseError, StreamableHttpClient, StreamableHttpClientTransportConfig,
            StreamableHttpError, StreamableHttpPostResponse,
        },
    },
};
use sse_stream::Sse;
use url::Url;

use crate::mcp::{
    failure::{ACCEPTED, EMPTY, Failure, NO_ANSWER, NOT_JSON_RPC},
    verdict::Evidence,
    wire::{EVENT_STREAM, JSON, Response, Wire, is, refused},
};

use super::events::{events, is_message};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEPTED_TYPES: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

type Error = StreamableHttpError<Failure>;

/// The number of attempts to resume a closed stream, and the delay.
#[derive(Debug)]
struct Resumption;

impl SseRetryPolicy for Resumption {
    fn retry(&self, times: usize) -> Option<Duration> {
        (times < 3).then_some(Duration::from_millis(250))
    }
}

pub(in crate::mcp) fn streamable_http(
    wire: Wire,
    url: &Url,
) -> StreamableHttpClientTransport<Wire> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.retry_config = Arc::new(Resumption);
    config.reinit_on_expired_session = false;
    config.max_sse_event_size = wire.limits().message_bytes;
    config.max_json_response_size = wire.limits().message_bytes;
    StreamableHttpClientTransport::with_client(wire, config)
}

/// The state of an event stream that should bring a response.
#[derive(Debug, Default)]
struct Stream {
    is_answered: bool,
    /// Whether an event had an id, so that a closed stream can be resumed.
    is_resumable: bool,
}

impl Wire {
    async fn refuse(&self, failure: Failure) -> Error {
        StreamableHttpError::Client(self.end(failure).await)
    }

    /// Returns the events of a response, each checked before the library parses it. They end with the response.
    fn events(&self, response: Response) -> BoxStream<'static, Result<Sse, SseError>> {
        self.saw(Evidence::Channel);
        let body = self.body(response, self.limits().message_bytes);
        let state = (self.clone(), events(body).boxed(), Stream::default());
        let events = stream::unfold(state, |(wire, mut events, mut stream)| async move {
            if stream.is_answered {
                return None;
            }
            let event = match events.next().await {
                Some(Ok(event)) => wire.looked_at(event, &mut stream).await,
                Some(Err(Failure::Broken)) | None if stream.is_resumable => return None,
                Some(Err(failure)) => Err(failure),
                None => Err(NO_ANSWER),
            };
            let event = match event {
                Ok(event) => Ok(event),
                Err(failure) => Err(SseError::Body(Box::new(wire.end(failure).await))),
            };
            Some((event, (wire, events, stream)))
        });
        events.boxed()
    }

    /// Converts an event for the library, which reads all events' data as messages.
    async fn looked_at(&self, mut event: Sse, stream: &mut Stream) -> Result<Sse, Failure> {
        stream.is_resumable |= event.id.is_some();
        let data = event.data.take().filter(|_| is_message(&event));
        // An event without data has the id to resume from.
        if let Some(data) = data.filter(|data| !data.trim().is_empty()) {
            event.data = self.message_text(data.as_bytes()).await?;
            stream.is_answered = !self.is_waiting();
        }
        Ok(event)
    }

    /// Reads the response to a request, in any form.
    async fn answer(
        &self,
        url: &Url,
        in_session: bool,
        response: Response,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let status = response.status();
        let refusal = refused(url, &response);
        // These statuses count whatever the body says. Others may carry a JSON-RPC error, for example from a server of
        // another revision.
        let is_gone = in_session && status == StatusCode::NOT_FOUND;
        if let Some(failure) = &refusal
            && (is_gone || failure.evidence() != Evidence::NotHere)
        {
            return Err(failure.clone());
        }
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Err(ACCEPTED);
        }
        let session = response.headers().get(SESSION);
        let session = session.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        if is(response.headers(), EVENT_STREAM) && refusal.is_none() {
            let events = self.events(response);
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        let is_empty = response.body().is_end_stream();
        if is_empty || !is(response.headers(), "application/json") {
            return Err(refusal.unwrap_or(if is_empty { EMPTY } else { NOT_JSON_RPC }));
        }
        let body = self.collect(response, self.limits().message_bytes).await?;
        if body.is_empty() {
            return Err(refusal.unwrap_or(EMPTY));
        }
        match (self.message(&body).await, refusal) {
            (Ok(Some(message @ ServerJsonRpcMessage::Error(_))), _)
            | (Ok(Some(message @ ServerJsonRpcMessage::Response(_))), None) => {
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            (_, Some(failure)) | (Err(failure), None) => Err(failure),
            (Ok(_), None) => Err(NO_ANSWER),
        }
    }
}

impl StreamableHttpClient for Wire {
    type Error = Failure;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let url = parse(&uri)?;
        let mut headers = with_session(custom_headers, session_id.as_deref())?;
        headers.insert(ACCEPT, ACCEPTED_TYPES);
        headers.insert(CONTENT_TYPE, JSON);
        let body = serde_json::to_vec(&message)?;
        let is_request = self.asks(&message);
        let sent = Box::pin(self.send(Method::POST, &url, headers, Some(body)));
        if !is_request {
            // Servers respond to notifications in any way, or not at all.
            let _ = self.stopwatch().within(self.limits().beginning, sent).await;
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let answer = match sent.await {
            Ok((url, response)) => self.answer(&url, session_id.is_some(), response).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.refuse(failure).await),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        // Only the rest of a response is requested, not the server's own messages.
        let Some(last_event_id) = last_event_id else {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        };
        let mut headers = with_session(custom_headers, session_id.as_deref())?;
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(LAST_EVENT_ID, value(&last_event_id)?);
        let sent = self.send(Method::GET, &parse(&uri)?, headers, None).await;
        let failure = match sent.map(|(url, response)| (refused(&url, &response), response)) {
            Ok((None, response)) if is(response.headers(), EVENT_STREAM) => {
                return Ok(self.events(response));
            }
            Ok((Some(failure), _)) | Err(failure) if failure.evidence() != Evidence::NotHere => {
                failure
            }
            // The original failure counts.
            _ => NO_ANSWER,
        };
        Err(self.refuse(failure).await)
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Error> {
        let headers = with_session(custom_headers, Some(&session_id))?;
        let sent = self
            .send(Method::DELETE, &parse(&uri)?, headers, None)
            .await;
        // A server need not support ending sessions.
        sent.map(|_| ()).map_err(StreamableHttpError::Client)
    }
}

fn parse(uri: &str) -> Result<Url, Error> {
    Url::parse(uri)
        .map_err(|_| StreamableHttpError::Client(super::super::guard::Refusal::NotAUrl.into()))
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| StreamableHttpError::Client(NOT_JSON_RPC))
}

fn with_session(
    headers: HashMap<HeaderName, HeaderValue>,
    session: Option<&str>,
) -> Result<HeaderMap, Error> {
    let mut headers: HeaderMap = headers.into_iter().collect();
    if let Some(session) = session {
        headers.insert(SESSION, value(session)?);
    }
    Ok(headers)
}
