//! Streams an operation's responses by one of two protocols: GraphQL over Server-Sent Events in its distinct
//! connections mode, and Apollo's multipart protocol for subscriptions (`subscriptionSpec=1.0`).
//!
//! Invariant: each end sends a message. If the service ends an operation early, the last message is an error without a
//! `complete`, so that the client retries.

use std::{convert::Infallible, time::Duration};

use crate::{
    answer_budget::AnswerShare,
    error::{Code, Error},
    http::{
        admission::open_streams::OpenStream,
        auth::TokenEnd,
        stopping::{Phase, STOPS, Stopping},
    },
    pipeline::stream::{Message, Messages},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::time::timeout;

use super::negotiation::StreamType;

/// The interval of keepalive messages, which prevent proxies from closing an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// nginx forwards events at once only with this header.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The encoding of messages. A multipart message ends with the next boundary, which the client waits for.
impl StreamType {
    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Events => "text/event-stream",
            Self::Multipart => r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#,
        })
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::Events => "",
            Self::Multipart => "\r\n--graphql",
        }
    }

    /// Encodes a response, which is JSON without line breaks, with the id of its event, which is Base64.
    fn next(self, answer: &str, id: Option<&str>) -> String {
        match self {
            Self::Events => {
                let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
                format!("{id}event: next\ndata: {answer}\n\n")
            }
            Self::Multipart => part(&format!(r#"{{"payload":{answer}}}"#)),
        }
    }

    /// Encodes an error of the connection, not of the operation.
    fn failed(self, errors: &str) -> String {
        match self {
            Self::Events => self.next(&format!(r#"{{"errors":{errors}}}"#), None),
            Self::Multipart => {
                let failed = part(&format!(r#"{{"payload":null,"errors":{errors}}}"#));
                format!("{failed}--\r\n")
            }
        }
    }

    const fn complete(self) -> &'static str {
        match self {
            Self::Events => "event: complete\ndata:\n\n",
            Self::Multipart => "--\r\n",
        }
    }

    /// Encodes a message without an event. An id alone replaces the last one of the client (WHATWG HTML, section
    /// 9.2.6).
    fn keep_alive(self, id: Option<&str>) -> String {
        match self {
            Self::Events => {
                let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
                format!(":\n{id}\n")
            }
            Self::Multipart => part("{}"),
        }
    }
}

fn part(json: &str) -> String {
    format!("\r\nContent-Type: application/json\r\n\r\n{json}\r\n--graphql")
}

/// Builds the response of a stream. It ends with the operation or with the caller's token; a subscription also ends
/// when the service stops.
pub(super) fn response(
    stream_type: StreamType,
    messages: Messages,
    stream: Option<OpenStream>,
    stopping: &Stopping,
    expiry: impl Future<Output = TokenEnd> + Send + 'static,
) -> Response {
    let closing = stopping.reached(Phase::Closing);
    let texts = texts(stream_type, messages, stream, closing, expiry);
    let mut response = Response::new(Body::from_stream(texts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, stream_type.content_type());
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The sources of a stream.
struct Source<C, E> {
    messages: Messages,
    _stream: Option<OpenStream>,
    /// The stop of the service; none after it was seen.
    closing: Option<C>,
    expiry: E,
    /// The bytes of the last response, which count until the next poll.
    sent: AnswerShare,
}

impl<C, E> Source<C, E>
where
    C: Future<Output = ()> + Unpin,
    E: Future<Output = TokenEnd> + Unpin,
{
    /// Waits for the next message, or the end of the token. It is safe to cancel: no message is lost.
    async fn next(&mut self) -> Result<Option<Message>, TokenEnd> {
        if let Some(closing) = &mut self.closing {
            tokio::select! {
                message = self.messages.next() => return Ok(message),
                end = &mut self.expiry => return Err(end),
                () = closing => self.messages.end_subscription(),
            }
            self.closing = None;
        }
        tokio::select! {
            message = self.messages.next() => Ok(message),
            end = &mut self.expiry => Err(end),
        }
    }
}

fn texts(
    stream_type: StreamType,
    messages: Messages,
    stream: Option<OpenStream>,
    closing: impl Future<Output = ()> + Send + 'static,
    expiry: impl Future<Output = TokenEnd> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let source = Source {
        messages,
        _stream: stream,
        closing: Some(Box::pin(closing)),
        expiry: Box::pin(expiry),
        sent: AnswerShare::default(),
    };
    stream::unfold(
        (Some(source), stream_type.begin()),
        move |(source, begin)| async move {
            let mut source = source?;
            source.sent = AnswerShare::default();
            let ended = |code: Code, message: &str| {
                let errors = json!([Error::new(code, message).to_json()]);
                (stream_type.failed(&errors.to_string()), None)
            };
            let next = match timeout(KEEP_ALIVE, source.next()).await {
                Err(_) => (stream_type.keep_alive(None), Some(source)),
                Ok(Ok(None)) => return None,
                Ok(Ok(Some(Message::Next(answer, id)))) => {
                    let text = stream_type.next(answer.as_str(), id.as_deref());
                    source.sent = answer.into_share();
                    (text, Some(source))
                }
                Ok(Ok(Some(Message::Passed(id)))) => {
                    (stream_type.keep_alive(Some(&id)), Some(source))
                }
                Ok(Ok(Some(Message::Refused(errors)))) => {
                    let refused = stream_type.next(&format!(r#"{{"errors":{errors}}}"#), None);
                    (refused + stream_type.complete(), None)
                }
                Ok(Ok(Some(Message::Complete))) => (stream_type.complete().to_owned(), None),
                Ok(Ok(Some(Message::Ended))) => ended(Code::Unavailable, STOPS),
                Ok(Ok(Some(Message::GivenUp))) => ended(Code::Timeout, "the client reads nothing"),
                Ok(Err(end @ TokenEnd::NoKeys)) => ended(Code::Unavailable, &end.to_string()),
                Ok(Err(end)) => ended(Code::Unauthenticated, &end.to_string()),
            };
            let (text, source) = next;
            Some((Ok(Bytes::from(format!("{begin}{text}"))), (source, "")))
        },
    )
}
