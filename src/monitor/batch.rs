//! Checks in progress, and their results.
//!
//! Invariant: the checks in progress are bounded, in total and by host. No connector is checked twice at once, and the
//! results that are not stored yet are bounded.

use std::{collections::HashSet, panic::resume_unwind, pin::pin, time::Duration};

use entity::Timestamp;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    config::CheckBounds,
    domain::inspection::{Inspection, Schedule, Tool},
    error,
    mcp::handshake::{Inspector, PutOff},
    store::{Actor, Check, Database, Lease, Target, Tx},
};

use super::queue::{Queue, host};

/// A batch of checks is committed together, because each commit waits for the disk. Its bounds: checks, bytes of tools,
/// and time since the first one.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const BATCH_TIME: Duration = Duration::from_secs(1);

/// The longest wait of a check for slots of this service, beyond its server's own time. After it the check is put off,
/// and nothing is stored.
const PATIENCE: Duration = Duration::from_mins(1);

/// Checks in progress. Dropping it cancels them.
pub(super) struct Checks {
    inspector: Inspector,
    at_once: usize,
    queue: Queue,
    /// The ids of connectors that wait, are being checked, or have a result here.
    ids: HashSet<String>,
    under_way: JoinSet<Checked>,
    found: Vec<Check>,
    /// The reasons of checks that were put off.
    put_off: Vec<PutOff>,
    /// Bytes of the tools in `found`.
    bytes: usize,
    /// The time at which the batch is returned, even if it is not full.
    until: Instant,
}

/// A checked target, with its host and result.
struct Checked {
    host: String,
    target: Target,
    found: Result<Inspection, PutOff>,
}

impl Checks {
    pub(super) fn new(inspector: Inspector, bounds: CheckBounds) -> Self {
        Self {
            inspector,
            at_once: bounds.at_once,
            queue: Queue::new(bounds.by_host),
            ids: HashSet::new(),
            under_way: JoinSet::new(),
            found: Vec::new(),
            put_off: Vec::new(),
            bytes: 0,
            until: Instant::now(),
        }
    }

    /// The number of targets that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Returns whether no check waits, runs or has a result.
    pub(super) fn is_idle(&self) -> bool {
        self.ids.is_empty()
    }

    /// Queues a target. Returns false, and leaves it, if `longest` targets of its host wait already.
    pub(super) fn offer(&mut self, target: Target, longest: usize) -> bool {
        if self.ids.contains(&target.personal_connector_id) {
            return true;
        }
        let host = host(&target);
        let has_room = self.queue.waiting_for(&host) < longest;
        if has_room {
            self.ids.insert(target.personal_connector_id.clone());
            self.queue.push(host, target);
            self.start();
        }
        has_room
    }

    fn start(&mut self) {
        while self.under_way.len() < self.at_once
            && let Some((host, target)) = self.queue.next()
        {
            let inspector = self.inspector.clone();
            self.under_way.spawn(async move {
                let url = target.server_url.as_deref();
                let found = inspector.inspect(url, target.server_type, PATIENCE);
                let found = found.await;
                Checked {
                    host,
                    target,
                    found,
                }
            });
        }
    }

    /// Waits for the next batch of results; empty if no check is in progress. It is cancel-safe: no result is lost.
    pub(super) async fn batch(&mut self) -> Vec<Check> {
        while !self.is_full() {
            tokio::select! {
                done = self.under_way.join_next() => match done {
                    Some(done) => self.finish(done),
                    None => break,
                },
                () = sleep_until(self.until), if !self.found.is_empty() => break,
            }
        }
        for check in &self.found {
            self.ids.remove(&check.target.personal_connector_id);
        }
        self.bytes = 0;
        std::mem::take(&mut self.found)
    }

    /// Takes the reasons of checks that were put off. Their connectors stay due.
    pub(super) fn put_off(&mut self) -> Vec<PutOff> {
        std::mem::take(&mut self.put_off)
    }

    /// Advances the checks until `other` is done or a batch is full.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                Some(done) = self.under_way.join_next(), if !self.is_full() => self.finish(done),
            }
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn finish(&mut self, done: Result<Checked, JoinError>) {
        let Checked {
            host,
            target,
            found,
        } = match done.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            Err(Ok(panic)) => resume_unwind(panic),
            // Tasks are cancelled only when the runtime ends.
            Err(Err(_)) => return,
        };
        self.queue.done(host);
        self.start();
        let found = match found {
            Ok(found) => found,
            Err(reason) => {
                self.ids.remove(&target.personal_connector_id);
                self.put_off.push(reason);
                return;
            }
        };
        if self.found.is_empty() {
            self.until = Instant::now() + BATCH_TIME;
        }
        self.bytes += found.tools.iter().map(Tool::text_bytes).sum::<usize>();
        self.found.push(Check { target, found });
    }
}

/// Stores results; under a lease, only while this process still holds it. Returns whether they were stored.
pub(super) async fn keep(
    database: &Database,
    lease: Option<&Lease>,
    found: &[Check],
    schedule: Schedule,
    now: Timestamp,
) -> error::Result<bool> {
    // All checks were put off.
    if found.is_empty() {
        return Ok(true);
    }
    let mut tx = Tx::begin(database, Actor::default(), now).await?;
    if let Some(lease) = lease
        && !tx.holds(lease).await?
    {
        tx.rollback().await;
        return Ok(false);
    }
    tx.record(found, schedule).await?;
    tx.commit().await?;
    for check in found {
        database.check_counters().count(check.found.outcome);
    }
    Ok(true)
}
