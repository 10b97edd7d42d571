//! Connections for several requests, which the server may close between two of them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper::{Request, http::Extensions};
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection as Connecting, capture_connection,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Nothing has been received.
const NEW: u8 = 0;
/// The last byte was received, not sent.
const ANSWERED: u8 = 1;
/// A request was sent after an earlier response, and nothing was received since.
const SENT_AGAIN: u8 = 2;

/// A connection that records whether its last request was answered.
pub(in crate::mcp) struct Reusable<C> {
    connection: C,
    traffic: Traffic,
}

#[derive(Clone, Debug, Default)]
struct Traffic(Arc<AtomicU8>);

impl<C> Reusable<C> {
    pub(in crate::mcp) fn new(connection: C) -> Self {
        Self {
            connection,
            traffic: Traffic::default(),
        }
    }
}

impl<C> Connecting for Reusable<C> {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.traffic.clone())
    }
}

/// The connection that a request will use.
pub(in crate::mcp) struct Used(CaptureConnection);

impl Used {
    pub(in crate::mcp) fn by<B>(request: &mut Request<B>) -> Self {
        Self(capture_connection(request))
    }

    /// Returns whether a reused connection ended before the first byte of the response. The server may have closed it
    /// before it read the request (RFC 9112 §9.3.1, §9.5).
    pub(in crate::mcp) fn was_stale(&self) -> bool {
        let mut extras = Extensions::new();
        if let Some(connected) = self.0.connection_metadata().as_ref() {
            connected.get_extras(&mut extras);
        }
        let traffic = extras.get::<Traffic>();
        traffic.is_some_and(|traffic| traffic.0.load(Ordering::Acquire) == SENT_AGAIN)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Reusable<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.traffic.0.store(ANSWERED, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Reusable<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.traffic.0.load(Ordering::Acquire) != NEW {
            self.traffic.0.store(SENT_AGAIN, Ordering::Release);
        }
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
