//! Streamable HTTP (MCP 2025-03-26 and later): the library's transport, on our way to the server.
//!
//! The library leaves to its HTTP client what is read and how far, so ours counts, bounds and judges; sessions, version headers and
//! which answer is whose are the library's.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use hyper::{
    Method, StatusCode,
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
use sse_stream::{Sse, SseStream};
use url::Url;

use crate::mcp::{
    failure::{Failure, NOT_JSON_RPC},
    wire::{EVENT_STREAM, JSON, Response, Wire, is, refused},
};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

type Error = StreamableHttpError<Failure>;

/// How often, and after how long, the rest of an answer is asked for whose stream was closed.
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

impl Wire {
    fn refuse(&self, failure: Failure) -> Error {
        StreamableHttpError::Client(self.fail(failure))
    }

    /// The events of an answer, each looked at before the library parses it.
    fn events(&self, response: Response) -> BoxStream<'static, Result<Sse, SseError>> {
        let wire = self.clone();
        let body = self.body(response, self.limits().message_bytes);
        let events = SseStream::from_bytes_stream(body.map({
            let wire = wire.clone();
            move |chunk| {
                chunk
                    .map_err(|failure| wire.fail(failure))
                    .map(std::io::Cursor::new)
            }
        }));
        let events = events.then(move |event| {
            let wire = wire.clone();
            async move {
                let mut event = event.inspect_err(|_| {
                    wire.fail(NOT_JSON_RPC);
                })?;
                let data = event.data.take().unwrap_or_default();
                // An event without data tells where to go on.
                if !data.trim().is_empty() {
                    let message = wire.message_value(data.as_bytes()).await;
                    let message =
                        message.map_err(|failure| SseError::Body(Box::new(wire.fail(failure))))?;
                    event.data = message.map(|message| message.to_string());
                }
                Ok(event)
            }
        });
        events.boxed()
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
        headers.insert(ACCEPT, ACCEPTED);
        headers.insert(CONTENT_TYPE, JSON);
        let body = serde_json::to_vec(&message)?;
        let sent = self.send(Method::POST, &url, headers, Some(body)).await;
        let (url, response) = sent.map_err(|failure| self.refuse(failure))?;
        let awaited = matches!(message, ClientJsonRpcMessage::Request(_));
        if !awaited
            || matches!(
                response.status(),
                StatusCode::ACCEPTED | StatusCode::NO_CONTENT
            )
        {
            // Servers answer to what needs no answer as they please.
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = response.headers().get(SESSION);
        let session = session.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let failure = refused(&url, &response);
        if is(response.headers(), EVENT_STREAM) && failure.is_none() {
            return Ok(StreamableHttpPostResponse::Sse(
                self.events(response),
                session,
            ));
        }
        if let Some(failure @ Failure::AuthRequired(..)) = failure {
            return Err(self.refuse(failure));
        }
        if !is(response.headers(), "application/json") {
            let failure = failure.unwrap_or(NOT_JSON_RPC);
            return Err(self.refuse(failure));
        }
        let body = self.collect(response, self.limits().message_bytes).await;
        let body = body.map_err(|failure| self.refuse(failure))?;
        let message = self.message(&body).await;
        match (
            message.and_then(|message| message.ok_or(NOT_JSON_RPC)),
            failure,
        ) {
            // An error has its status too.
            (Ok(message @ ServerJsonRpcMessage::Error(_)), _) | (Ok(message), None) => {
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            (_, Some(failure)) | (Err(failure), None) => Err(self.refuse(failure)),
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
        // The rest of an answer is wanted; what the server says of its own accord is not.
        let Some(last_event_id) = last_event_id else {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        };
        let mut headers = with_session(custom_headers, session_id.as_deref())?;
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(LAST_EVENT_ID, value(&last_event_id)?);
        let sent = self.send(Method::GET, &parse(&uri)?, headers, None).await;
        let (url, response) = sent.map_err(|failure| self.refuse(failure))?;
        match refused(&url, &response) {
            Some(failure) => Err(self.refuse(failure)),
            None if is(response.headers(), EVENT_STREAM) => Ok(self.events(response)),
            None => Err(self.refuse(NOT_JSON_RPC)),
        }
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
        // A server need not let sessions be ended.
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
