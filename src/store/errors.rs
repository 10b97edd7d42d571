//! Errors of databases, translated into the service's own.
//!
//! Invariant: the text of a database's error is read only here and in `opening`. It leaves only as a cause for the log,
//! or for the operator of a command.

use std::{
    fmt, io,
    sync::{Once, OnceLock},
};

use sea_orm::{DbErr, RuntimeErr, SqlErr};

use crate::{
    error::{Code, Error, OPERATOR_ACTS, UserError, UserErrorCode, chain},
    postgres::errors::{LOCK_NOT_AVAILABLE, breaks_session, code, is_conflict, mixes_sessions},
    store::unwritable::Unwritable,
};

/// Converts a database error for clients: an internal error, no connection, or a wait that was too long.
pub(in crate::store) fn failed(error: DbErr) -> Error {
    if let Some(cause) = of_statement(&error) {
        if code(cause).is_some_and(|code| is_damage(&code)) {
            found_damaged(cause);
            return unavailable(Unwritable::Damaged).caused_by(error);
        }
        if let Some(reason) = unwritable(cause) {
            return unavailable(reason).caused_by(error);
        }
        if is_commit_unknown(cause) {
            let message = "the connection to the database broke at the end of the change: it may have been made or \
                           not. Read the connector before you try again; a create with an idempotencyKey can be sent \
                           again";
            return Error::unavailable(message).caused_by(error);
        }
        if code(cause).is_some_and(|code| mixes_sessions(&code)) {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                tracing::error!(
                    "the database's pooler mixes sessions: start the service with --database-pooler transaction"
                );
            });
            let message = "the database's pooler mixes sessions: the service's operator must act";
            return Error::unavailable(message)
                .retrying_after(OPERATOR_ACTS)
                .caused_by(error);
        }
    }
    if has_no_connection(&error) {
        return no_connection(error);
    }
    if is_lock_timeout(&error) {
        let message = "another session holds the database's lock: try again in a while";
        return Error::new(Code::Timeout, message).caused_by(error);
    }
    if waited_too_long(&error) {
        return too_long(error);
    }
    if is_hindered(&error) {
        let message = "the database cannot do that now: try again in a while";
        return Error::unavailable(message).caused_by(error);
    }
    Error::internal(error)
}

/// Converts an error of reading SQLite for clients, like [`failed`].
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

/// Returns the error of a write that cannot succeed.
pub(in crate::store) fn unavailable(reason: Unwritable) -> Error {
    let message = match reason {
        Unwritable::Configured => format!("{reason}: the service accepts no changes"),
        Unwritable::DiskFull | Unwritable::Disk | Unwritable::Locked | Unwritable::Blocked => {
            return Error::unavailable(format!("{reason}: try again in a while"));
        }
        _ => format!("{reason}: the service's operator must act"),
    };
    Error::unavailable(message).retrying_after(OPERATOR_ACTS)
}

/// The same as SeaORM's error, which [`failed`] converts back.
pub(in crate::store) fn refused(reason: Unwritable) -> DbErr {
    let error = sqlx::Error::AnyDriverError(Box::new(reason));
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// Returns whether the result of a COMMIT is unknown.
pub(in crate::store) fn is_commit_unknown(error: &sqlx::Error) -> bool {
    is::<CommitUnknown>(error)
}

/// A COMMIT was sent, and its result is unknown.
#[derive(Debug)]
struct CommitUnknown(sqlx::Error);

impl fmt::Display for CommitUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the result of a COMMIT is not known")
    }
}

impl std::error::Error for CommitUnknown {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Converts the error of a COMMIT, which may have succeeded if the session broke.
pub(in crate::store) fn of_commit(error: sqlx::Error) -> sqlx::Error {
    if breaks_session(&error) {
        return sqlx::Error::AnyDriverError(Box::new(CommitUnknown(error)));
    }
    error
}

/// Returns whether a read may succeed when repeated: others hindered it, or its connection had died.
pub(in crate::store) fn may_run_again(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
        error
    else {
        return false;
    };
    match &**cause {
        // Waiting twice for the time limit would take too long.
        sqlx::Error::Io(cause) => cause.kind() != io::ErrorKind::TimedOut,
        cause => breaks_session(cause) || code(cause).is_some_and(|code| is_conflict(&code)),
    }
}

/// Returns whether failed reads may succeed when all of them are repeated.
pub(crate) fn may_read_again(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<DbErr>());
    cause.is_some_and(may_run_again)
}

/// Returns whether another transaction made a transaction fail, so that repeating the whole of it may succeed.
pub(in crate::store) fn is_of_conflict(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<DbErr>());
    let code = cause.and_then(of_statement).and_then(code);
    code.is_some_and(|code| is_conflict(&code))
}

/// Returns whether a driver's error contains an error of this type.
fn is<T: std::error::Error + 'static>(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::AnyDriverError(error) if error.is::<T>())
}

/// Returns the reason that writes cannot succeed, if an error tells.
pub(in crate::store) fn unwritable(error: &sqlx::Error) -> Option<Unwritable> {
    if let sqlx::Error::AnyDriverError(error) = error {
        return error.downcast_ref().copied();
    }
    let code = code(error)?;
    if code.len() != 5 {
        let code = code.parse().ok()?;
        // A hanging process that holds SQLite's lock cannot be ended by another.
        return if is_sqlite_lock(code) {
            Some(Unwritable::Locked)
        } else {
            unwritable_sqlite(code)
        };
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
    Error::unavailable(message).caused_by(cause)
}

fn too_long(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = "the database took too long to answer: try again in a while";
    Error::new(Code::Timeout, message).caused_by(cause)
}

/// Returns whether no connection was free in time, none could be made, or it broke.
fn has_no_connection(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        error => of_statement(error).is_some_and(|error| match error {
            sqlx::Error::PoolTimedOut => false,
            error => breaks_session(error),
        }),
    }
}

/// Returns whether other transactions, or a lack of the server's resources, made the statement fail.
fn is_hindered(error: &DbErr) -> bool {
    // PostgreSQL, appendix A: the class `insufficient_resources`.
    let code = of_statement(error).and_then(code);
    code.is_some_and(|code| is_conflict(&code) || code.len() == 5 && code.starts_with("53"))
}

/// Returns whether the statement ran out of time, or waited too long for a lock or a connection.
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

/// Returns whether another session holds the lock, or the statement was cancelled.
pub(in crate::store) fn is_locked(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| is_wait(&code))
}

/// Returns whether a PostgreSQL transaction waited too long for another's lock.
pub(in crate::store) fn is_lock_timeout(error: &DbErr) -> bool {
    of_statement(error)
        .and_then(code)
        .is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

fn is_wait(code: &str) -> bool {
    /// PostgreSQL, appendix A: `query_canceled` and `lock_not_available`. Their five characters are no SQLite code.
    const STATES: [&str; 2] = ["57014", LOCK_NOT_AVAILABLE];
    if code.len() == 5 {
        return STATES.contains(&code);
    }
    code.parse().is_ok_and(is_sqlite_wait)
}

/// <https://www.sqlite.org/rescode.html>: an extended code's lowest byte is its primary code.
fn is_sqlite_wait(code: i32) -> bool {
    const INTERRUPT: i32 = 9;
    is_sqlite_lock(code) || code & 0xff == INTERRUPT
}

fn is_sqlite_lock(code: i32) -> bool {
    const BUSY: i32 = 5;
    code & 0xff == BUSY
}

/// The first error that reported damage. It is one for the process, which serves one database: many callers run
/// statements.
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

/// <https://www.sqlite.org/rescode.html>: CORRUPT and NOTADB, which include a damaged index.
fn is_sqlite_damage(code: i32) -> bool {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    matches!(code & 0xff, CORRUPT | NOT_A_DATABASE)
}

/// The unique constraints of `personal_connector`, with their fields.
const UNIQUE: [(&str, &str); 4] = [
    ("personal_connector_organization_name_key", "name"),
    ("personal_connector_creator_name_key", "name"),
    ("personal_connector_connector_id_key", "connectorId"),
    ("personal_connector.connector_id", "connectorId"),
];

/// Returns the user error for a name or connectorId that is taken.
pub(crate) fn taken(field: &'static str) -> UserError {
    UserError::new(
        UserErrorCode::Taken,
        field,
        format!("another connector already has this {field}"),
    )
}

/// Returns the user error for a write that a constraint refused.
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
