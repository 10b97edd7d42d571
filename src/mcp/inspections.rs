//! Inspections that callers ask for: how often, and how many at once.
//!
//! Invariant: at most so many are under way as the setting says, whatever their callers do. Their memory is bounded together with
//! that of checks ([`memory`](super::memory)).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use entity::ServerType;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    buckets::Buckets,
    clock::Clock,
    domain::inspection::Inspection,
    error::{Code, Error, Result},
};

use super::handshake::{Inspector, PutOff};

const MINUTE: Duration = Duration::from_mins(1);

/// A user of an organization.
type Caller = (Option<String>, String);

#[derive(Debug)]
pub struct Inspections {
    inspector: Inspector,
    places: Arc<Semaphore>,
    wait: Duration,
    rate: Option<Mutex<Buckets<Caller>>>,
    clock: Clock,
}

/// A place to inspect from. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Slot {
    inspector: Inspector,
    /// When its caller has waited long enough for places of this service.
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Inspections {
    /// So many at once, for which others wait so long, and so many a minute by one user, of whom 0 is no limit.
    pub fn new(
        inspector: Inspector,
        at_once: usize,
        wait: Duration,
        a_minute: u32,
        clock: Clock,
    ) -> Self {
        let cost = (a_minute > 0).then(|| MINUTE / a_minute);
        Self {
            inspector,
            places: Arc::new(Semaphore::new(at_once)),
            wait,
            rate: cost.map(|cost| Mutex::new(Buckets::new(cost, MINUTE))),
            clock,
        }
    }

    /// The inspector, whose memory and lookups all others of the process are to share.
    pub fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// A place for a user, charged for it.
    pub async fn enter(&self, organization: Option<&str>, user: &str) -> Result<Slot> {
        if let Some(rate) = &self.rate {
            let caller = (organization.map(str::to_owned), user.to_owned());
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.charge(&caller, self.clock.monotonic())
                .map_err(|seconds| {
                    let message = format!("too many inspections: wait {seconds} s");
                    Error::new(Code::RateLimited, message)
                })?;
        }
        let until = Instant::now() + self.wait;
        match timeout_at(until, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(Slot {
                inspector: self.inspector.clone(),
                until,
                _place: place,
            }),
            _ => Err(too_many()),
        }
    }
}

impl Slot {
    /// Looks at a server. `UNAVAILABLE` where this service had no place, memory or file for it in time, or its outbound proxy is at
    /// fault.
    pub async fn inspect(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
    ) -> Result<Inspection> {
        let patience = self.until.saturating_duration_since(Instant::now());
        let inspected = self.inspector.inspect(url, claimed, patience).await;
        inspected.map_err(|put_off| match put_off {
            PutOff::NoPlace => too_many(),
            // The proxy's name is the operator's to know, and is in the log.
            PutOff::Proxy(_) => Error::new(
                Code::Unavailable,
                "no server can be inspected while this service's outbound proxy is at fault: try again in a while",
            ),
        })
    }
}

fn too_many() -> Error {
    Error::new(
        Code::Unavailable,
        "too many servers are inspected at once: try again in a while",
    )
}
