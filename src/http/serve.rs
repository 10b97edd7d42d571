//! Accepts connections, and limits their cost.
//!
//! Invariant: before its first request, a connection takes bounded time, and the number of connections is bounded. At a
//! stop, every received request is answered, unless the deadline comes first.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{self, Instant, timeout_at},
};

pub use super::connections::bounds::{Bounds, CONNECTIONS};

use crate::fair_budget::FairBudget;

use super::{
    connections::{
        addresses::Addresses,
        listener::Listener,
        peer::Peer,
        protocol::{self, Served},
    },
    router::Routes,
    stopping::{Phase, Stopping},
};

/// The share of a stop's time, and the most of it, for its last steps: close frames, the database, and spans.
const LAST_SHARE: u32 = 5;
const LAST: Duration = Duration::from_secs(1);

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of request heads in progress, on all connections and on those of one address.
const HEADS: usize = 64 << 20;
const HEADS_OF_ADDRESS: usize = HEADS / 2;
/// Bytes of a head that do not count, because each connection has such a buffer anyway.
const SMALL_HEAD: usize = 4 * 1024;

/// The share of all connections for surplus connections: see [`Addresses`].
const SURPLUS_SHARE: usize = 20;

/// Serves until the stop. Then it finishes responses in progress and closes sockets; the rest is cut at the deadline.
pub async fn serve(
    listener: impl Into<Listener>,
    routes: impl Into<Routes>,
    stopping: Stopping,
    bounds: Bounds,
) {
    let mut listener = listener.into();
    let connections = Arc::new(Semaphore::new(bounds.connections));
    let addresses = Addresses::new(
        bounds.connections_of_address,
        (bounds.connections / SURPLUS_SHARE).max(1),
        bounds.trusted.clone(),
    );
    let served = Arc::new(Served {
        routes: routes.into(),
        stopping: stopping.clone(),
        bounds: bounds.clone(),
        heads: FairBudget::new(HEADS, HEADS_OF_ADDRESS, SMALL_HEAD),
    });
    let mut tasks = JoinSet::new();
    let connection = |stream, peer: Peer, permit: Option<OwnedSemaphorePermit>| {
        let key = addresses.key(peer);
        let slot = addresses.enter(key.clone());
        // Surplus connections have a limit of their own.
        let permit = permit.filter(|_| !slot.is_surplus());
        let served = served.clone();
        async move {
            let _permit = permit;
            protocol::serve(stream, peer, key, &slot, served).await;
        }
    };
    let mut closing = pin!(stopping.reached(Phase::Closing));
    let mut is_logged = false;
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
            Ok((stream, peer)) => {
                is_logged = false;
                tasks.spawn(connection(stream, peer, permit.ok()));
            }
            Err(error) => {
                cannot_accept(&error, is_logged).await;
                is_logged = true;
            }
        }
    }
    let now = Instant::now();
    let deadline = stopping.deadline().unwrap_or(now);
    let time = deadline.saturating_duration_since(now);
    let cut = deadline - (time / LAST_SHARE).min(LAST);
    // All connections that the system accepted are served: its queue is short, and no more come.
    listener.refuse_new();
    let until = cut.min(now + bounds.grace(deadline) / 2);
    // The queue is polled once more after the time.
    while let Ok(accepted) = timeout_at(until, listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                tasks.spawn(connection(stream, peer, None));
            }
            Err(error) if Instant::now() < until => cannot_accept(&error, false).await,
            Err(_) => break,
        }
    }
    drop(listener);
    let finished = async {
        while tasks.join_next().await.is_some() {}
        stopping.sockets_closed().await;
    };
    if timeout_at(cut, finished).await.is_err() {
        tracing::warn!("responses are cut off that did not end within --shutdown-timeout");
        stopping.cut();
        let ended = async {
            // This waits for the end, so that accounts are closed.
            tasks.shutdown().await;
            stopping.sockets_closed().await;
        };
        let _ = timeout_at(deadline, ended).await;
    }
}

/// Pauses after a connection could not be accepted. Only the first of several is logged.
async fn cannot_accept(error: &std::io::Error, is_logged: bool) {
    // The process probably lacks file descriptors, and some will be closed.
    if !is_logged {
        tracing::warn!(%error, "cannot accept a connection: the service tries again");
    }
    time::sleep(PAUSE).await;
}
