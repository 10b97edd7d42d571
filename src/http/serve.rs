//! Listening, and stopping.
//!
//! Invariant: a connection costs a bounded time before it has asked something, there are a bounded number of them, and no
//! answer under way is cut before the deadline.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{Extensions, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
    task::JoinSet,
    time,
};
use tower::ServiceExt;

use super::date;
use crate::clock::Clock;

const HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 * 1024;

/// Of a process that SIGINT ended, as shells count.
const ABORTED: i32 = 130;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a client may take for a request's head, and keep a connection that it asks nothing on.
    pub head: Duration,
    /// Beyond these, connections wait in the system's queue.
    pub connections: usize,
    /// How long answers under way may take after the stop.
    pub deadline: Duration,
}

impl Bounds {
    pub fn new(deadline: Duration) -> Self {
        Self {
            head: Duration::from_secs(30),
            connections: 10_000,
            deadline,
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

/// Is over at the first SIGTERM or SIGINT; the second ends the process at once.
pub fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        told().await;
        tracing::info!("told to stop: answers under way are finished");
        tokio::spawn(async move {
            told().await;
            tracing::warn!("told again: stopped at once");
            std::process::exit(ABORTED);
        });
    })
}

/// Serves until `stop`; then answers under way are finished, those that are not by the deadline cut.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    bounds: Bounds,
) {
    let connections = Arc::new(Semaphore::new(bounds.connections));
    let (stopping, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        while tasks.try_join_next().is_some() {}
        let accept = async {
            let permit = connections.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accept => accepted,
            () = &mut stop => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: some come back.
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Answers are written whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(Peer(address));
            let answer = router.clone().oneshot(request);
            async {
                let mut response = answer.await?;
                if let Some(date) = date::value(Clock::system().now()) {
                    response.headers_mut().insert(header::DATE, date);
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
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut stopped = stopped.clone();
        tasks.spawn(async move {
            let _permit = permit;
            let mut connection = pin!(connection);
            // hyper writes the wall time at each poll, and panics where it cannot: then the connection is closed.
            let mut stop = pin!(stopped.changed());
            let mut stops = false;
            let ended = poll_fn(|context| {
                if !Clock::system().is_usable() {
                    tracing::warn!(
                        "a connection is closed: the system's clock is before 1970 or after 9999"
                    );
                    return Poll::Ready(Ok(()));
                }
                if !stops && stop.as_mut().poll(context).is_ready() {
                    stops = true;
                    connection.as_mut().graceful_shutdown();
                }
                connection.as_mut().poll(context)
            })
            .await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop((listener, stopping));
    let finished = async { while tasks.join_next().await.is_some() {} };
    if time::timeout(bounds.deadline, finished).await.is_err() {
        tracing::warn!("answers that were not finished in time are cut");
        // To the end, so that their accounts are closed.
        tasks.shutdown().await;
    }
}
