//! Time limits of transactions and statements. PostgreSQL enforces some; this process enforces others, for when
//! PostgreSQL is unreachable.
//!
//! Invariant: no important setting is left to the defaults of a role, a database or a server.

use std::{fmt::Write, time::Duration};

use crate::config::DatabaseSettings;

/// The longest time that PostgreSQL waits for a write's next statement before it ends the session and frees its locks.
///
/// A replica that hangs in a write holds the lock of all writes. The others wait at most this long for it.
const IDLE_IN_WRITE: Duration = Duration::from_secs(3);

/// Keepalives by which PostgreSQL ends a session that the network dropped, in seconds.
const KEEPALIVE_OF_SESSION: &str =
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// The longest time that PostgreSQL waits in a write for a client that reads no result, before it ends the session.
const UNREAD_IN_WRITE: Duration = Duration::from_secs(3);

/// Keepalives by which PostgreSQL detects a lost client, in seconds. If the network fails between two messages of a
/// statement, none of its other limits applies.
const KEEPALIVE_IN_WRITE: &str = "SET LOCAL tcp_keepalives_idle = 2; SET LOCAL tcp_keepalives_interval = 1; \
    SET LOCAL tcp_keepalives_count = 2";

/// A commit is on disk before it is acknowledged. Stronger settings are the operator's choice.
const KEPT: &str = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = \
                    'off'";

/// The longest time of a write after it has its lock, on PostgreSQL 17 and later.
const WRITE_LASTS: Duration = Duration::from_mins(1);

/// The time after PostgreSQL's own limit at which this process abandons a statement.
const GRACE: Duration = Duration::from_secs(2);

/// The time limit of a write's statement, beyond the wait for a lock.
const WRITE_END: Duration = Duration::from_secs(15);

/// The time limit of a read-only statement in a command, which has no request timeout.
const COMMAND_END: Duration = Duration::from_mins(10);

/// The first version with `transaction_timeout`, as `server_version_num`.
const TRANSACTION_TIMEOUT_SINCE: u32 = 170_000;

/// The limits of transactions and statements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest wait for a connection, or for another's lock.
    pub(crate) wait: Duration,
    /// The `statement_timeout` of reads.
    read_timeout: Option<Duration>,
}

impl Limits {
    pub(crate) fn new(settings: &DatabaseSettings) -> Self {
        Self {
            wait: settings.wait,
            read_timeout: settings.read_timeout,
        }
    }

    /// Replaces the `statement_timeout` of reads.
    pub(crate) fn with_read_timeout(self, read_timeout: Duration) -> Self {
        Self {
            read_timeout: Some(read_timeout),
            ..self
        }
    }

    /// Returns the time after which this process abandons a read.
    pub(crate) fn read_end(self) -> Duration {
        self.read_timeout.map_or(COMMAND_END, |time| time + GRACE)
    }

    /// Returns the time after which this process abandons a statement of a write.
    pub(crate) fn write_end(self) -> Duration {
        self.wait + WRITE_END
    }

    /// Returns the time after which this process abandons the start of a transaction, because a pooler may delay it
    /// until a session is free.
    pub(crate) fn begin_end(self) -> Duration {
        self.wait
    }

    /// Returns the first statements of an unshared session.
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

    /// Returns the statements that begin a read transaction. In a snapshot, all statements see the state of the first
    /// one, and it may be idle between them.
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

    /// Returns the longest idle time of a read transaction, because a pooler's session is shared. All statements of a
    /// response run within the request timeout; zero means no limit.
    fn idle_in_read(self, is_snapshot: bool) -> Option<Duration> {
        if is_snapshot {
            self.read_timeout
        } else {
            Some(IDLE_IN_WRITE)
        }
    }

    /// Limits a read's time, whatever it waits for, and plans it once for all parameters.
    fn read_settings(self, set: &str) -> String {
        // Zero means no limit.
        let millis = self.read_timeout.map_or(0, millis);
        format!(
            "{set} statement_timeout = {millis}; {set} lock_timeout = 0; {set} plan_cache_mode = force_generic_plan"
        )
    }

    /// Shortens the wait for a lock.
    pub(crate) fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Returns the statements that begin a write transaction.
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

    /// Limits a write's wait for locks. The statement itself has no limit: if a timeout ended a COMMIT that waits for a
    /// synchronous standby, it would look like success. The planner is PostgreSQL's default.
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

    /// Returns the settings of a migration. It waits for another process's migrations without limit. Its wait for a
    /// table is limited, because a change that waits for readers blocks all later ones.
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

/// Returns a time in PostgreSQL's form, from 1 to the largest `integer`.
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
