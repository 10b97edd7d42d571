//! The newest changes, read once for all followers.
//!
//! Invariant: the ring holds a bounded number of events and bytes, of one history and with consecutive numbers up to
//! its head. It serves positions that it holds; a follower at another position reads the log, which verifies it. So a
//! follower is only a position and costs the same however far it is behind. It never gets events of two histories.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
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
        tasks::keep_running,
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
    ring: Arc<RwLock<Ring>>,
    /// The ring's head; each receiver is a follower.
    heads: watch::Sender<Option<LogPosition>>,
    reading: AbortHandle,
}

#[derive(Debug, Default)]
struct Ring {
    /// The position before the first event; none before the start.
    base: Option<LogPosition>,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl Ring {
    /// Returns the position of the newest event read.
    fn head(&self) -> Option<LogPosition> {
        self.events.back().map_or(self.base, |e| Some(e.position))
    }

    /// Returns the next events after a position, and whether these are all; none if the ring does not hold the
    /// position.
    fn after(&self, position: LogPosition) -> Option<(Vec<Arc<Event>>, bool)> {
        let base = self.base?;
        let from = usize::try_from(position.number - base.number).ok()?;
        let held = match from.checked_sub(1) {
            None => base,
            Some(last) => self.events.get(last)?.position,
        };
        let next = self.events.range(from..).take(usize::from(BATCH));
        let are_all = self.events.len() - from <= usize::from(BATCH);
        (held == position).then(|| (next.cloned().collect(), are_all))
    }

    /// Starts over at a position, without events.
    fn begin(&mut self, at: LogPosition) {
        self.events.clear();
        self.bytes = 0;
        self.base = Some(at);
    }

    /// Adds events that one statement read from the head on, of which the first is the head's own. Returns false and
    /// adds nothing if that is missing, because the history differs or was pruned, or if no other follows.
    fn extend(&mut self, events: Vec<Event>) -> bool {
        let mut events = events.into_iter();
        let first = events.next().map(|event| event.position);
        if first != self.head() || events.len() == 0 {
            return false;
        }
        for event in events {
            self.bytes += event.bytes();
            self.events.push_back(Arc::new(event));
        }
        while (self.events.len() > RING || self.bytes > RING_BYTES)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.base = Some(oldest.position);
        }
        true
    }
}

impl ChangeFollower {
    /// Starts the task that reads new events at each new state. It ends when the follower is dropped.
    pub fn start(database: Database, state: &State) -> Self {
        let ring = Arc::<RwLock<Ring>>::default();
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
    ring: Arc<RwLock<Ring>>,
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

/// A follower of the changes.
#[derive(Debug)]
pub struct ChangeStream {
    database: Database,
    ring: Arc<RwLock<Ring>>,
    heads: watch::Receiver<Option<LogPosition>>,
    sight: Sight,
    filter: Filter,
    position: LogPosition,
    /// Whether it has reached the head, so that further events happen while it follows.
    is_live: bool,
}

impl ChangeStream {
    /// Waits for the next changes, in order. Fails with `CURSOR_EXPIRED` if the log was pruned beyond them, or has
    /// another history. It waits for a database that does not respond. It is safe to cancel: nothing is missed.
    pub async fn next(&mut self) -> Result<Vec<Change>> {
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
            if !changes.is_empty() {
                return Ok(changes);
            }
            // Other tasks get time, even if many events are invisible.
            consume_budget().await;
        }
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
        let (events, are_all) = ring.after(self.position)?;
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

#[cfg(test)]
mod tests {
    use entity::Timestamp;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::domain::{
        changes::{FieldChange, Value},
        field::ChangedField,
    };

    /// Returns the event with a number in one of two histories, which are equal up to a number.
    fn event(history: i64, shared: i64, number: i64) -> Event {
        let mark = if number > shared { history } else { 0 };
        Event {
            position: LogPosition { number, mark },
            personal_connector_id: String::new(),
            organization: None,
            before: None,
            after: None,
            fields: Vec::new(),
            revision: 1,
            actor: None,
            actor_organization: None,
            occurred_at: Timestamp(0),
        }
    }

    #[test]
    fn the_oldest_events_leave_the_ring() {
        let mut ring = Ring::default();
        assert_eq!(ring.after(event(0, 0, 0).position), None);
        assert!(!ring.extend(Vec::new()));
        ring.begin(event(0, 0, 1).position);
        let most = i64::try_from(RING).unwrap();
        let all = |from, to| (from..=to).map(|number| event(0, 0, number)).collect();
        assert!(ring.extend(all(1, most)));
        assert!(ring.extend(all(most, most + 10)));
        assert_eq!(ring.events.len(), RING);
        assert_eq!(ring.head(), Some(event(0, 0, most + 10).position));
        assert_eq!(ring.after(event(0, 0, 9).position), None);
        for number in [10, 11, most + 9] {
            let (next, _) = ring.after(event(0, 0, number).position).unwrap();
            assert_eq!(next[0].position.number, number + 1);
            assert!(next.len() <= usize::from(BATCH));
        }
        let head = event(0, 0, most + 10).position;
        assert_eq!(ring.after(head), Some((Vec::new(), true)));
        assert_eq!(ring.after(event(0, 0, most + 11).position), None);
        assert!(!ring.extend(all(most + 10, most + 10)), "nothing follows");
    }

    #[test]
    fn long_events_leave_the_ring_sooner() {
        let mut ring = Ring::default();
        ring.begin(event(0, 0, 1).position);
        let value = Value::new(ChangedField::Health, "x".repeat(1000));
        let long = |number| Event {
            fields: vec![
                FieldChange {
                    field: ChangedField::Health,
                    before: Some(value.clone()),
                    after: Some(value.clone()),
                };
                10
            ],
            ..event(0, 0, number)
        };
        let most = i64::try_from(RING).unwrap();
        assert!(ring.extend((1..=most).map(long).collect()));
        assert!(ring.events.len() < 1000, "{}", ring.events.len());
        assert!(ring.bytes <= RING_BYTES);
        let bytes: usize = ring.events.iter().map(|event| event.bytes()).sum();
        assert_eq!(ring.bytes, bytes);
        assert_eq!(ring.head(), Some(long(most).position));
        let base = ring.base.unwrap();
        assert_eq!(
            ring.after(base).unwrap().0[0].position.number,
            base.number + 1
        );
    }

    proptest! {
        /// Any history may be read, and the ring may start over anywhere.
        #[test]
        fn what_follows_a_position_is_of_its_history(
            shared in 0..10_i64,
            reads in vec((0..2_i64, 0..20_i64, 0..5_i64, any::<bool>()), 1..20),
        ) {
            let mut ring = Ring::default();
            for (history, from, more, begins) in reads {
                if begins || ring.head().is_none() {
                    ring.begin(event(history, shared, from).position);
                }
                // The read starts at the head's number, over a connection to either history.
                let head = ring.head().unwrap();
                let read = (head.number..=head.number + more).map(|number| event(history, shared, number));
                let extended = ring.extend(read.collect());
                prop_assert_eq!(extended, more > 0 && event(history, shared, head.number).position == head);
                for of in [0, 1] {
                    for number in 0..40 {
                        let position = event(of, shared, number).position;
                        let Some((next, _)) = ring.after(position) else { continue };
                        // They are consecutive, and belong to one history, which contains the position.
                        let expected = |of| (1..).map(move |n| event(of, shared, number + n).position).take(next.len());
                        let seen: Vec<_> = next.iter().map(|event| event.position).collect();
                        let is_in = |of| event(of, shared,
                            number).position == position && expected(of).eq(seen.iter().copied());
                        prop_assert!(is_in(0) || is_in(1), "{:?} {:?}", position, seen);
                    }
                }
            }
        }
    }
}
