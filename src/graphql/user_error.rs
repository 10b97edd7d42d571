//! Errors in the payloads of mutations.

use async_graphql::{ID, SimpleObject};

use crate::error;

use super::{
    changes::PersonalConnectorField, enums::UserErrorCode, list::List, scalars::DateTime,
    user::UserObject,
};

/// An error in a mutation's input.
#[derive(SimpleObject)]
pub(super) struct UserError {
    /// The kind of error, for programs.
    code: UserErrorCode,
    /// The path to the input field, such as `["input", "name"]`; null if the error concerns the whole input.
    field: Option<List<&'static str>>,
    /// A sentence for people, with the error and the expected value. It does not name the field, so it fits beside it.
    message: String,
    /// The allowed maximum for `TOO_LONG` and `LIMIT_EXCEEDED`: characters, bytes of `metadata`, or connectors. Null
    /// for other codes.
    limit: Option<i32>,
    /// The present amount for `TOO_LONG` and `LIMIT_EXCEEDED`, in the unit of `limit`. Null for other codes.
    current: Option<i32>,
    /// The changes that caused a `CONFLICT`; null for other codes, and for a `CONFLICT` on `idempotencyKey`.
    conflict: Option<UpdateConflict>,
}

/// The changes of a connector since the expected revision. They are read together with the payload's connector.
#[derive(SimpleObject)]
pub(super) struct UpdateConflict {
    /// The connector's present revision.
    revision: i64,
    /// The id of the user who made the last change. Null outside the user's organization, if a file or the service
    /// itself made it, and if the log no longer has it.
    actor: Option<ID>,
    /// The same user, with their name.
    author: Option<UserObject>,
    /// The time of the last change. If the log no longer has it, the connector's `updatedAt`.
    occurred_at: DateTime,
    /// The fields that changed since, as far as you see them, in the order of the changes. Null if some changes are
    /// unknown: the log no longer goes back that far, there are more than 100, the connector was hidden from you
    /// meanwhile, or the revision never existed.
    changed_fields: Option<List<PersonalConnectorField>>,
}

impl From<error::UserError> for UserError {
    fn from(error: error::UserError) -> Self {
        let int = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            code: error.code.into(),
            field: error.field.map(|field| vec!["input", field].into()),
            message: error.sentence(),
            limit: error.limit.map(int),
            current: error.current.map(int),
            conflict: error.conflict.map(|conflict| (*conflict).into()),
        }
    }
}

impl From<error::UpdateConflict> for UpdateConflict {
    fn from(conflict: error::UpdateConflict) -> Self {
        Self {
            revision: conflict.revision,
            actor: conflict.actor.as_ref().map(|user| user.id.clone().into()),
            author: conflict.actor.map(UserObject::new),
            occurred_at: DateTime(conflict.occurred_at),
            changed_fields: conflict.changed_fields.map(PersonalConnectorField::list),
        }
    }
}
