//! Errors of a database's driver: what an error code says of the session, the connection and the transaction.

use std::{borrow::Cow, io};

/// A server or a disk did not answer by the end that this process has for it.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

/// The session was given up before.
pub(crate) fn given_up() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::NotConnected.into())
}

/// Whether nothing more can be said in the session after this error.
pub(crate) fn breaks_session(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        error => code(error).is_some_and(|code| ends_connection(&code)),
    }
}

/// PostgreSQL, appendix A: `serialization_failure`, which is a conflict with a standby's recovery too, and
/// `deadlock_detected`.
pub(crate) fn is_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// PostgreSQL, appendix A: `duplicate_prepared_statement` and `invalid_sql_statement_name`. Statements of ours are prepared
/// once in a session, unless it is not ours alone.
pub(crate) fn mixes_sessions(code: &str) -> bool {
    matches!(code, "42P05" | "26000")
}

/// Whether a connection was refused for the settings that it began with, as poolers do: `protocol_violation` of `PgBouncer`, and
/// `feature_not_supported` of Amazon's.
pub(crate) fn refuses_startup_options(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    match error.code().as_deref() {
        Some("08P01") => error.message().contains("startup parameter"),
        Some("0A000") => error.message().contains("options"),
        _ => false,
    }
}

/// Whether a pooler gives a session for no longer than a statement.
pub(crate) fn refuses_transactions(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.message().contains("statement pooling"))
}

/// PostgreSQL's five characters, or the number of an SQLite result code.
pub(crate) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// PostgreSQL, appendix A: `connection_exception`, `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`, and the timeouts
/// that end a session: `idle_in_transaction_session_timeout` and `idle_session_timeout`.
fn ends_connection(code: &str) -> bool {
    const STATES: [&str; 5] = ["57P01", "57P02", "57P03", "25P03", "57P05"];
    code.len() == 5 && code.starts_with("08") || STATES.contains(&code)
}

/// PostgreSQL, appendix A.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_lost_connections() {
        for code in ["08006", "57P01", "57P02", "57P03", "25P03", "57P05"] {
            assert!(ends_connection(code), "{code}");
        }
        // query_canceled, database_dropped; PROTOCOL
        for code in ["57014", "57P04", "08", "8", ""] {
            assert!(!ends_connection(code), "{code}");
        }
    }
}
