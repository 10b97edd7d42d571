//! Errors of the PostgreSQL driver, classified by their effect on the session, the connection and the transaction.

use std::{borrow::Cow, io};

/// A server or a disk did not answer within this process's time limit.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

/// The session was abandoned before.
pub(crate) fn given_up() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::NotConnected.into())
}

/// Returns whether the session is unusable after this error.
pub(crate) fn breaks_session(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        error => code(error).is_some_and(|code| ends_connection(&code)),
    }
}

/// PostgreSQL, appendix A: `serialization_failure`, which includes a conflict with a standby's recovery, and
/// `deadlock_detected`.
pub(crate) fn is_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// PostgreSQL, appendix A: `duplicate_prepared_statement` and `invalid_sql_statement_name`. A statement is prepared
/// once in a session, so either means that the session is shared.
pub(crate) fn mixes_sessions(code: &str) -> bool {
    matches!(code, "42P05" | "26000")
}

/// Returns whether a connection was refused for its startup options, as poolers do: `protocol_violation` by
/// `PgBouncer`, and `feature_not_supported` by Amazon's.
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

/// Returns whether a pooler changes the session after each statement.
pub(crate) fn refuses_transactions(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.message().contains("statement pooling"))
}

/// Returns PostgreSQL's five characters, or the number of an SQLite result code.
pub(crate) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// PostgreSQL, appendix A: `connection_exception`, `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`, and the
/// timeouts that end a session: `idle_in_transaction_session_timeout` and `idle_session_timeout`.
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
