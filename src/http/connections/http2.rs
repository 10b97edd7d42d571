//! HTTP/2: the tasks of a connection's streams, and the end of stalled streams.
//!
//! Invariant: beside the response, a stream buffers one bounded piece of it. It ends when its client reads nothing for
//! a time, whatever its connection does. No stream's task outlives its connection.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::{body::Buf, rt::Executor, server::conn::http2};
use hyper_util::rt::TokioTimer;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// The most open streams of a connection.
const STREAMS: u32 = 100;
/// The most unread bytes of request bodies, on one stream and on one connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const FRAME: u32 = 16 * 1024;
/// Bytes of one stream's response that are passed to the connection at once.
const PIECE: usize = 32 * 1024;
/// The most streams that a client resets early (CVE-2023-44487) or that violate the protocol. One more ends the
/// connection.
const RESET_STREAMS: usize = 50;
/// The interval of pings, and the longest time for the reply.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

tokio::task_local! {
    /// The progress of the current task's stream.
    static PROGRESS: Progress;
}

/// The limits of a connection. `header_list` is the largest request head in bytes, as RFC 9113 counts it (section
/// 6.5.2).
pub(super) fn builder(streams: Executing, header_list: u32) -> http2::Builder<Executing> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        // The service writes its own header, because hyper panics at some times.
        .auto_date_header(false)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(header_list)
        .max_send_buf_size(PIECE)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_STREAMS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .enable_connect_protocol();
    builder
}

/// The tasks of a connection's streams. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    without_progress: Duration,
    stuck: Arc<Notify>,
}

/// Starts the tasks of a connection's streams, without owning them.
#[derive(Clone, Debug)]
pub(super) struct Executing {
    tasks: Weak<Mutex<JoinSet<()>>>,
    without_progress: Duration,
    stuck: Arc<Notify>,
}

impl Streams {
    /// Creates the tasks of one connection. A stream ends when its client reads nothing for this time.
    pub(super) fn new(without_progress: Duration) -> Self {
        Self {
            tasks: Arc::default(),
            without_progress,
            stuck: Arc::default(),
        }
    }

    pub(super) fn executor(&self) -> Executing {
        Executing {
            tasks: Arc::downgrade(&self.tasks),
            without_progress: self.without_progress,
            stuck: Arc::clone(&self.stuck),
        }
    }

    /// Returns a notification for a client that did not read the last piece of a response in time.
    pub(super) fn stuck(&self) -> Arc<Notify> {
        Arc::clone(&self.stuck)
    }

    /// Returns whether no stream is open.
    pub(super) fn is_idle(&self) -> bool {
        let mut tasks = lock(&self.tasks);
        reap(&mut tasks);
        tasks.is_empty()
    }
}

fn reap(tasks: &mut JoinSet<()>) {
    while tasks.try_join_next().is_some() {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F> Executor<F> for Executing
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Some(tasks) = self.tasks.upgrade() else {
            return;
        };
        let (progress, time) = (Progress::default(), self.without_progress);
        let stream = PROGRESS.scope(progress.clone(), stream);
        let mut tasks = lock(&tasks);
        reap(&mut tasks);
        let stuck = Arc::clone(&self.stuck);
        tasks.spawn(async move {
            tokio::select! {
                () = stream => {}
                // Dropping the future resets the stream.
                () = progress.stalled(time) => {
                    tracing::debug!("a stream is reset: its client takes nothing");
                    return;
                }
            }
            // The stream has ended already, and cannot be reset.
            tokio::select! {
                () = poll_fn(|context| progress.poll_done(context)) => {}
                () = progress.stalled(time) => stuck.notify_one(),
            }
        });
    }
}

/// The time since which a piece of a stream's response waits to be sent.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    since: Option<Instant>,
    waker: Option<Waker>,
}

impl Progress {
    /// Records that a piece waits, or that a part of it was sent.
    fn wait(&self) {
        lock(&self.0).since = Some(Instant::now());
    }

    /// Records that the piece was sent, or was dropped.
    fn done(&self) {
        let waker = {
            let mut waiting = lock(&self.0);
            waiting.since = None;
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_waiting(&self) -> bool {
        lock(&self.0).since.is_some()
    }

    fn poll_done(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = lock(&self.0);
        if waiting.since.is_none() {
            return Poll::Ready(());
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until a piece has waited for a time.
    async fn stalled(&self, time: Duration) {
        loop {
            let since = lock(&self.0).since;
            let until = since.unwrap_or_else(Instant::now) + time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// A response body in pieces. The next one is read after the last one is sent.
pub(super) struct Paced {
    body: Body,
    rest: Bytes,
    pieces: usize,
    progress: Progress,
}

/// A piece of a response, which records when it is sent.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    progress: Progress,
}

impl Paced {
    /// Creates a paced body. Call this in the stream's task.
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            pieces: 0,
            progress: PROGRESS.try_with(Progress::clone).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").finish_non_exhaustive()
    }
}

impl HttpBody for Paced {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        ready!(self.progress.poll_done(context));
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                },
            }
        }
        let length = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(length);
        self.pieces += 1;
        let progress = self.progress.clone();
        progress.wait();
        Poll::Ready(Some(Ok(Frame::data(Piece { bytes, progress }))))
    }

    fn is_end_stream(&self) -> bool {
        // A response of several pieces ends after the last one is sent, so that a stall is noticed. A single piece
        // carries the end of the stream: proxies such as haproxy wait up to 200 ms for the end before they forward the
        // piece.
        let is_sent = self.pieces <= 1 || !self.progress.is_waiting();
        is_sent && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.progress.wait();
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.progress.done();
    }
}
