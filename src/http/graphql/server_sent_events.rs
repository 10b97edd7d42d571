//! An operation over server-sent events, by the GraphQL over Server-Sent Events Protocol, distinct connections mode: each
//! answer is a `next`, then comes `complete`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use crate::{
    http::{Routes, admission::open_streams::Open},
    pipeline::{
        execute::{Caller, Prepared, Refused},
        stream::{Message, Operation},
    },
};

/// How often something is sent where nothing happens, so that no proxy takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// nginx hands events on as they come only where it is told so.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer to a request for events. It ends when the operation does, when the service stops, and when the caller's token
/// expires: whoever still wants it asks again.
pub(crate) fn answer(
    routes: &Arc<Routes>,
    caller: Caller,
    prepared: Result<Prepared, Refused>,
    open: Open,
    expires: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let (out, messages) = mpsc::channel(1);
    let operation = Operation::begin(routes.clone(), caller, |_| prepared, 0, out);
    let stopping = routes.live.stopping.clone();
    let until = async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = expires => {}
        }
    };
    let events = events(messages, operation, open).take_until(Box::pin(until));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response
        .headers_mut()
        .insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn events(
    messages: mpsc::Receiver<(u64, Message)>,
    operation: Operation,
    open: Open,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let kept = (messages, operation, open);
    let messages = stream::unfold(kept, async |mut kept| {
        let (_, message) = kept.0.recv().await?;
        Some((message, kept))
    });
    messages.flat_map(|message| {
        let next = |text: String| Event::default().event("next").data(text);
        let complete = || Event::default().event("complete").data("");
        let events = match message {
            Message::Next(answer) => vec![next(answer)],
            Message::Refused(errors) => vec![next(format!(r#"{{"errors":{errors}}}"#)), complete()],
            Message::Complete => vec![complete()],
        };
        stream::iter(events.into_iter().map(Ok))
    })
}
