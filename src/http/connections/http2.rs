//! HTTP/2: the tasks of a connection's streams, and the end of a stream that makes no progress.
//!
//! Invariant: a stream holds a bounded piece of its answer beside the answer itself, and ends when its client takes nothing of
//! it for a time, whatever its connection does. No task of a stream outlives its connection.

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

/// Streams that a client may have open on one connection.
const STREAMS: u32 = 100;
/// Bytes of request bodies that may be on their way: on one stream, and on one connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const FRAME: u32 = 16 * 1024;
/// Bytes of one stream's answer that the connection has at once.
const PIECE: usize = 32 * 1024;
/// Streams that a client has reset before they are looked at (CVE-2023-44487), and that break the protocol: one more ends the
/// connection.
const RESET_STREAMS: usize = 50;
/// How often a client is asked whether it is there, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

tokio::task_local! {
    /// The progress of the stream whose task it is.
    static PROGRESS: Progress;
}

/// The bounds of a connection. `header_list` is the largest head of a request in bytes, as RFC 9113 counts it (section 6.5.2).
pub(super) fn builder(streams: Executing, header_list: u32) -> http2::Builder<Executing> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        // The service has its own, and the clock may be one that hyper panics at.
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

/// The tasks of a connection's streams. Dropped, it ends them.
#[derive(Debug)]
pub(super) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    without_progress: Duration,
    stuck: Arc<Notify>,
}

/// Runs the tasks of a connection's streams. It does not keep them.
#[derive(Clone, Debug)]
pub(super) struct Executing {
    tasks: Weak<Mutex<JoinSet<()>>>,
    without_progress: Duration,
    stuck: Arc<Notify>,
}

impl Streams {
    /// The tasks of one connection. A stream whose client takes nothing of its answer for the time ends.
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

    /// Notified when the client has taken nothing of the last piece of an answer for the time.
    pub(super) fn stuck(&self) -> Arc<Notify> {
        Arc::clone(&self.stuck)
    }

    /// Whether no stream is open.
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
                // Dropped, the stream is reset.
                () = progress.stalled(time) => {
                    tracing::debug!("a stream is reset: its client takes nothing");
                    return;
                }
            }
            // The stream has its end already, and can no longer be reset.
            tokio::select! {
                () = poll_fn(|context| progress.poll_done(context)) => {}
                () = progress.stalled(time) => stuck.notify_one(),
            }
        });
    }
}

/// Since when a piece of a stream's answer waits to be sent.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    since: Option<Instant>,
    waker: Option<Waker>,
}

impl Progress {
    /// A piece waits, or a part of it was sent.
    fn wait(&self) {
        lock(&self.0).since = Some(Instant::now());
    }

    /// The piece is sent, or nobody is left to send it.
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

    /// Ends when a piece has waited for a time.
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

/// The body of an answer, sent piece by piece: the next one is read when the last one is sent.
pub(super) struct Paced {
    body: Body,
    rest: Bytes,
    pieces: usize,
    progress: Progress,
}

/// A piece of an answer. It knows when it is sent.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    progress: Progress,
}

impl Paced {
    /// To be called in the task of the stream.
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
        // An answer of several pieces ends after the last one is sent, so that a stall of it is seen. A single piece carries the end
        // of the stream: proxies such as haproxy wait for the end, up to 200 ms, before they hand the piece on.
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
