//! The end of a stream that could go on: of a socket, or of server-sent events.
//!
//! An operation ends by itself in `pipeline::stream`.

use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The service stops.
    Stop,
    /// The token of the caller has expired. A caller who still wants the stream asks again.
    TokenExpired,
}

/// Waits for the stop of the service, or for the expiry of the caller's token.
pub(super) async fn stream_end(
    stopping: CancellationToken,
    expiry: impl Future<Output = ()>,
) -> StreamEnd {
    tokio::select! {
        biased;
        () = expiry => StreamEnd::TokenExpired,
        () = stopping.cancelled() => StreamEnd::Stop,
    }
}
