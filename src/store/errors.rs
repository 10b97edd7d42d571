//! What a database says when something goes wrong, in our words.
//!
//! Invariant: the text of a database's error is read here and nowhere else, and leaves this room only as a cause for the log.

use sea_orm::{DbErr, SqlErr};

use crate::error::{Error, UserError, UserErrorCode};

pub(super) fn internal(error: DbErr) -> Error {
    Error::internal(error)
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
