//! The result of inspecting an MCP server, and the schedule of the next check.
//!
//! Invariant: what a server says of itself is bounded before it gets here, and nobody vouches for it.

use std::time::Duration;

pub use entity::{Outcome, Transport};
use entity::{ServerType, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{self, Error};

/// Tools that are kept of a server at most.
pub(crate) const TOOLS: usize = 1000;

/// Bytes of the texts of all tools that are kept of a server.
pub(crate) const TOOLS_BYTES: usize = 256 * 1024;

/// Bytes of a tool's name that are kept: twice what a name should have (MCP 2025-11-25, Tools, Tool Names).
pub(crate) const TOOL_NAME_BYTES: usize = 256;

/// Outcomes of servers that are there, and work for whoever may use them.
pub(crate) const ALIVE: [Outcome; 2] = [Outcome::Open, Outcome::AuthRequired];

/// The longest window that an uptime is of: a year.
const WINDOW_HOURS: u64 = 8760;

/// Doublings of the interval after failures, at most.
pub(crate) const BACKOFFS: u32 = 4;

/// The longest interval that a server can ask for.
pub(crate) const LONGEST_FRESH: Duration = Duration::from_hours(24);

/// A tool that a server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Unlike the others' of the server.
    pub name: String,
    /// The name for people; none if there is none, or if there is no room for it.
    pub title: Option<String>,
    /// None if there is none, or if there is no room for it.
    pub description: Option<String>,
    /// JSON; none if there is none, if it is larger than the limit, or if the other tools leave no bytes for it.
    pub input_schema: Option<String>,
    /// JSON; none if there is none, if it is larger than the limit, or if the other tools leave no bytes for it.
    pub output_schema: Option<String>,
    /// JSON: the server's own hints of what the tool does (MCP, `ToolAnnotations`).
    pub annotations: Option<String>,
}

impl Tool {
    /// Bytes of its texts.
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
    /// URLs, as they were sent: https ones, and images in `data:` URLs.
    pub icons: Vec<String>,
}

/// The result of inspecting a server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The state that the server was found in.
    pub outcome: Outcome,
    /// The outcome in words, for people; nothing of it is the server's own.
    pub message: String,
    /// When the inspection began.
    pub checked_at: Timestamp,
    /// Milliseconds until the server had answered `server/discover` or `initialize`, by the transport that worked.
    pub latency_ms: Option<u64>,
    /// How it was spoken to.
    pub transport: Option<Transport>,
    /// The revision of MCP that is spoken, such as `2025-11-25`.
    pub protocol_version: Option<String>,
    /// None also where a server does not name itself.
    pub server_info: Option<ServerInfo>,
    /// How to use it, for models.
    pub instructions: Option<String>,
    /// The names of what it declares: `tools`, `resources`, `prompts`, …
    pub capabilities: Vec<String>,
    /// The settings of the extensions that it declares, by their names: a JSON object. None if there are none or more than are kept.
    pub extensions: Option<String>,
    /// The tools that the server lists, within bounds: at most 1,000, with 256 KiB of text in all.
    pub tools: Vec<Tool>,
    /// Tools that the server lists and that are not in `tools`, since they have no name or one that was listed before.
    pub tools_left_out: usize,
    /// Whether those are its tools, as far as any are kept: not where it could not be asked, or broke off.
    pub tools_listed: bool,
    /// Resources that the server lists, counted up to the limit; none if it offers no resources.
    pub resource_count: Option<usize>,
    /// Prompts that the server lists, counted up to the limit; none if it offers no prompts.
    pub prompt_count: Option<usize>,
    /// The issuers that it takes tokens of (RFC 9728), where it asks for a sign-in.
    pub authorization_servers: Vec<String>,
    /// How long the server's description and tools stay as they are, as it says (MCP 2026-07-28, `ttlMs`).
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
    /// When the first check in a row found the outcome.
    pub(crate) since: Timestamp,
    pub(crate) message: String,
    pub(crate) checked_at: Timestamp,
    pub(crate) latency_ms: Option<i64>,
    pub(crate) transport: Option<Transport>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) server_info: Option<ServerInfo>,
    pub(crate) extensions: Option<String>,
    pub(crate) authorization_servers: Vec<String>,
    /// When the tools that are kept were listed; none if they never were, or if nobody noted it.
    pub(crate) tools_checked_at: Option<Timestamp>,
    /// When the next check is due; none if there is nothing to check.
    pub(crate) next_check_at: Option<Timestamp>,
}

/// When a window of so many hours began that ends now. `BAD_USER_INPUT` names the argument.
pub(crate) fn window(hours: i32, now: Timestamp) -> error::Result<Timestamp> {
    duration(hours).map(|duration| now.saturating_sub(duration))
}

/// The length of a window of so many hours. `BAD_USER_INPUT` names the argument.
pub(crate) fn duration(hours: i32) -> error::Result<Duration> {
    let message = || format!("hours must be from 1 to {WINDOW_HOURS}");
    match u64::try_from(hours) {
        Ok(hours @ 1..=WINDOW_HOURS) => Ok(Duration::from_hours(hours)),
        Ok(hours) if hours > WINDOW_HOURS => Err(Error::beyond(message(), WINDOW_HOURS, hours)),
        _ => Err(Error::bad_user_input(message())),
    }
}

/// Whether there is a server, and it works for whoever may use it.
pub(crate) fn is_alive(outcome: Outcome) -> bool {
    ALIVE.contains(&outcome)
}

/// Whether MCP has deprecated a transport (MCP 2026-07-28, Deprecated Features).
pub(crate) fn is_deprecated(transport: Transport) -> bool {
    transport == Transport::Sse
}

/// An outcome as clients know it.
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

/// Whether there is anything to call.
pub(crate) fn is_checkable(server_url: Option<&str>, server_type: Option<ServerType>) -> bool {
    server_url.is_some() && server_type != Some(ServerType::Stdio)
}

/// When connectors are checked, and how much of that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From one check of a connector to the next.
    pub interval: Duration,
    /// Checks of a connector that are kept.
    pub history: u32,
}

impl Schedule {
    /// When a connector is due again after so many failures in a row: each doubles the interval, up to sixteen times it. Without
    /// failures, a server that stays as it is for longer lengthens it. A tenth of it more or less, which differs from one connector
    /// to the next, spreads those that were checked together.
    pub(crate) fn next(
        self,
        seq: i64,
        checked_at: Timestamp,
        failures: i64,
        fresh_for: Option<Duration>,
    ) -> Timestamp {
        let fresh_for = fresh_for.filter(|_| failures == 0).map_or(0, fresh_micros);
        let interval = self.backoff(failures).max(fresh_for);
        // Splits the numbers evenly (Knuth, The Art of Computer Programming, section 6.4).
        let mixed = (seq ^ checked_at.0).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
        let thousandths = mixed.rem_euclid(201) - 100;
        let jitter = interval / 1000 * thousandths;
        let mut after = interval.saturating_add(jitter);
        if fresh_for > self.backoff(failures) {
            after = after.min(fresh_micros(LONGEST_FRESH));
        }
        Timestamp(checked_at.0.saturating_add(after))
    }

    /// The latest that [`Schedule::next`] gives for a check at `now` of a server that does not lengthen its interval.
    pub fn latest(self, now: Timestamp, failures: i64) -> Timestamp {
        let interval = self.backoff(failures);
        Timestamp(now.0.saturating_add(interval).saturating_add(interval / 10))
    }

    /// Microseconds.
    fn backoff(self, failures: i64) -> i64 {
        let doublings = u32::try_from(failures).map_or(BACKOFFS, |failures| failures.min(BACKOFFS));
        let interval = i64::try_from(self.interval.as_micros()).unwrap_or(i64::MAX / 64);
        interval.saturating_mul(1 << doublings)
    }
}

/// The microseconds by which a server can put off its next check.
pub(crate) fn fresh_micros(fresh_for: Duration) -> i64 {
    let micros = fresh_for.min(LONGEST_FRESH).as_micros();
    i64::try_from(micros).unwrap_or_default()
}

/// How often the tools that are kept of a connector change: [`BURST`](Self::BURST) times in a row, and once in
/// [`EVERY`](Self::EVERY) then. A generic cell rate algorithm, whose state is one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToolChanges {
    /// When all changes are forgotten.
    settle_at: Option<Timestamp>,
}

impl ToolChanges {
    /// Changes in a row that are kept at once.
    pub(crate) const BURST: u32 = 3;
    /// The time in which one change is forgotten.
    pub(crate) const EVERY: Duration = Duration::from_mins(10);
    /// Clocks of processes differ by so much.
    const SKEW: Duration = Duration::from_secs(1);

    pub(crate) fn new(settle_at: Option<Timestamp>) -> Self {
        Self { settle_at }
    }

    /// Counts a change. If it is one too many, returns when it may be kept.
    pub(crate) fn count(self, now: Timestamp) -> Result<Timestamp, Timestamp> {
        let latest = now.saturating_add(Self::EVERY * Self::BURST + Self::SKEW);
        // A time that is much further off than changes can have made it is of a clock that was set.
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
        // One in ten minutes, for ever.
        let mut kept = 0;
        for _ in 0..600 {
            now = Timestamp(now.0 + MINUTE);
            if let Ok(settle_at) = changes.count(now) {
                changes = ToolChanges::new(Some(settle_at));
                kept += 1;
            }
        }
        assert_eq!(kept, 60);
        // A clock that was set back holds nothing up.
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
        // An interval of the operator's that is longer stays.
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
