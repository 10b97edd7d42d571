//! What a database says when something goes wrong, in our words.
//!
//! Invariant: the text of a database's error is read here and nowhere else, and leaves this room only as a cause for the log.

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlErr};

use crate::error::{Code, Error, UserError, UserErrorCode};

/// The error that a database's failure is to a client: something of ours, or a wait that was too long.
pub(super) fn failed(error: DbErr) -> Error {
    if waited_too_long(&error) {
        let message = "the database took too long to answer: try again in a while";
        return Error::new(Code::Timeout, message).caused_by(error);
    }
    Error::internal(error)
}

/// For a connection, a lock, or a statement's end.
fn waited_too_long(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => true,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            matches!(&**error, sqlx::Error::PoolTimedOut) || is_locked(error)
        }
        _ => false,
    }
}

/// Whether a database says that another holds what is asked for, or that it was told to end.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let code = error.and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| is_wait(&code))
}

fn is_wait(code: &str) -> bool {
    /// <https://www.sqlite.org/rescode.html>: an extended code's lowest byte is its primary code.
    const BUSY: u32 = 5;
    const INTERRUPT: u32 = 9;
    /// PostgreSQL, appendix A: `query_canceled` and `lock_not_available`. Their five characters are no SQLite code.
    const STATES: [&str; 2] = ["57014", "55P03"];
    if code.len() == 5 {
        return STATES.contains(&code);
    }
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, BUSY | INTERRUPT))
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
pub(super) fn violation(error: &DbErr) -> Option<UserError> {
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
