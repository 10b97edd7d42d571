//! The newest changes, read once for all followers.
//!
//! Invariant: the ring serves positions that it holds; a follower at another position reads the log, which verifies it.
//! So a follower is only a position and costs the same however far it is behind. It never gets events of two histories.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{AbortHandle, consume_budget},
    time,
};

use crate::{
    domain::{
        changes::{Change, Event, Feed, Filter},
        cursor::LogPosition,
        listing::PAGE_MAX,
        viewer::Sight,
    },
    error::{Code, Result},
    store::{
        catalog::Catalog, changes::state_poll::State, database::connect::Database,
        memory::event_ring::EventRing, tasks::keep_running,
    },
};

/// The most events in the ring.
const RING: usize = 4096;
/// The most bytes of events in the ring, whose values may be long.
const RING_BYTES: usize = 16 << 20;
/// Events that are read, and passed to a follower, at a time.
const BATCH: u16 = 256;
/// The wait of a follower for a database that does not respond, and for a ring that is behind.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the catalogue's state, and keeps its newest events while there are followers.
#[derive(Debug)]
pub struct ChangeFollower {
    database: Database,
    ring: Arc<RwLock<EventRing>>,
    /// The ring's head; each receiver is a follower.
    heads: watch::Sender<Option<LogPosition>>,
    reading: AbortHandle,
}

impl ChangeFollower {
    /// Starts the task that reads new events at each new state. It ends when the follower is dropped.
    pub fn start(database: Database, state: &State) -> Self {
        let ring = Arc::new(RwLock::new(EventRing::of(RING, RING_BYTES)));
        let heads = watch::Sender::new(None);
        let states = state.watch();
        let read = {
            let (database, ring, heads) = (database.clone(), Arc::clone(&ring), heads.clone());
            move || {
                read(
                    database.clone(),
                    states.clone(),
                    Arc::clone(&ring),
                    heads.clone(),
                )
            }
        };
        let reading = keep_running(read).abort_handle();
        Self {
            database,
            ring,
            heads,
            reading,
        }
    }

    /// Returns the changes that a viewer sees, after a position or from now on. Fails with `CURSOR_EXPIRED` if some of
    /// them were pruned, or if the position belongs to another history; the error names `argument`.
    pub async fn follow(
        &self,
        sight: Sight,
        (argument, after): (&str, Option<LogPosition>),
        filter: Filter,
    ) -> Result<ChangeStream> {
        // This precedes the read of the state, so that later events are kept.
        let heads = self.heads.subscribe();
        let catalog = Catalog::new(self.database.clone(), sight.clone());
        let place = Feed::after(after, 0, Filter::default()).place;
        let (log, marks) = catalog.log_around(place).await?;
        if let Some(after) = after {
            log.verify(argument, after, marks.after)?;
        }
        let position = after.unwrap_or(log.state);
        Ok(ChangeStream {
            database: self.database.clone(),
            ring: Arc::clone(&self.ring),
            heads,
            sight,
            filter,
            position,
            passed: Passed::default(),
            returned: None,
            is_live: false,
        })
    }
}

impl Drop for ChangeFollower {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads the events of each new state while there are followers.
async fn read(
    database: Database,
    mut states: watch::Receiver<Option<LogPosition>>,
    ring: Arc<RwLock<EventRing>>,
    heads: watch::Sender<Option<LogPosition>>,
) {
    let everything = Catalog::new(database, Sight::Everything);
    while states.changed().await.is_ok() {
        let Some(state) = *states.borrow_and_update() else {
            continue;
        };
        loop {
            let head = ring.read().unwrap_or_else(PoisonError::into_inner).head();
            if head == Some(state) {
                break;
            }
            // Without followers no events are kept, because a new follower reads the log. A state that is not beyond
            // the head belongs to another history.
            let head = head.filter(|head| head.number < state.number && heads.receiver_count() > 0);
            let events = match head {
                None => Vec::new(),
                Some(head) => {
                    let to = state.number.min(head.number + i64::from(BATCH));
                    // The head's event is included, so that all belong to its history.
                    match everything.all_events(head, to).await {
                        Ok(events) => events,
                        // The state poll logs that the database does not respond, and reports a state when it does
                        // again.
                        Err(_) => break,
                    }
                }
            };
            let mut ring = ring.write().unwrap_or_else(PoisonError::into_inner);
            if !ring.extend(events) {
                ring.begin(state);
            }
            let head = ring.head();
            drop(ring);
            heads.send_replace(head);
        }
    }
}

/// The position up to which a follower found no more changes. Clones share it.
///
/// It is never beyond a change that the follower returned last. So once that is sent, the client may continue after it.
#[derive(Clone, Debug, Default)]
pub struct Passed(Arc<Mutex<Option<LogPosition>>>);

impl Passed {
    /// Takes the position, if the follower passed further events since the last call.
    pub(crate) fn take(&self) -> Option<LogPosition> {
        self.position().take()
    }

    fn position(&self) -> MutexGuard<'_, Option<LogPosition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A follower of the changes.
#[derive(Debug)]
pub struct ChangeStream {
    database: Database,
    ring: Arc<RwLock<EventRing>>,
    heads: watch::Receiver<Option<LogPosition>>,
    sight: Sight,
    filter: Filter,
    position: LogPosition,
    passed: Passed,
    /// The position of the change that was returned last, until the next call.
    returned: Option<LogPosition>,
    /// Whether it has reached the head, so that further events happen while it follows.
    is_live: bool,
}

impl ChangeStream {
    /// Waits for the next changes, in order. Fails with `CURSOR_EXPIRED` if the log was pruned beyond them, or has
    /// another history. It waits for a database that does not respond. It is safe to cancel: nothing is missed.
    ///
    /// Call it when the changes of the last call are sent: the events behind them are passed then.
    pub async fn next(&mut self) -> Result<Vec<Change>> {
        if let Some(returned) = self.returned.take() {
            *self.passed.position() = (returned != self.position).then_some(self.position);
        }
        loop {
            let head = *self.heads.borrow_and_update();
            let changes = if let Some(events) = self.in_ring() {
                let Some(last) = events.last() else {
                    self.is_live = true;
                    self.head_changed().await;
                    continue;
                };
                let changes = self.seen(&events);
                self.position = last.position;
                changes
            } else {
                let is_behind = head.is_none_or(|head| head.number < self.position.number);
                // The ring usually catches up at once. Otherwise a backup was restored.
                if is_behind && time::timeout(RETRY, self.head_changed()).await.is_ok() {
                    continue;
                }
                let before = self.position;
                let changes = self.in_log().await?;
                if self.position == before {
                    // The histories of the ring and of the log differ until all connections lead to one database.
                    let _ = time::timeout(RETRY, self.head_changed()).await;
                }
                changes
            };
            self.returned = changes.last().map(|change| change.position);
            let is_empty = self.returned.is_none();
            *self.passed.position() = is_empty.then_some(self.position);
            if !is_empty {
                return Ok(changes);
            }
            // Other tasks get time, even if many events are invisible.
            consume_budget().await;
        }
    }

    /// Returns the position that this follower passes, which changes while it follows.
    pub(crate) fn passed(&self) -> Passed {
        self.passed.clone()
    }

    /// Waits for a head other than the last one seen.
    async fn head_changed(&mut self) {
        // The sender lives as long as the service; without it, no more changes come.
        if self.heads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns the next events of the ring. For a list they must be complete, unless they happen now, because a
    /// connector's last event decides its visibility.
    fn in_ring(&self) -> Option<Vec<Arc<Event>>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let (events, are_all) = ring.after(self.position, usize::from(BATCH))?;
        (are_all || self.is_live || self.filter.list.is_none()).then_some(events)
    }

    /// Returns the visible changes of events.
    fn seen(&self, events: &[Arc<Event>]) -> Vec<Change> {
        let mut now = HashMap::new();
        if self.filter.list.is_some() && !self.is_live {
            for event in events {
                let [_, after] = event.states();
                let is_seen = after.is_some_and(|after| self.sight.sees(after.ownership));
                now.insert(&event.personal_connector_id, is_seen);
            }
        }
        let change = |event: &Arc<Event>| {
            let is_seen = now.get(&event.personal_connector_id).copied();
            let is_seen = is_seen.unwrap_or(true);
            event.seen_and_listed(&self.sight, &self.filter, is_seen)
        };
        events.iter().filter_map(change).collect()
    }

    async fn in_log(&mut self) -> Result<Vec<Change>> {
        loop {
            let feed = Feed::after(Some(self.position), PAGE_MAX, self.filter.clone());
            let catalog = Catalog::snapshot(self.database.clone(), self.sight.clone());
            match catalog.changes(&feed).await {
                Ok(page) => {
                    self.position = page.end;
                    return Ok(page.changes);
                }
                Err(error) if error.code == Code::CursorExpired => return Err(error),
                Err(_) => time::sleep(RETRY).await,
            }
        }
    }
}
