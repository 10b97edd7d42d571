//! The result of inspecting an MCP server, and the schedule of the next check.
//!
//! Invariant: a server's description of itself is bounded before it gets here, and is never verified.

use std::time::Duration;

pub use entity::{Outcome, Transport};
use entity::{ServerType, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{self, Error};

/// The most tools to store of a server.
pub(crate) const TOOLS: usize = 1000;

/// The most bytes of all stored tools of a server.
pub(crate) const TOOLS_BYTES: usize = 256 * 1024;

/// The most bytes of a stored tool name, twice the recommended length (MCP 2025-11-25, Tools, Tool Names).
pub(crate) const TOOL_NAME_BYTES: usize = 256;

/// The outcomes of working servers, with or without a sign-in.
pub(crate) const ALIVE: [Outcome; 2] = [Outcome::Open, Outcome::AuthRequired];

/// The longest window of an uptime: a year.
const WINDOW_HOURS: u64 = 8760;

/// The most doublings of the interval after failures.
pub(crate) const BACKOFFS: u32 = 4;

/// The longest interval that a server can request.
pub(crate) const LONGEST_FRESH: Duration = Duration::from_hours(24);

/// A tool of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// The name, unique among the server's tools.
    pub name: String,
    /// The name for people; none if there is none, or if it exceeded the space.
    pub title: Option<String>,
    /// The description; none if there is none, or if it exceeded the space.
    pub description: Option<String>,
    /// JSON; none if there is none, or if it exceeds the limit or the remaining space.
    pub input_schema: Option<String>,
    /// JSON; none if there is none, or if it exceeds the limit or the remaining space.
    pub output_schema: Option<String>,
    /// JSON: the server's own hints of the tool's effects (MCP, `ToolAnnotations`).
    pub annotations: Option<String>,
}

impl Tool {
    /// Returns the bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let texts = [
            &self.title,
            &self.description,
            &self.input_schema,
            &self.output_schema,
            &self.annotations,
        ];
        let texts = texts.into_iter().flatten();
        self.name.len() + texts.map(String::len).sum::<usize>()
    }
}

/// The server's description of itself, which nobody verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The name for programs; the title if the server gives no name.
    pub name: String,
    pub(crate) title: Option<String>,
    /// Text of any form; empty if the server gives none.
    pub version: String,
    pub(crate) description: Option<String>,
    pub(crate) website_url: Option<String>,
    /// URLs as they were sent: https ones, and images in `data:` URLs.
    pub icons: Vec<String>,
}

/// The result of inspecting a server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The outcome.
    pub outcome: Outcome,
    /// The outcome in words, for people, without any of the server's text.
    pub message: String,
    /// The start of the inspection.
    pub checked_at: Timestamp,
    /// Milliseconds until the response to `server/discover` or `initialize`, over the transport that worked.
    pub latency_ms: Option<u64>,
    /// The transport of the connection.
    pub transport: Option<Transport>,
    /// The revision of MCP in use, such as `2025-11-25`.
    pub protocol_version: Option<String>,
    /// The server's description of itself; none if it does not name itself.
    pub server_info: Option<ServerInfo>,
    /// The server's instructions for models.
    pub instructions: Option<String>,
    /// The names of its declared capabilities: `tools`, `resources`, `prompts`, …
    pub capabilities: Vec<String>,
    /// The settings of its declared extensions by name: a JSON object. None if there are none, or more than are stored.
    pub extensions: Option<String>,
    /// The tools that the server lists, within limits: at most 1,000, with 256 KiB of text in total.
    pub tools: Vec<Tool>,
    /// Listed tools that are not in `tools`, because they have no name or a repeated one.
    pub tools_left_out: usize,
    /// Whether `tools` is complete within the limits. False if the server could not be asked, or broke off.
    pub tools_listed: bool,
    /// Resources that the server lists, counted up to the limit; none if it offers none.
    pub resource_count: Option<usize>,
    /// Prompts that the server lists, counted up to the limit; none if it offers none.
    pub prompt_count: Option<usize>,
    /// The issuers whose tokens it accepts (RFC 9728), if it requires a sign-in.
    pub authorization_servers: Vec<String>,
    /// The time that the server's description and tools stay valid, as it says (MCP 2026-07-28, `ttlMs`).
    pub fresh_for: Option<Duration>,
}

impl Inspection {
    /// Adds a sentence to the message.
    pub(crate) fn note(&mut self, note: &str) {
        self.message.push(' ');
        self.message.push_str(note);
    }
}

/// The stored result of the last check of a connector's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) outcome: Outcome,
    /// The time of the first check in a row with this outcome.
    pub(crate) since: Timestamp,
    pub(crate) message: String,
    pub(crate) checked_at: Timestamp,
    pub(crate) latency_ms: Option<i64>,
    pub(crate) transport: Option<Transport>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) server_info: Option<ServerInfo>,
    pub(crate) extensions: Option<String>,
    pub(crate) authorization_servers: Vec<String>,
    /// The time at which the stored tools were listed; none if they never were, or if it was not recorded.
    pub(crate) tools_checked_at: Option<Timestamp>,
    /// The time of the next check; none if there is nothing to check.
    pub(crate) next_check_at: Option<Timestamp>,
}

/// Returns the start of a window of this many hours that ends now. `BAD_USER_INPUT` names the argument.
pub(crate) fn window(hours: i32, now: Timestamp) -> error::Result<Timestamp> {
    duration(hours).map(|duration| now.saturating_sub(duration))
}

/// Returns the length of a window of this many hours. `BAD_USER_INPUT` names the argument.
pub(crate) fn duration(hours: i32) -> error::Result<Duration> {
    let message = || format!("hours must be from 1 to {WINDOW_HOURS}");
    match u64::try_from(hours) {
        Ok(hours @ 1..=WINDOW_HOURS) => Ok(Duration::from_hours(hours)),
        Ok(hours) if hours > WINDOW_HOURS => Err(Error::beyond(message(), WINDOW_HOURS, hours)),
        _ => Err(Error::bad_user_input(message())),
    }
}

/// Returns whether the server works, with or without a sign-in.
pub(crate) fn is_alive(outcome: Outcome) -> bool {
    ALIVE.contains(&outcome)
}

/// Returns whether MCP has deprecated a transport (MCP 2026-07-28, Deprecated Features).
pub(crate) fn is_deprecated(transport: Transport) -> bool {
    transport == Transport::Sse
}

/// Returns the name of an outcome for clients.
pub(crate) fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "OPEN",
        Outcome::AuthRequired => "AUTH_REQUIRED",
        Outcome::WrongTransport => "WRONG_TRANSPORT",
        Outcome::NotMcp => "NOT_MCP",
        Outcome::Unreachable => "UNREACHABLE",
        Outcome::Timeout => "TIMEOUT",
        Outcome::Blocked => "BLOCKED",
        Outcome::NotCheckable => "NOT_CHECKABLE",
    }
}

/// Returns whether there is a server to call.
pub(crate) fn is_checkable(server_url: Option<&str>, server_type: Option<ServerType>) -> bool {
    server_url.is_some() && server_type != Some(ServerType::Stdio)
}

/// The times of checks, and the number to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The interval between two checks of a connector.
    pub interval: Duration,
    /// Checks to store for each connector.
    pub history: u32,
}

impl Schedule {
    /// Returns the time of the next check after failures in a row. Each failure doubles the interval, up to sixteen
    /// times. Without failures, the server's own validity may lengthen it. A tenth more or less, which depends on the
    /// connector, spreads checks that were made together.
    pub(crate) fn next(
        self,
        seq: i64,
        checked_at: Timestamp,
        failures: i64,
        fresh_for: Option<Duration>,
    ) -> Timestamp {
        let fresh_for = fresh_for.filter(|_| failures == 0).map_or(0, fresh_micros);
        let interval = self.backoff(failures).max(fresh_for);
        // Spreads the numbers evenly (Knuth, The Art of Computer Programming, section 6.4).
        let mixed = (seq ^ checked_at.0).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
        let thousandths = mixed.rem_euclid(201) - 100;
        let jitter = interval / 1000 * thousandths;
        let mut after = interval.saturating_add(jitter);
        if fresh_for > self.backoff(failures) {
            after = after.min(fresh_micros(LONGEST_FRESH));
        }
        Timestamp(checked_at.0.saturating_add(after))
    }

    /// Returns the latest time of [`Schedule::next`] for a check at `now`, if the server does not lengthen its
    /// interval.
    pub fn latest(self, now: Timestamp, failures: i64) -> Timestamp {
        let interval = self.backoff(failures);
        Timestamp(now.0.saturating_add(interval).saturating_add(interval / 10))
    }

    /// Returns the interval in microseconds.
    fn backoff(self, failures: i64) -> i64 {
        let doublings = u32::try_from(failures).map_or(BACKOFFS, |failures| failures.min(BACKOFFS));
        let interval = i64::try_from(self.interval.as_micros()).unwrap_or(i64::MAX / 64);
        interval.saturating_mul(1 << doublings)
    }
}

/// Returns the microseconds by which a server can postpone its next check.
pub(crate) fn fresh_micros(fresh_for: Duration) -> i64 {
    let micros = fresh_for.min(LONGEST_FRESH).as_micros();
    i64::try_from(micros).unwrap_or_default()
}

/// Limits changes of a connector's stored tools: [`BURST`](Self::BURST) in a row, then one in [`EVERY`](Self::EVERY). A
/// generic cell rate algorithm, whose state is one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToolChanges {
    /// The time at which no change counts any more.
    settle_at: Option<Timestamp>,
}

impl ToolChanges {
    /// Changes in a row that are stored at once.
    pub(crate) const BURST: u32 = 3;
    /// The time after which one change no longer counts.
    pub(crate) const EVERY: Duration = Duration::from_mins(10);
    /// The largest difference of clocks between processes.
    const SKEW: Duration = Duration::from_secs(1);

    pub(crate) fn new(settle_at: Option<Timestamp>) -> Self {
        Self { settle_at }
    }

    /// Counts a change. If it exceeds the limit, returns the time at which it may be stored.
    pub(crate) fn count(self, now: Timestamp) -> Result<Timestamp, Timestamp> {
        let latest = now.saturating_add(Self::EVERY * Self::BURST + Self::SKEW);
        // A time beyond what changes can cause comes from a clock that was set.
        let plausible = latest.saturating_add(Self::EVERY);
        let settle_at = self.settle_at.filter(|at| (now..=plausible).contains(at));
        let settle_at = settle_at.unwrap_or(now).saturating_add(Self::EVERY);
        if settle_at <= latest {
            return Ok(settle_at);
        }
        Err(settle_at.saturating_sub(Self::EVERY * Self::BURST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_tools_are_damped() {
        let mut changes = ToolChanges::new(None);
        let mut now = Timestamp(1_000_000 * MINUTE);
        for _ in 0..ToolChanges::BURST {
            changes = ToolChanges::new(changes.count(now).ok());
        }
        let again = changes.count(now).unwrap_err();
        assert_eq!(again, Timestamp(now.0 + 10 * MINUTE));
        assert!(changes.count(Timestamp(again.0 - 2_000_000)).is_err());
        assert!(changes.count(Timestamp(now.0 - 1)).is_err());
        // One change in ten minutes, without end.
        let mut kept = 0;
        for _ in 0..600 {
            now = Timestamp(now.0 + MINUTE);
            if let Ok(settle_at) = changes.count(now) {
                changes = ToolChanges::new(Some(settle_at));
                kept += 1;
            }
        }
        assert_eq!(kept, 60);
        // A clock that was set back delays nothing.
        assert!(changes.count(Timestamp(MINUTE)).is_ok());
    }

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn what_fails_is_checked_less_and_less() {
        let schedule = Schedule {
            interval: Duration::from_mins(1),
            history: 10,
        };
        for (failures, intervals) in [(0, 1), (1, 2), (2, 4), (4, 16), (5, 16), (i64::MAX, 16)] {
            for seq in 0..1000 {
                let next = schedule.next(seq, Timestamp(7), failures, None).0 - 7;
                let off = next - intervals * MINUTE;
                assert!(
                    off.abs() <= intervals * MINUTE / 10,
                    "{failures} {seq}: {off}"
                );
                let latest = schedule.latest(Timestamp(7), failures);
                assert!(Timestamp(next + 7) <= latest, "{failures} {seq}");
            }
        }
    }

    #[test]
    fn a_server_lengthens_its_interval_up_to_a_day() {
        let schedule = Schedule {
            interval: Duration::from_hours(1),
            history: 10,
        };
        for (failures, fresh_for, hours) in [
            (0, None, 1),
            (0, Some(Duration::ZERO), 1),
            (0, Some(Duration::from_millis(1)), 1),
            (0, Some(Duration::from_hours(5)), 5),
            (0, Some(Duration::from_hours(25)), 24),
            (0, Some(Duration::MAX), 24),
            (1, Some(Duration::MAX), 2),
        ] {
            let next = schedule.next(1, Timestamp(0), failures, fresh_for).0;
            let off = next - hours * 60 * MINUTE;
            assert!(off.abs() <= hours * 6 * MINUTE, "{fresh_for:?}: {next}");
        }
        // A longer interval of the operator stays.
        let schedule = Schedule {
            interval: Duration::from_hours(48),
            history: 10,
        };
        let next = schedule.next(1, Timestamp(0), 0, Some(Duration::MAX)).0;
        assert!(next > 40 * 60 * MINUTE);
    }

    #[test]
    fn those_that_were_checked_together_are_not_due_together() {
        let schedule = Schedule {
            interval: Duration::from_mins(1),
            history: 10,
        };
        let mut tenths = [0; 10];
        for seq in 0..1000 {
            let next = schedule.next(seq, Timestamp(0), 0, None).0;
            let tenth = (next - MINUTE * 9 / 10) * 10 / (MINUTE / 5 + 1);
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|count| (60..=140).contains(count)),
            "{tenths:?}"
        );
    }
}
