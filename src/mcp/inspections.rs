//! Inspections on callers' requests, limited by rate and by concurrency.
//!
//! Invariant: concurrent inspections never exceed the setting, whatever their callers do. Inspections and checks share
//! one bound of memory ([`memory`](super::memory)).

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
    error::{Error, Result},
};

use super::handshake::{Inspector, PutOff};

const MINUTE: Duration = Duration::from_mins(1);

/// A user of an organization.
type Caller = (Option<String>, String);

#[derive(Debug)]
pub struct Inspections {
    inspector: Inspector,
    slots: Arc<Semaphore>,
    wait: Duration,
    rate: Option<Mutex<Buckets<Caller>>>,
    clock: Clock,
}

/// A slot for an inspection, freed on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    inspector: Inspector,
    /// The deadline of the caller's wait for slots of this service.
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Inspections {
    /// Limits the concurrent inspections, the wait for a slot, and each user's inspections a minute (0 is no limit).
    pub(crate) fn new(
        inspector: Inspector,
        at_once: usize,
        wait: Duration,
        a_minute: u32,
        clock: Clock,
    ) -> Self {
        let cost = (a_minute > 0).then(|| MINUTE / a_minute);
        Self {
            inspector,
            slots: Arc::new(Semaphore::new(at_once)),
            wait,
            rate: cost.map(|cost| Mutex::new(Buckets::new(cost, MINUTE))),
            clock,
        }
    }

    /// Returns the inspector, to share its memory and lookups with all others of the process.
    pub(crate) fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// Charges a user for one inspection.
    pub(crate) fn charge(&self, organization: Option<&str>, user: &str) -> Result<()> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        let caller = (organization.map(str::to_owned), user.to_owned());
        let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = rate.charge(&caller, self.clock.monotonic());
        charged.map_err(|seconds| {
            let message = format!("too many inspections: wait {seconds} s");
            Error::rate_limited(message, seconds)
        })
    }

    /// Charges a user, and waits for a slot.
    pub(crate) async fn enter(&self, organization: Option<&str>, user: &str) -> Result<Slot> {
        self.charge(organization, user)?;
        let until = Instant::now() + self.wait;
        match timeout_at(until, self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(Slot {
                inspector: self.inspector.clone(),
                until,
                _permit: slot,
            }),
            _ => Err(too_many()),
        }
    }
}

impl Slot {
    /// Inspects a server. Fails with `UNAVAILABLE` if this service had no slot, memory or file in time, or its outbound
    /// proxy failed.
    pub(crate) async fn inspect(
        &self,
        url: Option<&str>,
        claimed: Option<ServerType>,
    ) -> Result<Inspection> {
        let patience = self.until.saturating_duration_since(Instant::now());
        let inspected = self.inspector.inspect(url, claimed, patience).await;
        inspected.map_err(|put_off| match put_off {
            PutOff::Exhausted => too_many(),
            // The error does not name the proxy. The log does.
            PutOff::Proxy(_) => Error::unavailable(
                "the service's outbound proxy fails, so no server can be inspected: try again in a while",
            ),
        })
    }
}

fn too_many() -> Error {
    Error::unavailable("too many servers are inspected at once: try again in a while")
}
