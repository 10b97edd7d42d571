//! An operation over server-sent events, by the GraphQL over Server-Sent Events Protocol, distinct connections mode: each
//! answer is a `next`, then comes `complete`.
//!
//! Invariant: each end is an event. Where the service ends what would have gone on, that is a `next` with an error alone. No
//! `complete` follows, so that a client asks again.

use std::{convert::Infallible, time::Duration};

use crate::{
    answer_budget::AnswerShare,
    error::Code,
    http::{
        admission::open_streams::OpenStream,
        auth::TokenEnd,
        stopping::{Phase, STOPS, Stopping},
    },
    pipeline::stream::{Message, Messages},
};
use axum::{
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;

/// How often something is sent where nothing happens, so that no proxy takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// nginx hands events on as they come only where it is told so.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The response of events. It ends when the operation does, and when the caller's token does. A subscription ends when the
/// service stops too.
pub(super) fn response(
    messages: Messages,
    stream: Option<OpenStream>,
    stopping: &Stopping,
    expiry: impl Future<Output = TokenEnd> + Send + 'static,
) -> Response {
    let closing = stopping.reached(Phase::Closing);
    let events = events(messages, stream, closing, expiry);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response
        .headers_mut()
        .insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The sources of a stream of events.
struct Source<C, E> {
    messages: Messages,
    _stream: Option<OpenStream>,
    /// None once it was.
    closing: Option<C>,
    expiry: E,
    /// The bytes of the last answer, which count until more is asked for.
    sent: AnswerShare,
}

impl<C, E> Source<C, E>
where
    C: Future<Output = ()> + Unpin,
    E: Future<Output = TokenEnd> + Unpin,
{
    /// The next message, or the end of the token.
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

fn events(
    messages: Messages,
    stream: Option<OpenStream>,
    closing: impl Future<Output = ()> + Send + 'static,
    expiry: impl Future<Output = TokenEnd> + Send + 'static,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let source = Source {
        messages,
        _stream: stream,
        closing: Some(Box::pin(closing)),
        expiry: Box::pin(expiry),
        sent: AnswerShare::default(),
    };
    let events = stream::unfold(Some(source), async |source| {
        let mut source = source?;
        source.sent = AnswerShare::default();
        let next = |text: &str| Event::default().event("next").data(text);
        let complete = || Event::default().event("complete").data("");
        let ended = |code: Code, message: &str| {
            let error = json!({ "message": message, "extensions": { "code": code.as_str() } });
            (vec![next(&json!({ "errors": [error] }).to_string())], None)
        };
        Some(match source.next().await {
            Ok(None) => return None,
            Ok(Some(Message::Next(answer))) => {
                let event = next(answer.as_str());
                source.sent = answer.into_share();
                (vec![event], Some(source))
            }
            Ok(Some(Message::Refused(errors))) => {
                let errors = next(&format!(r#"{{"errors":{errors}}}"#));
                (vec![errors, complete()], None)
            }
            Ok(Some(Message::Complete)) => (vec![complete()], None),
            Ok(Some(Message::Ended)) => ended(Code::Unavailable, STOPS),
            Ok(Some(Message::GivenUp)) => ended(Code::Timeout, "the client reads nothing"),
            Err(end @ TokenEnd::NoKeys) => ended(Code::Unavailable, &end.to_string()),
            Err(end) => ended(Code::Unauthenticated, &end.to_string()),
        })
    });
    events.flat_map(|events| stream::iter(events.into_iter().map(Ok)))
}
