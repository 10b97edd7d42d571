//! Counts the bytes of a socket's unfinished message, and the time in which the client reads nothing.
//!
//! Invariant: buffered bytes of an unfinished message count for its caller and for the process.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::http::admission::open_streams::{Account, Bytes, TooManyBytes};

/// Bytes of an unfinished message that do not count, because each socket has a buffer of this size.
const FREE: usize = 8 * 1024;
/// Bytes that are reserved at once.
const STEP: usize = 16 * 1024;
/// Memory for each received byte of an unfinished message. Fragments are held twice for a while.
const COPIES: usize = 2;
/// Bytes before the payload of a client's frame below 126 bytes: two, and the mask (RFC 6455, section 5.2).
const SHORT_HEAD: usize = 6;

/// The reason that no more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overrun {
    /// A message exceeds this many bytes.
    Size(usize),
    Memory(TooManyBytes),
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(most) => write!(f, "a message must have at most {most} bytes here"),
            Self::Memory(too_many) => f.write_str(too_many.message()),
        }
    }
}

impl std::error::Error for Overrun {}

/// A metered connection. It does not know frames: its caller records delivered messages.
pub(super) struct Metered {
    stream: TokioIo<Upgraded>,
    account: Arc<Account>,
    /// Bytes received since the last delivered message.
    unfinished: usize,
    /// The limit of these bytes.
    most: usize,
    /// The time since which they exceed [`FREE`].
    since: Option<Instant>,
    bytes: Option<Bytes>,
    /// Whether a message was delivered since the last read.
    delivered: bool,
    /// The time since which the client reads none of the waiting bytes.
    blocked: Option<Instant>,
    /// Whether the last flush is unfinished.
    is_flushing: bool,
}

impl Metered {
    /// Counts bytes for an account, with this limit for a message.
    pub(super) fn new(stream: TokioIo<Upgraded>, account: Arc<Account>, most: usize) -> Self {
        Self {
            stream,
            account,
            unfinished: 0,
            most,
            since: None,
            bytes: None,
            delivered: false,
            blocked: None,
            is_flushing: false,
        }
    }

    /// Counts bytes for another account from now on.
    pub(super) fn count_for(&mut self, account: Arc<Account>, most: usize) {
        self.account = account;
        self.most = most;
    }

    /// Records a delivered message. Its bytes count until more are read.
    pub(super) fn delivered(&mut self) {
        self.delivered = true;
        self.since = None;
    }

    /// Records a delivered control frame with this payload, which may come between a message's frames.
    pub(super) fn delivered_control(&mut self, payload: usize) {
        self.unfinished = self.unfinished.saturating_sub(payload + SHORT_HEAD);
        if self.unfinished <= FREE {
            self.since = None;
        }
    }

    /// Returns the start of an unfinished long message.
    pub(super) fn unfinished_since(&self) -> Option<Instant> {
        self.since
    }

    /// Returns the time since which the client reads nothing that waits for it.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked
    }

    fn arrived(&mut self, bytes: usize) -> Result<(), Overrun> {
        self.unfinished += bytes;
        if self.unfinished > self.most {
            return Err(Overrun::Size(self.most));
        }
        if self.unfinished <= FREE {
            return Ok(());
        }
        self.since.get_or_insert_with(Instant::now);
        let needs = COPIES * self.unfinished;
        let taken = match &mut self.bytes {
            None => {
                let bytes = self.account.take(needs.max(STEP));
                bytes.map(|bytes| self.bytes = Some(bytes))
            }
            Some(bytes) if bytes.bytes() < needs => bytes.grow((needs - bytes.bytes()).max(STEP)),
            Some(_) => Ok(()),
        };
        taken.map_err(Overrun::Memory)
    }

    /// Reads and discards bytes until the end or a timeout. Closing with unread bytes would reset the connection, so
    /// that the client loses the last frame.
    pub(super) async fn drain(&mut self, patience: Duration) {
        let drained = std::future::poll_fn(|context| {
            let mut buffer = [0; 1024];
            loop {
                let mut buffer = ReadBuf::new(&mut buffer);
                let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
                if read.is_err() || buffer.filled().is_empty() {
                    return Poll::Ready(());
                }
            }
        });
        let _ = tokio::time::timeout(patience, drained).await;
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => {
                self.blocked.get_or_insert_with(Instant::now);
            }
            // Over HTTP/2, a successful write only passes the bytes on. A flush waits until they are sent.
            Poll::Ready(_) if self.is_flushing => {}
            Poll::Ready(_) => self.blocked = None,
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.delivered {
            self.delivered = false;
            self.unfinished = 0;
            self.bytes = None;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let arrived = buffer.filled().len() - before;
        Poll::Ready(self.arrived(arrived).map_err(io::Error::other))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.is_flushing = flushed.is_pending();
        if self.is_flushing {
            self.blocked.get_or_insert_with(Instant::now);
        } else {
            self.blocked = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
