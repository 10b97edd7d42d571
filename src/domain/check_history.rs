//! The stored checks of a connector's MCP server: pages, the share of successes, and counts for charts.

use entity::{Outcome, Timestamp};

use crate::error::{Error, Result};

use super::{
    cursor, inspection,
    listing::{TimeRange, limit},
};

/// The most buckets of a chart.
const BUCKETS: i64 = 100;

const HOUR: f64 = 3_600_000_000.0;

/// A past check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastCheck {
    pub(crate) checked_at: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    pub(crate) latency_ms: Option<i64>,
}

/// A page of any connector's checks, latest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HistoryPage {
    pub(crate) limit: u64,
    /// The time of the check before the page.
    pub(crate) after: Option<Timestamp>,
    pub(crate) range: TimeRange,
}

impl HistoryPage {
    /// Parses the arguments. Errors name the argument.
    pub(crate) fn parse(
        first: Option<i32>,
        after: Option<&str>,
        range: Option<TimeRange>,
    ) -> Result<Self> {
        let after = after.map(|text| cursor::parse_of_check("after", text));
        Ok(Self {
            limit: limit("first", first)?,
            after: after.transpose()?,
            range: range.unwrap_or_default(),
        })
    }
}

/// Checks, latest first, and whether there are earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) checks: Vec<PastCheck>,
    pub(crate) more: bool,
}

/// The share of checks in a window that found a working server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Uptime {
    /// The share, from 0 to 1.
    pub(crate) share: f64,
    /// The hours of the window for which checks are stored.
    pub(crate) hours: f64,
}

impl Uptime {
    /// Computes the share of `working` checks among `all` since a moment, given the time of the oldest stored check.
    pub(crate) fn new(
        (working, all): (i64, i64),
        since: Timestamp,
        oldest: Timestamp,
        now: Timestamp,
    ) -> Self {
        let covered = now.since(oldest.max(since)).as_micros();
        #[expect(
            clippy::cast_precision_loss,
            reason = "neither a history nor a year of microseconds is that long"
        )]
        let (working, all, covered) = (working as f64, all as f64, covered as f64);
        Self {
            share: working / all,
            hours: covered / HOUR,
        }
    }
}

/// Consecutive spans of equal length; the last one has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spans {
    pub(crate) from: Timestamp,
    /// The length of each, in microseconds.
    pub(crate) length: i64,
    pub(crate) count: i64,
}

impl Spans {
    /// Divides a number of hours into spans. Each begins at a multiple of its length, so that successive requests get
    /// the same spans. `BAD_USER_INPUT` names the argument.
    pub(crate) fn parse(hours: i32, count: i32, now: Timestamp) -> Result<Self> {
        let count = i64::from(count);
        if !(1..=BUCKETS).contains(&count) {
            let message = format!("count must be from 1 to {BUCKETS}");
            return Err(Error::bad_user_input(message));
        }
        let micros = inspection::duration(hours)?.as_micros();
        let length = i64::try_from(micros).map_err(Error::internal)? / count;
        let last = now.0.div_euclid(length);
        Ok(Self {
            from: Timestamp((last + 1 - count) * length),
            length,
            count,
        })
    }

    pub(crate) fn end(self) -> Timestamp {
        Timestamp(self.from.0 + self.count * self.length)
    }
}

/// The checks of one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) checks: i64,
    /// Checks that found a working server.
    pub(crate) working: i64,
    /// The mean latency of the checks with one.
    pub(crate) latency_ms: Option<i64>,
}

/// The checks of a connector, with one bucket for each span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) spans: Spans,
    pub(crate) buckets: Vec<Bucket>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_begin_where_those_of_the_next_request_do() {
        const MINUTE: i64 = 60_000_000;
        let now = Timestamp(1_000_000 * 60 * MINUTE + 17 * MINUTE);
        let spans = Spans::parse(24, 24, now).unwrap();
        assert_eq!(spans.from, Timestamp(999_977 * 60 * MINUTE));
        assert_eq!(spans.end(), Timestamp(1_000_001 * 60 * MINUTE));
        let later = Spans::parse(24, 24, Timestamp(now.0 + 40 * MINUTE));
        assert_eq!(later.unwrap(), spans);
        for (hours, count) in [(0, 24), (8761, 24), (24, 0), (24, 101)] {
            let error = Spans::parse(hours, count, now).unwrap_err();
            let named = if count == 24 { "hours" } else { "count" };
            assert!(error.message.starts_with(named), "{}", error.message);
        }
        // Times before 1970 work too.
        assert!(Spans::parse(1, 7, Timestamp(-5)).unwrap().end() > Timestamp(-5));
    }
}
