//! An operation over server-sent events, by the GraphQL over Server-Sent Events Protocol, distinct connections mode: each
//! answer is a `next`, then comes `complete`.

use std::{convert::Infallible, time::Duration};

use crate::{
    http::{
        admission::open_streams::OpenStream,
        auth::TokenEnd,
        stopping::{Phase, Stopping},
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
    let events = events(messages, stream, closing).take_until(Box::pin(expiry));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response
        .headers_mut()
        .insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn events(
    messages: Messages,
    stream: Option<OpenStream>,
    closing: impl Future<Output = ()>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let begin = (messages, stream, Some(Box::pin(closing)));
    let messages = stream::unfold(begin, async |(mut messages, stream, mut closing)| {
        if let Some(closes) = &mut closing {
            tokio::select! {
                message = messages.next() => return Some((message?, (messages, stream, closing))),
                () = closes => messages.end_subscription(),
            }
        }
        let message = messages.next().await?;
        Some((message, (messages, stream, None)))
    });
    messages.flat_map(|message| {
        let next = |text: String| Event::default().event("next").data(text);
        let complete = || Event::default().event("complete").data("");
        let events = match message {
            Message::Next(answer) => vec![next(answer)],
            Message::Refused(errors) => vec![next(format!(r#"{{"errors":{errors}}}"#)), complete()],
            Message::Complete => vec![complete()],
            // A client that was sent no "complete" asks again.
            Message::Ended => vec![],
        };
        stream::iter(events.into_iter().map(Ok))
    })
}
