//! The bytes of a connection: received data, stalled writes, and the client's end of data.
//!
//! hyper closes a reused connection at a stop even if it has read a part of the next request's head. It takes the end
//! of a client's data for a disconnect and drops the request, even if the client waits for the response (RFC 9112,
//! section 9.6).

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    half_closed::HalfClosed,
    socket::{BACKSTOP, Stream},
};
use crate::{fair_budget::FairShare, http::admission::rate_limit::Caller};

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes to read before the protocol is known, enough for most heads.
const FIRST_READ: usize = 1024;

/// The part of a request that the connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    /// The next request's head, or none.
    Head,
    Body,
    /// The request has arrived completely. Its client understands interim responses (HTTP/1.1).
    Answer,
    /// The request has arrived completely. Its client may take an interim response for the final one (HTTP/1.0).
    OldAnswer,
    /// A response of unlimited length, or HTTP/2. A client that ends its data has disconnected.
    Stream,
    /// A WebSocket. It closes itself when its client reads nothing, with a close frame that has the reason.
    Socket,
}

/// The bytes received since the last request was taken, and the part of the request that they belong to.
#[derive(Clone, Debug)]
pub(super) struct Arrivals(Arc<State>);

#[derive(Debug)]
struct State {
    has_some: AtomicBool,
    part: AtomicU8,
    head: Mutex<Head>,
}

/// The head of a request.
#[derive(Debug)]
struct Head {
    /// The time at which the connection began to wait for it.
    since: Instant,
    /// Its bytes, returned when the request is answered.
    bytes: FairShare<Caller>,
}

impl Arrivals {
    pub(super) fn new(bytes: FairShare<Caller>) -> Self {
        let since = Instant::now();
        Self(Arc::new(State {
            has_some: AtomicBool::new(false),
            part: AtomicU8::new(Part::Head as u8),
            head: Mutex::new(Head { since, bytes }),
        }))
    }

    /// Returns the time at which the connection began to wait for a head; `None` during a request, or after the last
    /// one.
    pub(super) fn head_since(&self) -> Option<Instant> {
        (self.part() == Part::Head).then(|| self.head().since)
    }

    /// Records the first bytes of a connection, from which the time of its first head counts.
    pub(super) fn begun(&self) {
        self.head().since = Instant::now();
    }

    /// Records that a request was taken whose body has not arrived completely.
    pub(super) fn taken(&self) {
        self.0.has_some.store(false, Ordering::Relaxed);
        self.enter(Part::Body);
    }

    /// Records that the body of the request in progress has arrived completely.
    pub(super) fn has_arrived(&self, whole: Part) {
        if self.part() == Part::Body {
            self.enter(whole);
        }
    }

    /// Records the start of the response. No other request follows a stream or a socket.
    pub(super) fn answered(&self, without_end: Option<Part>) {
        self.0.has_some.store(false, Ordering::Relaxed);
        if let Some(part) = without_end {
            self.head().bytes.shrink_to(0);
            self.enter(part);
        }
    }

    /// Records that the response was written, and that the next request may come.
    pub(super) fn finished(&self) {
        {
            let mut head = self.head();
            head.bytes.shrink_to(0);
            head.since = Instant::now();
        }
        self.enter(Part::Head);
    }

    pub(super) fn has_some(&self) -> bool {
        self.0.has_some.load(Ordering::Relaxed)
    }

    /// Counts received bytes.
    fn arrive(&self, bytes: usize) -> io::Result<()> {
        self.0.has_some.store(true, Ordering::Relaxed);
        if self.part() == Part::Head && self.head().bytes.grow(bytes).is_err() {
            let message = "unfinished request heads use all memory for heads";
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    fn enter(&self, part: Part) {
        self.0.part.store(part as u8, Ordering::Relaxed);
    }

    fn part(&self) -> Part {
        let parts = [
            Part::Head,
            Part::Body,
            Part::Answer,
            Part::OldAnswer,
            Part::Stream,
            Part::Socket,
        ];
        let index = usize::from(self.0.part.load(Ordering::Relaxed));
        parts.get(index).copied().unwrap_or(Part::Stream)
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        self.0.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that records received bytes, and ends when a write makes no progress for a time.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    arrivals: Arrivals,
    /// Bytes that were read to detect the protocol.
    first: Vec<u8>,
    without_progress: Duration,
    /// The timer of a pending write.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The state after the client ended its data while it waits for a response.
    half_closed: Option<HalfClosed>,
    /// Whether a byte was written since the request in progress was taken.
    has_written: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, arrivals: Arrivals, without_progress: Duration) -> Self {
        Self {
            stream,
            arrivals,
            first: Vec::new(),
            without_progress,
            stalled: None,
            half_closed: None,
            has_written: false,
        }
    }

    /// Waits for the first bytes. Returns whether they are the preface of HTTP/2; `None` if nothing comes.
    pub(super) async fn speaks_http2(&mut self) -> io::Result<Option<bool>> {
        let mut first = Vec::with_capacity(FIRST_READ);
        loop {
            let most = FIRST_READ - first.len();
            let mut stream = (&mut self.stream).take(most as u64);
            let read = stream.read_buf(&mut first).await?;
            self.arrivals.arrive(read)?;
            let compared = first.len().min(PREFACE.len());
            let may_be = first[..compared] == PREFACE[..compared];
            if read == 0 && first.is_empty() {
                return Ok(None);
            }
            if read == 0 || !may_be || compared == PREFACE.len() {
                self.first = first;
                return Ok(Some(may_be && compared == PREFACE.len()));
            }
        }
    }

    /// Times a pending write, and resets the time when a write makes progress.
    fn progress<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let mut without_progress = self.without_progress;
        if self.arrivals.part() == Part::Socket {
            without_progress *= BACKSTOP;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + without_progress)));
        ready!(stalled.as_mut().poll(context));
        let message = "the client takes nothing";
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, message)))
    }

    /// Handles the end of the client's data. A waiting client gets its response, unless it has disconnected.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let part = self.arrivals.part();
        if matches!(part, Part::Head | Part::Stream | Part::Socket) {
            return Poll::Ready(Ok(()));
        }
        let half_closed = self.half_closed.get_or_insert_with(HalfClosed::new);
        if part == Part::Answer && !self.has_written {
            half_closed.ask(&self.stream);
        }
        half_closed.poll(&self.stream, part == Part::Body, context)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..count]);
            if count == self.first.len() {
                self.first = Vec::new();
            } else {
                self.first.drain(..count);
            }
            return Poll::Ready(Ok(()));
        }
        if self.half_closed.is_some() {
            return self.poll_end(context);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        if read > 0 {
            if self.arrivals.part() == Part::Head {
                self.has_written = false;
            }
            return Poll::Ready(self.arrivals.arrive(read));
        }
        self.poll_end(context)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress(context, written)
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
