//! Listening, and what a connection may cost.
//!
//! Invariant: a connection costs a bounded time before it has asked something, there are a bounded number of them, and no
//! request that has arrived at a stop is left without its answer before the deadline.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{Extensions, HeaderValue, StatusCode, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{self, Instant, timeout_at},
};
use tower::ServiceExt;

use super::{
    arrivals::{Arrivals, Watched},
    date,
    stopping::{Phase, Stopping},
};
use crate::clock::Clock;

const HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 * 1024;

/// The share of a stop's time, and the most of it, that is left for its end: close frames, the database, and spans.
const LAST_SHARE: u32 = 5;
const LAST: Duration = Duration::from_secs(1);

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a client may take for a request's head, and keep a connection that it asks nothing on.
    pub head: Duration,
    /// Beyond these, connections wait in the system's queue.
    pub connections: usize,
    /// How long an idle connection stays open at a stop, for a request that is on its way. For half as long, connections are
    /// accepted that were on their way.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            connections: 10_000,
            grace: Duration::from_millis(500),
        }
    }
}

/// The address at the other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

/// The address at the other end of a request's connection.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|Peer(address)| address.ip())
}

/// Serves until the stop. Then answers under way are finished, and sockets closed; those that are not by the deadline are cut.
pub async fn serve(listener: TcpListener, router: Router, stopping: Stopping, bounds: Bounds) {
    let connections = Arc::new(Semaphore::new(bounds.connections));
    let mut tasks = JoinSet::new();
    let connection = |stream, address, permit| {
        let router = router.clone();
        connection(stream, address, router, permit, stopping.clone(), bounds)
    };
    let mut closing = pin!(stopping.reached(Phase::Closing));
    loop {
        while tasks.try_join_next().is_some() {}
        let accept = async {
            let permit = connections.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accept => accepted,
            () = &mut closing => break,
        };
        match accepted {
            Ok((stream, address)) => {
                tasks.spawn(connection(stream, address, permit.ok()));
            }
            Err(error) => cannot_accept(&error).await,
        }
    }
    let now = Instant::now();
    let deadline = stopping.deadline().unwrap_or(now);
    let time = deadline.saturating_duration_since(now);
    let cut = deadline - (time / LAST_SHARE).min(LAST);
    // All that the system has taken is served: its queue is short, and no more come.
    refuse_handshakes(&listener);
    let until = cut.min(now + bounds.grace(deadline) / 2);
    // A last look at the queue is taken after the time.
    while let Ok(accepted) = timeout_at(until, listener.accept()).await {
        match accepted {
            Ok((stream, address)) => {
                tasks.spawn(connection(stream, address, None));
            }
            Err(error) if Instant::now() < until => cannot_accept(&error).await,
            Err(_) => break,
        }
    }
    drop(listener);
    let finished = async {
        while tasks.join_next().await.is_some() {}
        stopping.sockets_closed().await;
    };
    if timeout_at(cut, finished).await.is_err() {
        tracing::warn!("answers that were not finished in time are cut");
        stopping.cut();
        let ended = async {
            // To the end, so that their accounts are closed.
            tasks.shutdown().await;
            stopping.sockets_closed().await;
        };
        let _ = timeout_at(deadline, ended).await;
    }
}

impl Bounds {
    /// The grace of a stop with a deadline, of which it is a part.
    fn grace(&self, deadline: Instant) -> Duration {
        let time = deadline.saturating_duration_since(Instant::now());
        self.grace.min(time / 4)
    }
}

async fn cannot_accept(error: &std::io::Error) {
    // Out of file descriptors, most likely: some come back.
    tracing::warn!(%error, "cannot accept a connection");
    time::sleep(PAUSE).await;
}

/// Has the system begin no further handshake for a listener, and finish those that are under way.
///
/// A client that is not let in tries again after a second.
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};

    /// Classic BPF over a TCP header: drops a segment with SYN set, and keeps any other.
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, 13),       // load the byte of the flags
        SockFilter::new(0x45, 0, 1, 0x02),     // is SYN set?
        SockFilter::new(0x06, 0, 0, 0),        // yes: drop
        SockFilter::new(0x06, 0, 0, u32::MAX), // no: keep
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "new connections are taken until the listener is closed");
    }
}

/// Elsewhere the system has no such filter: a connection that comes at the very end is reset.
#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) {}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    permit: Option<OwnedSemaphorePermit>,
    stopping: Stopping,
    bounds: Bounds,
) {
    let _permit = permit;
    // Answers are written whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let arrivals = Arrivals::default();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        arrivals.taken();
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(address));
        let answer = router.clone().oneshot(request);
        async {
            let mut response = answer.await?;
            arrivals.taken();
            let headers = response.headers_mut();
            if let Some(date) = date::value(Clock::system().now()) {
                headers.insert(header::DATE, date);
            }
            if stopping.has_reached(Phase::Draining)
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        // hyper's own answers, such as 400, have its header.
        .auto_date_header(date::value(Clock::system().now()).is_some())
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(
            TokioIo::new(Watched::new(stream, arrivals.clone())),
            service,
        )
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut shut = pin!(async {
        stopping.reached(Phase::Closing).await;
        let deadline = stopping.deadline().unwrap_or_else(Instant::now);
        time::sleep(bounds.grace(deadline)).await;
    });
    let (mut grace_is_over, mut is_shut) = (false, false);
    let ended = poll_fn(|context| {
        // hyper writes the wall time at each poll, and panics where it cannot: then the connection is closed.
        if !Clock::system().is_usable() {
            tracing::warn!(
                "a connection is closed: the system's clock is before 1970 or after 9999"
            );
            return Poll::Ready(Ok(()));
        }
        // First, so that a request which has arrived is taken before its connection is shut.
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        grace_is_over = grace_is_over || shut.as_mut().poll(context).is_ready();
        // The answer to a head of which a part has arrived closes the connection.
        if grace_is_over && !is_shut && !arrivals.has_some() {
            is_shut = true;
            connection.as_mut().graceful_shutdown();
            return connection.as_mut().poll(context);
        }
        Poll::Pending
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
