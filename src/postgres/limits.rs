//! Limits of transactions and statements: those that PostgreSQL keeps, and those that this process keeps where PostgreSQL
//! cannot be reached.
//!
//! Invariant: nothing that matters is left to the defaults of a role, a database or a server.

use std::{fmt::Write, time::Duration};

use crate::config::DatabaseSettings;

/// How long PostgreSQL waits for the next statement of a write before it ends the session and frees its locks.
///
/// A replica that hangs in a write holds the lock that all writes take. The others wait at most so long for it.
const IDLE_IN_WRITE: Duration = Duration::from_secs(3);

/// PostgreSQL ends a session that the network swallowed. In seconds.
const KEEPALIVE_OF_SESSION: &str =
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// How long PostgreSQL waits in a write for a client that takes nothing of a result, before it ends the session.
const UNREAD_IN_WRITE: Duration = Duration::from_secs(3);

/// PostgreSQL asks whether the client's machine is there. Where the network is cut between two messages of one statement, it waits for
/// the next one, and none of its own limits runs. In seconds.
const KEEPALIVE_IN_WRITE: &str = "SET LOCAL tcp_keepalives_idle = 2; SET LOCAL tcp_keepalives_interval = 1; \
    SET LOCAL tcp_keepalives_count = 2";

/// A commit is on the disk before it is acknowledged. Stronger settings are the operator's choice.
const KEPT: &str = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// The longest that a write may take in all once it has its lock, on PostgreSQL 17 and later.
const WRITE_LASTS: Duration = Duration::from_mins(1);

/// How much later than PostgreSQL's own limit this process gives a statement up.
const GRACE: Duration = Duration::from_secs(2);

/// The end of a statement of a write beyond the wait for a lock.
const WRITE_END: Duration = Duration::from_secs(15);

/// The end of a statement that only reads, of a command that has no request timeout.
const COMMAND_END: Duration = Duration::from_mins(10);

/// The first version with `transaction_timeout`, as `server_version_num`.
const TRANSACTION_TIMEOUT_SINCE: u32 = 170_000;

/// The limits of transactions and statements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long to wait for a connection, or for another's lock.
    pub(crate) wait: Duration,
    /// `statement_timeout` of reads.
    read_timeout: Option<Duration>,
}

impl Limits {
    pub(crate) fn new(settings: &DatabaseSettings) -> Self {
        Self {
            wait: settings.wait,
            read_timeout: settings.read_timeout,
        }
    }

    /// The same, with another `statement_timeout` of reads.
    pub(crate) fn with_read_timeout(self, read_timeout: Duration) -> Self {
        Self {
            read_timeout: Some(read_timeout),
            ..self
        }
    }

    /// The time after which this process gives up a statement that reads.
    pub(crate) fn read_end(self) -> Duration {
        self.read_timeout.map_or(COMMAND_END, |time| time + GRACE)
    }

    /// The time after which this process gives up a statement of a write.
    pub(crate) fn write_end(self) -> Duration {
        self.wait + WRITE_END
    }

    /// The time after which this process gives up the beginning of a transaction: a pooler may have it wait for a session.
    pub(crate) fn begin_end(self) -> Duration {
        self.wait
    }

    /// Statements that a session of ours alone begins with.
    pub(crate) fn of_session(self, version: Option<u32>) -> String {
        let mut session = format!(
            "SET default_transaction_isolation = 'read committed'; {}; {KEEPALIVE_OF_SESSION}",
            self.read_settings("SET")
        );
        if has_transaction_timeout(version) {
            session += "; SET transaction_timeout = 0";
        }
        session
    }

    /// The beginning of a transaction that reads. A snapshot has all its statements see what the first of them sees; it may
    /// stay idle between them.
    pub(crate) fn begin_read(self, is_snapshot: bool, version: Option<u32>) -> String {
        let isolation = if is_snapshot {
            "REPEATABLE READ"
        } else {
            "READ COMMITTED"
        };
        let mut begin = format!(
            "BEGIN ISOLATION LEVEL {isolation}, READ ONLY; {}; SET LOCAL idle_in_transaction_session_timeout = {}",
            self.read_settings("SET LOCAL"),
            self.idle_in_read(is_snapshot).map_or(0, millis)
        );
        if has_transaction_timeout(version) {
            begin += "; SET LOCAL transaction_timeout = 0";
        }
        begin
    }

    /// How long a transaction that reads may be idle: behind a pooler its session is everybody's. An answer has all its statements
    /// within the request timeout; zero is without end.
    fn idle_in_read(self, is_snapshot: bool) -> Option<Duration> {
        if is_snapshot {
            self.read_timeout
        } else {
            Some(IDLE_IN_WRITE)
        }
    }

    /// A read ends in time, by whatever it waits for, and is planned once for all parameters.
    fn read_settings(self, set: &str) -> String {
        // Zero is without end.
        let millis = self.read_timeout.map_or(0, millis);
        format!(
            "{set} statement_timeout = {millis}; {set} lock_timeout = 0; {set} plan_cache_mode = force_generic_plan"
        )
    }

    /// The same, with less time to wait for a lock.
    pub(crate) fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The beginning of a transaction that writes.
    pub(crate) fn begin_write(self, version: Option<u32>) -> String {
        let lasts = millis(self.wait + WRITE_LASTS);
        let mut begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {}",
            self.write_settings()
        );
        if has_transaction_timeout(version) {
            let _ = write!(begin, "; SET LOCAL transaction_timeout = {lasts}");
        }
        begin
    }

    /// A write waits so long for another's lock. The statement itself is not cut, and planned as PostgreSQL likes: a COMMIT
    /// that a timeout ends while it waits for a synchronous standby would look like success.
    fn write_settings(self) -> String {
        format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {}; \
            SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL tcp_user_timeout = {}; {KEEPALIVE_IN_WRITE}; \
            SET LOCAL plan_cache_mode = DEFAULT; {KEPT}",
            millis(self.wait),
            IDLE_IN_WRITE.as_millis(),
            UNREAD_IN_WRITE.as_millis(),
        )
    }

    /// The settings of a transaction that migrates. It waits for another process's migrations as long as they take; then, a
    /// change of a table that waits for its readers holds up all that come after it.
    pub(crate) fn of_migration(self, lock: i64, version: Option<u32>) -> String {
        let lasts = if has_transaction_timeout(version) {
            "SET LOCAL transaction_timeout = 0; "
        } else {
            ""
        };
        format!(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; \
            SET LOCAL lock_timeout = 0; {lasts}SELECT pg_advisory_xact_lock({lock}); {}",
            self.write_settings()
        )
    }
}

/// A time as PostgreSQL's settings have it: from 1 to the largest `integer`.
fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

fn has_transaction_timeout(version: Option<u32>) -> bool {
    version.is_some_and(|version| version >= TRANSACTION_TIMEOUT_SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_does_not_know_is_not_set() {
        let limits = Limits {
            wait: Duration::from_secs(5),
            read_timeout: None,
        };
        for (version, expected) in [(None, false), (Some(160_004), false), (Some(170_000), true)] {
            let all = [
                limits.begin_read(true, version),
                limits.of_session(version),
                limits.begin_write(version),
                limits.of_migration(1, version),
            ];
            let sets = |sql: &String| sql.contains("transaction_timeout");
            assert!(all.iter().all(|sql| sets(sql) == expected), "{version:?}");
        }
    }
}
