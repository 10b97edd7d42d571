//! The end of a stream that could go on: of a socket, or of server-sent events.
//!
//! An operation ends by itself in `pipeline::stream`.

use tokio_util::sync::CancellationToken;

use crate::http::auth::TokenEnd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The service stops.
    Stop,
    /// The token of the caller is good no more. A caller who still wants the stream asks again.
    Token(TokenEnd),
}

/// Waits for the stop of the service, or for the end of the caller's token.
pub(super) async fn stream_end(
    stopping: CancellationToken,
    expiry: impl Future<Output = TokenEnd>,
) -> StreamEnd {
    tokio::select! {
        biased;
        end = expiry => StreamEnd::Token(end),
        () = stopping.cancelled() => StreamEnd::Stop,
    }
}
