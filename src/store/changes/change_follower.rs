//! The newest changes, read once for all who follow them.
//!
//! Invariant: the ring holds events of consecutive numbers up to its head, and a bounded number of them; whoever has come less
//! far reads the log. So a follower is a position, and costs the same however far it fell behind.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle, time};

use crate::{
    domain::{
        changes::{Change, Event, Feed, Filter, Span},
        listing::PAGE_MAX,
        viewer::Sight,
    },
    error::{Code, Result},
    store::{
        cancellation::{keep_running, while_wanted},
        catalog::Catalog,
        changes::state_poll::State,
        database::connect::Database,
    },
};

/// Events in the ring.
const RING: usize = 4096;
/// Events read, and given to a follower, at a time.
const BATCH: u16 = 256;
/// How long a follower waits for a database that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the catalogue's state, and keeps its newest events for as long as somebody wants them.
#[derive(Debug)]
pub struct Tail {
    database: Database,
    ring: Arc<RwLock<Ring>>,
    /// The ring's head; its receivers are the followers.
    heads: watch::Sender<i64>,
    reading: AbortHandle,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The number of the newest event that was looked at.
    head: i64,
}

impl Ring {
    /// The next events after a position; none where they have left the ring.
    fn after(&self, position: i64) -> Option<Vec<Arc<Event>>> {
        let behind = usize::try_from(self.head - position).unwrap_or(0);
        let from = self.events.len().checked_sub(behind)?;
        let next = self.events.range(from..).take(usize::from(BATCH));
        Some(next.cloned().collect())
    }

    fn push(&mut self, events: Vec<Event>, span: Span) {
        let follow = self.head == span.after;
        let all = usize::try_from(span.to - span.after) == Ok(events.len());
        // What the log has already forgotten would leave a gap.
        if !follow || !all {
            self.events.clear();
        }
        if all {
            self.events.extend(events.into_iter().map(Arc::new));
        }
        let over = self.events.len().saturating_sub(RING);
        self.events.drain(..over);
        self.head = span.to;
    }
}

impl Tail {
    pub fn start(database: Database, state: &State) -> Self {
        let ring = Arc::<RwLock<Ring>>::default();
        let heads = watch::Sender::new(0);
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

    /// The changes that somebody of this sight is told of: after a state, or from now on. `CURSOR_EXPIRED` where some of them
    /// are forgotten.
    pub async fn follow(
        &self,
        sight: Sight,
        after: Option<i64>,
        filter: Filter,
    ) -> Result<Follower> {
        // Before the state is read: what comes after it is then kept.
        let heads = self.heads.subscribe();
        let catalog = Catalog::new(self.database.clone(), sight.clone());
        let log = while_wanted(async move { catalog.log().await }).await?;
        let position = match after {
            Some(after) => log.span(Some(after))?.after,
            None => log.state,
        };
        Ok(Follower {
            database: self.database.clone(),
            ring: Arc::clone(&self.ring),
            heads,
            sight,
            filter,
            position,
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads the events of each new state, where somebody follows.
async fn read(
    database: Database,
    mut states: watch::Receiver<Option<i64>>,
    ring: Arc<RwLock<Ring>>,
    heads: watch::Sender<i64>,
) {
    let everything = Arc::new(Catalog::new(database, Sight::Everything));
    while states.changed().await.is_ok() {
        let state = states.borrow_and_update().unwrap_or(0);
        loop {
            let after = ring.read().unwrap_or_else(PoisonError::into_inner).head;
            if after == state {
                break;
            }
            // Where nobody follows, none are kept: whoever begins to reads the log. A state before the head is another
            // database's, as when a backup was restored.
            let skip = state < after || after == 0 || heads.receiver_count() == 0;
            let (span, events) = if skip {
                (
                    Span {
                        after: state,
                        to: state,
                    },
                    Vec::new(),
                )
            } else {
                let span = Span {
                    after,
                    to: state.min(after + i64::from(BATCH)),
                };
                let catalog = Arc::clone(&everything);
                let read = async move {
                    catalog
                        .events(span, &Filter::default(), u64::from(BATCH))
                        .await
                };
                match while_wanted(read).await {
                    Ok(events) => (span, events),
                    // The state says in the log that the database does not answer; the next one comes when it does.
                    Err(_) => break,
                }
            };
            let mut ring = ring.write().unwrap_or_else(PoisonError::into_inner);
            ring.push(events, span);
            drop(ring);
            heads.send_replace(span.to);
        }
    }
}

/// Somebody who follows the changes.
#[derive(Debug)]
pub struct Follower {
    database: Database,
    ring: Arc<RwLock<Ring>>,
    heads: watch::Receiver<i64>,
    sight: Sight,
    filter: Filter,
    position: i64,
}

impl Follower {
    /// The next changes, in order, when there are any. `CURSOR_EXPIRED` where the log forgot some of them first; a database that
    /// does not answer is waited for. Dropped in the middle, it misses nothing.
    pub async fn next(&mut self) -> Result<Vec<Change>> {
        loop {
            let head = *self.heads.borrow_and_update();
            let changes = if head <= self.position {
                // The sender is kept by whoever serves; without it nothing happens any more.
                if self.heads.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            } else if let Some(events) = self.in_ring() {
                self.position = events.last().map_or(head, |event| event.number);
                let told = events.iter();
                told.filter_map(|event| event.seen_by(&self.sight, &self.filter))
                    .collect()
            } else {
                self.in_log().await?
            };
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    fn in_ring(&self) -> Option<Vec<Arc<Event>>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.after(self.position)
    }

    async fn in_log(&mut self) -> Result<Vec<Change>> {
        loop {
            let feed = Feed {
                after: Some(self.position),
                limit: PAGE_MAX,
                filter: self.filter.clone(),
            };
            let catalog = Catalog::snapshot(self.database.clone(), self.sight.clone());
            match while_wanted(async move { catalog.changes(&feed).await }).await {
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
