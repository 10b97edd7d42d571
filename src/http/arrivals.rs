//! A connection that knows whether a part of a request has arrived on it.
//!
//! hyper closes a kept connection at a stop even if it has read a part of the next request's head.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Whether bytes have arrived since a request was last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<AtomicBool>);

impl Arrivals {
    pub(super) fn taken(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_some(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that reports what arrives on it.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    arrivals: Arrivals,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, arrivals: Arrivals) -> Self {
        Self { stream, arrivals }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.arrivals.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
