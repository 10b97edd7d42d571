//! Listening, and what a connection may cost.
//!
//! Invariant: a connection costs a bounded time before it has asked something, there are a bounded number of them, and no
//! request that has arrived at a stop is left without its answer before the deadline.

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

/// The share of a stop's time, and the most of it, that is left for its end: close frames, the database, and spans.
const LAST_SHARE: u32 = 5;
const LAST: Duration = Duration::from_secs(1);

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of requests' heads that may be under way on all connections, and on those of one address.
const HEADS: usize = 64 << 20;
const HEADS_OF_ADDRESS: usize = HEADS / 2;
/// A head of so many bytes is not counted: each connection has a buffer of them anyway.
const SMALL_HEAD: usize = 4 * 1024;

/// The share of all connections that there may be of surplus connections: see [`Addresses`].
const SURPLUS_SHARE: usize = 20;

/// Serves until the stop. Then answers under way are finished, and sockets closed; those that are not by the deadline are cut.
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
        // Surplus connections are bounded apart.
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
    // All that the system has taken is served: its queue is short, and no more come.
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

/// Waits after a connection could not be accepted. The log has a line for the first of several.
async fn cannot_accept(error: &std::io::Error, is_logged: bool) {
    // Out of file descriptors, most likely: some come back.
    if !is_logged {
        tracing::warn!(%error, "cannot accept a connection");
    }
    time::sleep(PAUSE).await;
}
