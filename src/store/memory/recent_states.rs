//! The newest changes with the states of their connectors, read once for all lists that are counted.
//!
//! Invariant: changes between two positions are complete, and of the history of both.

use std::{fmt, sync::Arc};

use tokio::sync::Mutex;

use crate::{
    domain::{changes::Event, cursor::LogPosition},
    error::Result,
    store::memory::event_ring::EventRing,
};

/// The most changes by which a count follows.
pub(in crate::store) const FOLLOWED: i64 = 1000;

/// The most changes in memory.
const CHANGES: usize = 1000;
/// The most bytes of them. Each has at most some kilobytes, because values of fields are left out.
const BYTES: usize = 8 << 20;

/// The newest changes.
pub(in crate::store) struct RecentStates(Mutex<EventRing>);

impl Default for RecentStates {
    fn default() -> Self {
        Self(Mutex::new(EventRing::of(CHANGES, BYTES)))
    }
}

impl RecentStates {
    /// Returns the changes between two positions; none if that is not worth the time, or if they are not of one
    /// history.
    ///
    /// `is_worth` gets the number of changes that are still to be read. `read` returns those from a position on, which
    /// it includes. Others wait meanwhile, and then read less.
    pub(in crate::store) async fn between(
        &self,
        since: LogPosition,
        to: LogPosition,
        is_worth: impl FnOnce(u64) -> bool,
        read: impl AsyncFnOnce(LogPosition) -> Result<Option<Vec<Event>>>,
    ) -> Result<Option<Vec<Arc<Event>>>> {
        let mut ring = self.0.lock().await;
        if let Some(changes) = ring.between(since, to) {
            return Ok(is_worth(0).then_some(changes));
        }
        let head = ring.head().filter(|head| head.number < to.number);
        let from = head.filter(|_| ring.holds(since)).unwrap_or(since);
        if !is_worth((to.number - from.number).unsigned_abs()) {
            return Ok(None);
        }
        let Some(changes) = read(from).await? else {
            return Ok(None);
        };
        if ring.head() != Some(from) {
            ring.begin(from);
        }
        ring.extend(changes);
        Ok(ring.between(since, to))
    }
}

impl fmt::Debug for RecentStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecentStates").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64, mark: i64) -> LogPosition {
        LogPosition { number, mark }
    }

    /// Returns the numbers of the changes between two positions, and the numbers from which changes were read.
    async fn between(
        states: &RecentStates,
        since: LogPosition,
        to: LogPosition,
    ) -> (Option<Vec<i64>>, Vec<i64>) {
        let mut reads = Vec::new();
        let read = async |from: LogPosition| {
            reads.push(from.number);
            // Each position of this log has the mark of the requested end.
            let events = (from.number..=to.number).map(|number| at(number, to.mark));
            let events: Vec<_> = events.map(Event::told_to_nobody).collect();
            Ok((from.mark == to.mark).then_some(events))
        };
        let changes = states.between(since, to, |_| true, read).await.unwrap();
        let numbers = |events: Vec<Arc<Event>>| events.iter().map(|e| e.position.number).collect();
        (changes.map(numbers), reads)
    }

    #[tokio::test]
    async fn each_change_is_read_once() {
        let states = RecentStates::default();
        for (since, to, expected, from) in [
            (3, 5, vec![4, 5], vec![3]),
            (3, 5, vec![4, 5], vec![]),
            (4, 5, vec![5], vec![]),
            (4, 7, vec![5, 6, 7], vec![5]),
            (3, 6, vec![4, 5, 6], vec![]),
            (2, 7, vec![3, 4, 5, 6, 7], vec![2]),
            // An earlier end does not make later changes be forgotten.
            (3, 4, vec![4], vec![]),
            (9, 11, vec![10, 11], vec![9]),
        ] {
            let found = between(&states, at(since, 1), at(to, 1)).await;
            assert_eq!(found, (Some(expected), from), "{since} to {to}");
        }
    }

    #[tokio::test]
    async fn changes_of_two_histories_are_none() {
        let states = RecentStates::default();
        assert!(between(&states, at(3, 1), at(5, 1)).await.0.is_some());
        assert_eq!(between(&states, at(4, 1), at(5, 2)).await, (None, vec![4]));
        assert_eq!(between(&states, at(4, 1), at(9, 2)).await, (None, vec![5]));
        let found = between(&states, at(9, 2), at(10, 2)).await;
        assert_eq!(found, (Some(vec![10]), vec![9]));
    }

    #[tokio::test]
    async fn nothing_is_read_that_is_not_worth_it() {
        let states = RecentStates::default();
        for (to, unread) in [(5, 2), (5, 2)] {
            let is_worth = |left| {
                assert_eq!(left, unread);
                false
            };
            let read = async |_| panic!("nothing is read");
            let changes = states.between(at(3, 1), at(to, 1), is_worth, read).await;
            assert_eq!(changes.unwrap(), None);
        }
    }
}
