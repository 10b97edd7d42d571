use std::{collections::BTreeSet, sync::Arc};

use entity::{ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};
use proptest::{collection::btree_set, option, prelude::*, sample::select};

use super::*;
use crate::{
    domain::{
        changes::Side,
        listing::{self, Members},
    },
    error::Code,
};

/// A history whose events have distinct marks, pruned up to a number. Some of the other events are visible.
#[derive(Clone, Debug)]
struct History {
    forgotten: i64,
    state: i64,
    /// The number from which its marks differ from the other history's.
    parts: i64,
    seen: BTreeSet<i64>,
}

impl History {
    fn new(forgotten: i64, state: i64) -> Self {
        Self {
            forgotten,
            state,
            parts: i64::MAX,
            seen: (forgotten + 1..=state).collect(),
        }
    }

    fn at(&self, number: i64) -> LogPosition {
        let sign = if number >= self.parts { -1 } else { 1 };
        let mark = number * 10 * sign;
        LogPosition { number, mark }
    }

    fn log(&self) -> Log {
        Log {
            forgotten: self.at(self.forgotten),
            state: self.at(self.state),
        }
    }

    /// Returns the mark of a stored event.
    fn mark(&self, number: i64) -> Option<i64> {
        let is_kept = self.forgotten < number && number <= self.state;
        is_kept.then(|| self.at(number).mark)
    }

    fn window(&self, feed: &Feed) -> Result<Window> {
        let Place {
            end, after, before, ..
        } = feed.place;
        let last = before.map_or(self.state, |before| before.number - 1);
        let begin = after.map_or(self.forgotten, |after| after.number);
        let marks = PageMarks {
            after: after.and_then(|after| self.mark(after.number)),
            before: before.and_then(|before| self.mark(before.number)),
            last: self.mark(last),
            reach: self.mark(match end {
                End::First => begin.saturating_add(SCAN),
                End::Last => last.saturating_sub(SCAN) + 1,
            }),
        };
        self.log().window(feed, marks)
    }

    /// Reads a page like the store.
    fn page(&self, feed: &Feed) -> Page {
        self.page_of(feed, |_| true)
    }

    /// Reads a page of a history in which the connector is active after some of the events.
    fn page_of(&self, feed: &Feed, is_active: impl Fn(i64) -> bool) -> Page {
        let window = self.window(feed).unwrap();
        let in_window = |number: &&i64| window.above < **number && **number <= window.to;
        let most = usize::try_from(feed.reads() + 1).unwrap();
        let seen = self.seen.iter().filter(in_window).copied();
        let numbers: Vec<_> = match feed.place.end {
            End::First => seen.take(most).collect(),
            End::Last => seen.rev().take(most).collect(),
        };
        let events = numbers.into_iter().map(|number| {
            let mut event = self.event(number);
            if let Some(after) = event.after.as_mut().filter(|_| !is_active(number)) {
                after.status = ConnectorStatus::Maintenance;
            }
            event
        });
        Page::new(
            feed,
            &Sight::Public,
            window,
            events.collect(),
            &HashSet::from(["pcon_a".to_owned()]),
        )
    }

    fn event(&self, number: i64) -> Event {
        Event {
            position: self.at(number),
            personal_connector_id: "pcon_a".to_owned(),
            organization: None,
            before: None,
            after: Some(Side {
                r#type: ConnectorType::Custom,
                visibility: ConnectorVisibility::Public,
                created_by: None,
                category: None,
                status: ConnectorStatus::Active,
                record: None,
            }),
            fields: Vec::new(),
            revision: 1,
            actor: None,
            actor_organization: None,
            occurred_at: Timestamp(0),
        }
    }
}

fn feed(place: Place, is_of_named: bool) -> Feed {
    let filter = Filter {
        personal_connector_id: is_of_named.then(|| vec!["pcon_a".to_owned()]),
        ..Filter::default()
    };
    Feed { place, filter }
}

const ALL: Place = Place {
    end: End::First,
    limit: 20,
    after: None,
    before: None,
};
const FROM_END: Place = Place {
    end: End::Last,
    ..ALL
};

/// A page of a list evaluates a bounded number of events, and the next one continues there.
#[test]
fn pages_of_a_list_give_all_that_is_in_it() {
    const EVENTS: i64 = 450;
    let active = listing::Filter {
        status: Some(vec![ConnectorStatus::Active]),
        ..listing::Filter::default()
    };
    let list = Arc::new(Members::parse(None, Some(active)).unwrap());
    let history = History::new(0, EVENTS);
    for (every, limit, is_of_named) in [
        (1, 1, false),
        (1, 100, true),
        (2, 7, false),
        (150, 1, true),
        (150, 100, false),
        (1000, 3, true),
    ] {
        let is_in = |number: i64| number % every == 0;
        let expected: Vec<_> = (1..=EVENTS).filter(|number| is_in(*number)).collect();
        for end in [End::First, End::Last] {
            let mut place = Place { end, limit, ..ALL };
            let mut read = Vec::new();
            loop {
                let mut feed = feed(place, is_of_named);
                feed.filter.list = Some(Arc::clone(&list));
                let page = history.page_of(&feed, is_in);
                assert!(page.changes.len() as u64 <= limit);
                let looked_at = page.end.number - place.after.map_or(0, |after| after.number);
                assert!(end == End::Last || looked_at <= 100, "{looked_at}");
                let numbers = page.changes.iter().map(|change| change.position.number);
                let more = match end {
                    End::First => {
                        read.extend(numbers);
                        place.after = Some(page.end);
                        page.has_next
                    }
                    End::Last => {
                        read.splice(0..0, numbers.collect::<Vec<_>>());
                        place.before = page.start.or(place.before);
                        page.has_previous
                    }
                };
                if !more {
                    break;
                }
            }
            assert_eq!(read, expected, "{every} {limit} {end:?}");
        }
    }
    let mut none = feed(Place { limit: 0, ..ALL }, false);
    none.filter.list = Some(list);
    let page = history.page_of(&none, |_| true);
    assert_eq!(
        (page.changes, page.end.number, page.has_next),
        (Vec::new(), 0, true)
    );
}

#[test]
fn a_window_is_a_bounded_part_of_what_is_kept() {
    for (forgotten, state, place, expected) in [
        (0, 0, ALL, (0, 0)),
        (0, 7, ALL, (0, 7)),
        (3, 7, ALL, (3, 7)),
        (7, 7, ALL, (7, 7)),
        (2, 3 * SCAN, ALL, (2, 2 + SCAN)),
        (2, 3 * SCAN, FROM_END, (2 * SCAN, 3 * SCAN)),
        (0, 7, FROM_END, (0, 7)),
    ] {
        let history = History::new(forgotten, state);
        let window = history.window(&feed(place, false)).unwrap();
        assert_eq!((window.above, window.to), expected, "{place:?}");
        let window = history.window(&feed(place, true)).unwrap();
        assert_eq!((window.above, window.to), (forgotten, state), "{place:?}");
    }
}

#[test]
fn cursors_are_good_from_what_was_forgotten_to_the_state() {
    let history = History::new(3, 7);
    for (number, mark, expected) in [
        (2, 20, "older"),
        (0, 0, "older"),
        (3, 31, "history"),
        (5, 51, "history"),
        (7, 71, "history"),
        (8, 80, "history"),
        (i64::MAX, 0, "history"),
    ] {
        let bad = Some(LogPosition { number, mark });
        let good = Some(history.at(3));
        for (after, before, argument) in [
            (bad, None, "after"),
            (None, bad, "before"),
            (good, bad, "before"),
        ] {
            let place = Place {
                after,
                before,
                ..ALL
            };
            let error = history.window(&feed(place, false)).unwrap_err();
            assert_eq!(error.code, Code::CursorExpired);
            let message = &error.message;
            assert!(message.starts_with(argument), "{message}");
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("Start over"), "{message}");
        }
    }
}

#[test]
fn a_page_of_nothing_goes_on_where_it_is() {
    let history = History::new(0, 5);
    for (place, start, end) in [
        (ALL, None, 0),
        (
            Place {
                after: Some(history.at(2)),
                ..ALL
            },
            None,
            2,
        ),
        (FROM_END, None, 5),
        (
            Place {
                before: Some(history.at(4)),
                ..FROM_END
            },
            Some(4),
            3,
        ),
    ] {
        let place = Place { limit: 0, ..place };
        let page = history.page(&feed(place, false));
        assert_eq!(page.changes, []);
        let start = start.map(|start| history.at(start));
        assert_eq!(
            (page.start, page.end),
            (start, history.at(end)),
            "{place:?}"
        );
        let more = (page.has_previous, page.has_next);
        let is_first = place.end == End::First;
        let expected = (
            !is_first || place.after.is_some(),
            is_first || place.before.is_some(),
        );
        assert_eq!(more, expected, "{place:?}");
    }
}

fn a_history() -> impl Strategy<Value = History> {
    let state = select(vec![0, 1, 30, SCAN - 1, SCAN, SCAN + 1, 3 * SCAN + 7]);
    (state, 0..40_i64).prop_flat_map(|(state, forgotten)| {
        let forgotten = forgotten.min(state);
        let numbers = prop_oneof![forgotten + 1..=forgotten + 30, forgotten + 1..=state + 1];
        btree_set(numbers, 0..40).prop_map(move |seen| History {
            seen: seen.into_iter().filter(|number| *number <= state).collect(),
            ..History::new(forgotten, state)
        })
    })
}

proptest! {
    /// From either end, the pages give each change once and in order. No page of given connectors is empty while there
    /// are more.
    #[test]
    fn pages_give_all_that_is_seen(
        history in a_history(), limit in 1..9_u64, is_of_named in any::<bool>(),
        bounds in option::of((0..50_i64, 0..50_i64)),
    ) {
        let bounds = bounds.map(|(a, b)| {
            [a, b].map(|number| (history.forgotten + number).min(history.state))
        });
        let is_between = |number: &&i64| bounds.is_none_or(|[a, b]| a < **number && **number < b);
        let expected: Vec<_> = history.seen.iter().filter(is_between).copied().collect();
        let at = |number| Some(history.at(number));
        for end in [End::First, End::Last] {
            let mut place = Place { end, limit, after: bounds.and_then(|[a, _]| at(a)),
                before: bounds.and_then(|[_, b]| at(b)) };
            let mut read = Vec::new();
            for turn in 0..60 {
                prop_assert!(turn < 59, "it does not end");
                let page = history.page(&feed(place, is_of_named));
                let numbers: Vec<_> = page.changes.iter().map(|change| change.position.number).collect();
                let more = if end == End::First { page.has_next } else { page.has_previous };
                prop_assert!(!more || !is_of_named || !numbers.is_empty());
                match end {
                    End::First => {
                        read.extend(numbers);
                        place.after = Some(page.end);
                    }
                    End::Last => {
                        read.splice(0..0, numbers);
                        place.before = page.start.or(place.before);
                    }
                }
                if !more {
                    break;
                }
            }
            prop_assert_eq!(&read, &expected);
        }
        // Later changes come after the end of the last page.
        let last = history.page(&feed(Place { end: End::Last, ..ALL }, is_of_named));
        prop_assert_eq!(last.end, history.at(history.state));
    }

    #[test]
    fn a_position_is_good_in_the_histories_that_have_it(
        parts in 0..24_i64, states in (0..24_i64, 0..24_i64), forgotten in (0..24_i64, 0..24_i64), number in 0..24_i64,
    ) {
        let history = |state: i64, forgotten: i64| History::new(forgotten.min(state), state);
        let ours = history(states.0, forgotten.0);
        let theirs = History { parts, ..history(states.1, forgotten.1) };
        for history in [&ours, &theirs] {
            let number = number.min(history.state);
            let position = history.at(number);
            for other in [&ours, &theirs] {
                let is_there = other.forgotten <= number && number <= other.state;
                let has = is_there && (number == 0 || other.at(number) == position);
                let place = Place { after: Some(position), ..ALL };
                let window = other.window(&feed(place, false));
                prop_assert_eq!(window.is_ok(), has, "{:?} in {:?}", position, other);
                if let Ok(window) = window {
                    prop_assert_eq!((window.above, window.end), (number, other.at(other.state)));
                }
            }
        }
    }
}
