//! What a database says when something goes wrong, in our words.
//!
//! Invariant: the text of a database's error is read here and in `opening`, and leaves only as a cause for the log, or for the
//! operator of a command.

use std::{borrow::Cow, sync::OnceLock};

use sea_orm::{DbErr, RuntimeErr, SqlErr};

use crate::{
    error::{Code, Error, UserError, UserErrorCode, chain},
    store::database::unwritable::Unwritable,
};

/// The error that a database's failure is to a client: something of ours, no connection, or a wait that was too long.
pub(in crate::store) fn failed(error: DbErr) -> Error {
    if let Some(cause) = of_statement(&error) {
        if code(cause).is_some_and(|code| is_damage(&code)) {
            found_damaged(cause);
            return unavailable(Unwritable::Damaged).caused_by(error);
        }
        if let Some(reason) = unwritable(cause) {
            return unavailable(reason).caused_by(error);
        }
    }
    if has_no_connection(&error) {
        return no_connection(error);
    }
    if waited_too_long(&error) {
        return too_long(error);
    }
    if is_hindered(&error) {
        let message = "the database cannot do that now: try again in a while";
        return Error::new(Code::Unavailable, message).caused_by(error);
    }
    Error::internal(error)
}

/// The same of the room that reads SQLite.
pub(in crate::store) fn of_sqlite(error: rusqlite::Error) -> Error {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if code.is_some_and(is_sqlite_damage) {
        found_damaged(&error);
        return unavailable(Unwritable::Damaged).caused_by(error);
    }
    match code {
        Some(code) if is_sqlite_wait(code) => too_long(error),
        Some(code) => match unwritable_sqlite(code) {
            Some(reason) => unavailable(reason).caused_by(error),
            None => Error::internal(error),
        },
        None => Error::internal(error),
    }
}

/// The error of a write where writes cannot succeed.
pub(in crate::store) fn unavailable(reason: Unwritable) -> Error {
    let message = match reason {
        Unwritable::Configured => format!("{reason}: it takes no changes"),
        Unwritable::DiskFull | Unwritable::Disk => format!("{reason}: try again in a while"),
        _ => format!("{reason}: its operator must act"),
    };
    Error::new(Code::Unavailable, message)
}

/// The same where SeaORM's error is asked for. [`failed`] makes the first of it again.
pub(in crate::store) fn refused(reason: Unwritable) -> DbErr {
    let error = sqlx::Error::AnyDriverError(Box::new(reason));
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// Why writes cannot succeed, where an error says so.
pub(in crate::store) fn unwritable(error: &sqlx::Error) -> Option<Unwritable> {
    if let sqlx::Error::AnyDriverError(error) = error {
        return error.downcast_ref().copied();
    }
    let code = code(error)?;
    if code.len() != 5 {
        return unwritable_sqlite(code.parse().ok()?);
    }
    // PostgreSQL, appendix A: `read_only_sql_transaction`, `insufficient_privilege`, `disk_full`, `io_error`.
    match &*code {
        "25006" => Some(Unwritable::ReadOnly),
        "42501" => Some(Unwritable::Denied),
        "53100" => Some(Unwritable::DiskFull),
        "58030" => Some(Unwritable::Disk),
        _ => None,
    }
}

/// <https://www.sqlite.org/rescode.html>: an extended code's lowest byte is its primary code.
fn unwritable_sqlite(code: i32) -> Option<Unwritable> {
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    match code & 0xff {
        READONLY => Some(Unwritable::ReadOnly),
        FULL => Some(Unwritable::DiskFull),
        IOERR | CANTOPEN => Some(Unwritable::Disk),
        _ => None,
    }
}

pub(in crate::store) fn no_connection(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let message = "there is no connection to the database: try again in a while";
    Error::new(Code::Unavailable, message).caused_by(cause)
}

fn too_long(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = "the database took too long to answer: try again in a while";
    Error::new(Code::Timeout, message).caused_by(cause)
}

/// None was free in time, none could be made, or it broke.
fn has_no_connection(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        error => of_statement(error).is_some_and(|error| match error {
            sqlx::Error::Io(_) => true,
            error => code(error).is_some_and(|code| ends_connection(&code)),
        }),
    }
}

/// By other transactions, or for want of the server's resources.
fn is_hindered(error: &DbErr) -> bool {
    /// PostgreSQL, appendix A: `serialization_failure`, `deadlock_detected`, and the class `insufficient_resources`.
    const STATES: [&str; 3] = ["40001", "40P01", "53"];
    let code = of_statement(error).and_then(code);
    code.is_some_and(|code| code.len() == 5 && STATES.iter().any(|state| code.starts_with(state)))
}

/// For a lock, or a statement's end.
fn waited_too_long(error: &DbErr) -> bool {
    of_statement(error)
        .is_some_and(|error| matches!(error, sqlx::Error::PoolTimedOut) || is_locked(error))
}

fn of_statement(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// PostgreSQL, appendix A: `connection_exception`, `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`, and the timeouts
/// that end a session: `idle_in_transaction_session_timeout` and `idle_session_timeout`.
fn ends_connection(code: &str) -> bool {
    const STATES: [&str; 5] = ["57P01", "57P02", "57P03", "25P03", "57P05"];
    code.len() == 5 && code.starts_with("08") || STATES.contains(&code)
}

/// Whether a database says that another holds what is asked for, or that it was told to end.
pub(in crate::store) fn is_locked(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| is_wait(&code))
}

fn is_wait(code: &str) -> bool {
    /// PostgreSQL, appendix A: `query_canceled` and `lock_not_available`. Their five characters are no SQLite code.
    const STATES: [&str; 2] = ["57014", "55P03"];
    if code.len() == 5 {
        return STATES.contains(&code);
    }
    code.parse().is_ok_and(is_sqlite_wait)
}

/// <https://www.sqlite.org/rescode.html>: an extended code's lowest byte is its primary code.
fn is_sqlite_wait(code: i32) -> bool {
    const BUSY: i32 = 5;
    const INTERRUPT: i32 = 9;
    matches!(code & 0xff, BUSY | INTERRUPT)
}

/// What the first statement said that came upon damage. One for the process, which serves one database: statements fail in too
/// many places to have each know which it was.
static DAMAGE: OnceLock<String> = OnceLock::new();

pub(in crate::store) fn damage() -> Option<String> {
    DAMAGE.get().cloned()
}

fn found_damaged(cause: &(dyn std::error::Error + 'static)) {
    let cause = chain(cause);
    if DAMAGE.set(cause.clone()).is_ok() {
        tracing::error!(
            cause,
            "the database is damaged: run check-database, and restore a backup"
        );
    }
}

fn is_damage(code: &str) -> bool {
    /// PostgreSQL, appendix A: `data_corrupted` and `index_corrupted`.
    const STATES: [&str; 2] = ["XX001", "XX002"];
    if code.len() == 5 {
        return STATES.contains(&code);
    }
    code.parse().is_ok_and(is_sqlite_damage)
}

/// <https://www.sqlite.org/rescode.html>: CORRUPT and NOTADB, of which an index that is damaged is one too.
fn is_sqlite_damage(code: i32) -> bool {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    matches!(code & 0xff, CORRUPT | NOT_A_DATABASE)
}

/// The unique constraints of `personal_connector` and the fields that they are about.
const UNIQUE: [(&str, &str); 4] = [
    ("personal_connector_organization_name_key", "name"),
    ("personal_connector_creator_name_key", "name"),
    ("personal_connector_connector_id_key", "connectorId"),
    ("personal_connector.connector_id", "connectorId"),
];

/// The user error for a name or connectorId that somebody took first.
pub fn taken(field: &'static str) -> UserError {
    UserError::new(
        UserErrorCode::Taken,
        field,
        format!("{field} is taken by another connector"),
    )
}

/// The user error that a refused write stands for, when a constraint refused it.
pub(in crate::store) fn violation(error: &DbErr) -> Option<UserError> {
    let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() else {
        return None;
    };
    UNIQUE
        .iter()
        .find(|(constraint, _)| message.contains(constraint))
        .map(|(_, field)| taken(field))
}

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

    #[test]
    fn codes_of_damage() {
        for code in ["XX001", "XX002", "11", "267", "779", "26"] {
            assert!(is_damage(code), "{code}");
        }
        // internal_error, PROTOCOL_VIOLATION; BUSY, FULL, IOERR_READ
        for code in ["XX000", "08P01", "5", "13", "266", ""] {
            assert!(!is_damage(code), "{code}");
        }
    }

    #[test]
    fn codes_of_waits() {
        for code in ["57014", "55P03", "5", "261", "517", "773", "9"] {
            assert!(is_wait(code), "{code}");
        }
        // unique_violation, deadlock_detected; CONSTRAINT_UNIQUE, IOERR, CORRUPT
        for code in ["23505", "40P01", "2067", "10", "11", ""] {
            assert!(!is_wait(code), "{code}");
        }
    }
}
