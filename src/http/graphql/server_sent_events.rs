//! An operation over server-sent events, by the GraphQL over Server-Sent Events Protocol, distinct connections mode: each
//! answer is a `next`, then comes `complete`.

use std::{convert::Infallible, time::Duration};

use crate::{
    answer_budget::AnswerShare,
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
    /// Where the operation is, and the bytes of the last event, which are those of all answers until more is asked for.
    struct State<C> {
        messages: Messages,
        #[expect(dead_code, reason = "it is counted as long as it is there")]
        stream: Option<OpenStream>,
        closing: Option<C>,
        sent: AnswerShare,
    }

    let begin = State {
        messages,
        stream,
        closing: Some(Box::pin(closing)),
        sent: AnswerShare::default(),
    };
    let events = stream::unfold(begin, async |mut state| {
        state.sent = AnswerShare::default();
        let message = match &mut state.closing {
            Some(closes) => tokio::select! {
                message = state.messages.next() => message,
                () = closes => {
                    state.closing = None;
                    state.messages.end_subscription();
                    state.messages.next().await
                }
            },
            None => state.messages.next().await,
        };
        let next = |text: &str| Event::default().event("next").data(text);
        let complete = || Event::default().event("complete").data("");
        let events = match message? {
            Message::Next(answer) => {
                let event = next(answer.as_str());
                state.sent = answer.into_share();
                vec![event]
            }
            Message::Refused(errors) => {
                vec![next(&format!(r#"{{"errors":{errors}}}"#)), complete()]
            }
            Message::Complete => vec![complete()],
            // A client that was sent no "complete" asks again.
            Message::Ended => vec![],
        };
        Some((events, state))
    });
    events.flat_map(|events| stream::iter(events.into_iter().map(Ok)))
}
