//! The newest events, in memory.
//!
//! Invariant: a ring holds a bounded number of events and bytes, of one history and with consecutive numbers up to its
//! head.

use std::{collections::VecDeque, sync::Arc};

use crate::domain::{changes::Event, cursor::LogPosition};

/// The newest events up to a position.
#[derive(Debug)]
pub(in crate::store) struct EventRing {
    /// The position before the first event; none before the start.
    base: Option<LogPosition>,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl EventRing {
    /// Creates an empty ring for this many events and bytes.
    pub(in crate::store) const fn of(most: usize, most_bytes: usize) -> Self {
        Self {
            base: None,
            events: VecDeque::new(),
            bytes: 0,
            most,
            most_bytes,
        }
    }

    /// Returns the position of the newest event read.
    pub(in crate::store) fn head(&self) -> Option<LogPosition> {
        self.events.back().map_or(self.base, |e| Some(e.position))
    }

    /// Returns the next events after a position, at most some, and whether these are all. None if the ring does not
    /// hold the position.
    pub(in crate::store) fn after(
        &self,
        position: LogPosition,
        most: usize,
    ) -> Option<(Vec<Arc<Event>>, bool)> {
        let from = self.index(position)?;
        let next = self.events.range(from..).take(most);
        let are_all = self.events.len() - from <= most;
        Some((next.cloned().collect(), are_all))
    }

    /// Returns the events after a position, up to another one; none if the ring does not hold both.
    pub(in crate::store) fn between(
        &self,
        since: LogPosition,
        to: LogPosition,
    ) -> Option<Vec<Arc<Event>>> {
        let (from, to) = (self.index(since)?, self.index(to)?);
        (from <= to).then(|| self.events.range(from..to).cloned().collect())
    }

    /// Returns whether the ring holds a position.
    pub(in crate::store) fn holds(&self, position: LogPosition) -> bool {
        self.index(position).is_some()
    }

    /// Returns the index of the first event after a position; none if the ring does not hold the position.
    fn index(&self, position: LogPosition) -> Option<usize> {
        let base = self.base?;
        let from = usize::try_from(position.number - base.number).ok()?;
        let held = match from.checked_sub(1) {
            None => base,
            Some(last) => self.events.get(last)?.position,
        };
        (held == position).then_some(from)
    }

    /// Starts over at a position, without events.
    pub(in crate::store) fn begin(&mut self, at: LogPosition) {
        self.events.clear();
        self.bytes = 0;
        self.base = Some(at);
    }

    /// Adds events that one statement read from the head on, of which the first is the head's own. Returns false and
    /// adds nothing if that is missing, because the history differs or was pruned, or if no other follows.
    pub(in crate::store) fn extend(&mut self, events: Vec<Event>) -> bool {
        let mut events = events.into_iter();
        let first = events.next().map(|event| event.position);
        if first != self.head() || events.len() == 0 {
            return false;
        }
        for event in events {
            self.bytes += event.bytes();
            self.events.push_back(Arc::new(event));
        }
        while (self.events.len() > self.most || self.bytes > self.most_bytes)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.base = Some(oldest.position);
        }
        true
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

    const RING: usize = 4096;
    const RING_BYTES: usize = 16 << 20;
    const BATCH: usize = 256;

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
        let mut ring = EventRing::of(RING, RING_BYTES);
        assert_eq!(ring.after(event(0, 0, 0).position, BATCH), None);
        assert!(!ring.extend(Vec::new()));
        ring.begin(event(0, 0, 1).position);
        let most = i64::try_from(RING).unwrap();
        let all = |from, to| (from..=to).map(|number| event(0, 0, number)).collect();
        assert!(ring.extend(all(1, most)));
        assert!(ring.extend(all(most, most + 10)));
        assert_eq!(ring.events.len(), RING);
        assert_eq!(ring.head(), Some(event(0, 0, most + 10).position));
        assert_eq!(ring.after(event(0, 0, 9).position, BATCH), None);
        for number in [10, 11, most + 9] {
            let (next, _) = ring.after(event(0, 0, number).position, BATCH).unwrap();
            assert_eq!(next[0].position.number, number + 1);
            assert!(next.len() <= BATCH);
        }
        let head = event(0, 0, most + 10).position;
        assert_eq!(ring.after(head, BATCH), Some((Vec::new(), true)));
        assert_eq!(ring.after(event(0, 0, most + 11).position, BATCH), None);
        assert!(!ring.extend(all(most + 10, most + 10)), "nothing follows");
    }

    #[test]
    fn long_events_leave_the_ring_sooner() {
        let mut ring = EventRing::of(RING, RING_BYTES);
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
            ring.after(base, BATCH).unwrap().0[0].position.number,
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
            let mut ring = EventRing::of(RING, RING_BYTES);
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
                        let Some((next, _)) = ring.after(position, BATCH) else { continue };
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
