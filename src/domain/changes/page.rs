//! A page of the event log: its parameters, and the events to read.
//!
//! Invariant: a page of all connectors reads at most [`SCAN`] numbers. A page of given connectors reads their events by
//! an index until it is full or the log ends. A page of a list evaluates the list for at most [`PAGE_MAX`] events.

use std::collections::HashSet;

use crate::{
    domain::{
        cursor::{self, LogPosition},
        listing::{PAGE_MAX, size},
        order::End,
        viewer::Sight,
    },
    error::Result,
};

use super::{Change, Event, Filter};

/// The most events to read for a page, because a viewer's events may be far apart.
pub const SCAN: i64 = 10_000;

/// The arguments of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paging {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

impl Paging {
    /// Returns the place of the first changes after a cursor.
    pub(crate) fn after(after: Option<String>) -> Self {
        Self {
            after,
            ..Self::default()
        }
    }
}

/// The place of a page: `limit` changes from one end of the range between two positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) end: End,
    pub(crate) limit: u64,
    pub(crate) after: Option<LogPosition>,
    pub(crate) before: Option<LogPosition>,
}

impl Place {
    /// The place of the latest change.
    pub(crate) const LATEST: Self = Self {
        end: End::First,
        limit: 1,
        after: None,
        before: None,
    };

    /// Parses the arguments. Errors name the argument: `CURSOR_INVALID` for a cursor, `BAD_USER_INPUT` for others.
    pub(crate) fn parse(paging: &Paging) -> Result<Self> {
        let cursor = |argument: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| cursor::parse_of_changes(argument, text))
                .transpose()
        };
        let (end, limit) = size(paging.first, paging.last)?;
        Ok(Self {
            end,
            limit,
            after: cursor("after", &paging.after)?,
            before: cursor("before", &paging.before)?,
        })
    }
}

/// A requested page of changes, from the oldest to the latest.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) place: Place,
    pub(crate) filter: Filter,
}

impl Feed {
    /// Parses the arguments. Errors name the argument: `CURSOR_INVALID` for a cursor, `BAD_USER_INPUT` for others.
    pub(crate) fn parse(paging: &Paging, filter: Filter) -> Result<Self> {
        Ok(Self {
            place: Place::parse(paging)?,
            filter: filter.parse()?,
        })
    }

    /// Returns the next changes after a position, or the first ones.
    pub(crate) fn after(after: Option<LogPosition>, limit: u64, filter: Filter) -> Self {
        let place = Place {
            end: End::First,
            limit,
            after,
            before: None,
        };
        Self { place, filter }
    }

    /// Returns the number of events to read, without the one that shows whether there are more. A page of a list
    /// contains only some of them.
    pub(crate) fn reads(&self) -> u64 {
        match self.place.limit {
            limit @ 1.. if self.filter.list.is_some() => limit.max(PAGE_MAX),
            limit => limit,
        }
    }

    /// Returns whether an index finds the events.
    fn is_of_named(&self) -> bool {
        self.filter.personal_connector_id.is_some()
    }
}

/// The changes of a page from the oldest to the latest, and the page's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) changes: Vec<Change>,
    /// The position to continue before; none if nothing precedes it.
    pub(crate) start: Option<LogPosition>,
    /// The position to continue after.
    pub(crate) end: LogPosition,
    pub(crate) has_previous: bool,
    pub(crate) has_next: bool,
}

/// The changes of one connector on a page, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) changes: Vec<Change>,
    /// Whether more changes follow in the direction of reading.
    pub(crate) more: bool,
}

impl History {
    /// Builds a page from events in reading order, with one more than the page may have.
    pub(crate) fn new(place: Place, sight: &Sight, mut events: Vec<Event>) -> Self {
        let more = events.len() as u64 > place.limit;
        if more {
            events.pop();
        }
        if place.end == End::Last {
            events.reverse();
        }
        let events = events.iter();
        let changes = events.filter_map(|event| event.seen_by(sight, &Filter::default()));
        Self {
            changes: changes.collect(),
            more,
        }
    }
}

/// The extent of the log: every event above `forgotten`, up to `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) forgotten: LogPosition,
    pub(crate) state: LogPosition,
}

/// The stored marks of the events at a page's bounds, and of the one that it reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageMarks {
    pub(crate) after: Option<i64>,
    pub(crate) before: Option<i64>,
    /// The mark of the event before `before`.
    pub(crate) last: Option<i64>,
    /// The mark of the event [`SCAN`] numbers from the end at which the page starts.
    pub(crate) reach: Option<i64>,
}

/// The events that a page reads: above one number, up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) above: i64,
    pub(crate) to: i64,
    /// Whether they are all events that the page could have.
    is_whole: bool,
    /// The position before them.
    after: LogPosition,
    /// The position of the first one, if the page starts at the end and is not whole.
    first: Option<LogPosition>,
    /// The position of the last one.
    end: LogPosition,
}

impl Log {
    /// Returns whether a position belongs to this history, and no change after it was pruned. `mark` is that of the
    /// event with its number.
    pub(crate) fn has(self, position: LogPosition, mark: Option<i64>) -> bool {
        let is_kept = self.forgotten.number < position.number
            && position.number <= self.state.number
            && mark == Some(position.mark);
        position == self.forgotten || position == self.state || is_kept
    }

    /// Fails with `CURSOR_EXPIRED` if changes after a position were pruned, or if it belongs to another history. `mark`
    /// is that of the event with its number.
    pub(crate) fn verify(
        self,
        argument: &str,
        position: LogPosition,
        mark: Option<i64>,
    ) -> Result<()> {
        if position.number < self.forgotten.number {
            let why = "is older than the changes that are kept";
            return Err(cursor::expired(argument, why));
        }
        if !self.has(position, mark) {
            let why = "is not in the history of this catalogue: it is of another one, or its change was lost with a \
                       restored backup or a failover";
            return Err(cursor::expired(argument, why));
        }
        Ok(())
    }

    /// Verifies both positions of a place. `CURSOR_EXPIRED` names the argument.
    pub(crate) fn verify_place(self, place: Place, marks: PageMarks) -> Result<()> {
        for (argument, position, mark) in [
            ("after", place.after, marks.after),
            ("before", place.before, marks.before),
        ] {
            position.map_or(Ok(()), |position| self.verify(argument, position, mark))?;
        }
        Ok(())
    }

    /// Returns the events to read. Fails with `CURSOR_EXPIRED` like [`Self::verify_place`].
    pub(crate) fn window(self, feed: &Feed, marks: PageMarks) -> Result<Window> {
        let place = feed.place;
        self.verify_place(place, marks)?;
        let after = place.after.unwrap_or(self.forgotten);
        let last = place
            .before
            .map_or(self.state.number, |before| before.number - 1);
        let scan = if feed.is_of_named() { i64::MAX } else { SCAN };
        let (above, to) = match place.end {
            End::First => (after.number, last.min(after.number.saturating_add(scan))),
            End::Last => (after.number.max(last.saturating_sub(scan)), last),
        };
        let is_whole = above == after.number && to == last;
        let at = |number, mark: Option<i64>| {
            [self.state, self.forgotten]
                .into_iter()
                .find(|position| position.number == number)
                .or(mark.map(|mark| LogPosition { number, mark }))
        };
        let mark = if to == last { marks.last } else { marks.reach };
        // A place without a number between its positions ends at the first of them.
        let end = Some(to).filter(|to| *to > after.number);
        Ok(Window {
            above,
            to,
            is_whole,
            after,
            first: at(above + 1, marks.reach).filter(|_| place.end == End::Last && !is_whole),
            end: end.and_then(|to| at(to, mark)).unwrap_or(after),
        })
    }
}

impl Page {
    /// Builds a page from a window's events in reading order, with one more than [`Feed::reads`]. `seen` are the ids of
    /// the connectors that are visible now, which matter if the feed has a list.
    pub(crate) fn new(
        feed: &Feed,
        sight: &Sight,
        window: Window,
        mut events: Vec<Event>,
        seen: &HashSet<String>,
    ) -> Self {
        let place = feed.place;
        let mut is_cut = events.len() as u64 > feed.reads();
        if is_cut {
            events.pop();
        }
        let mut outermost = events.last().map(|event| event.position);
        let changes = events.iter();
        let changes = changes.filter_map(|event| {
            let is_seen = seen.contains(&event.personal_connector_id);
            event.seen_and_listed(sight, &feed.filter, is_seen)
        });
        let mut changes: Vec<_> = changes.collect();
        let limit = usize::try_from(place.limit).unwrap_or(usize::MAX);
        if changes.len() > limit {
            changes.truncate(limit);
            is_cut = true;
            outermost = changes.last().map(|change| change.position);
        }
        let more = is_cut || !window.is_whole;
        if place.end == End::Last {
            changes.reverse();
        }
        let start = changes.first().map(|change| change.position);
        let (start, end) = match (place.end, is_cut) {
            (End::First, false) => (start, window.end),
            (End::First, true) => (start, outermost.unwrap_or(window.after)),
            (End::Last, false) => (window.first.or(start), window.end),
            (End::Last, true) => (outermost.or(place.before), window.end),
        };
        Self {
            changes,
            start,
            end,
            has_previous: match place.end {
                End::First => place.after.is_some(),
                End::Last => more,
            },
            has_next: match place.end {
                End::First => more,
                End::Last => place.before.is_some(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
