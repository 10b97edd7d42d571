//! Errors in the payloads of mutations.

use async_graphql::{ID, SimpleObject};

use crate::error;

use super::{
    changes::PersonalConnectorField, enums::UserErrorCode, list::List, scalars::DateTime,
    user::UserObject,
};

/// Something wrong with a mutation's input.
#[derive(SimpleObject)]
pub(super) struct UserError {
    /// The kind of error, for programs.
    code: UserErrorCode,
    /// The path to the input field, such as `["input", "name"]`; null when the input as a whole is meant.
    field: Option<List<&'static str>>,
    /// A sentence for people: what is wrong and what was expected. It does not name the field, and so reads well beside it.
    message: String,
    /// The most that is allowed, of `TOO_LONG` and `LIMIT_EXCEEDED`: characters, bytes of `metadata`, or connectors. Null for other
    /// codes.
    limit: Option<i32>,
    /// How much there is, of `TOO_LONG` and `LIMIT_EXCEEDED`, in the unit of `limit`. Null for other codes.
    current: Option<i32>,
    /// The changes that a `CONFLICT` is about; null for other codes, and for a `CONFLICT` on `idempotencyKey`.
    conflict: Option<UpdateConflict>,
}

/// The changes of a connector since the revision that was expected. They are read together with the payload's connector.
#[derive(SimpleObject)]
pub(super) struct UpdateConflict {
    /// The connector's revision now.
    revision: i64,
    /// The id of the user who made the last change. Null outside the user's organization, where a file or the service itself made
    /// it, and where the log of changes no longer has it.
    actor: Option<ID>,
    /// The same user, with their name.
    author: Option<UserObject>,
    /// When the last change was made. Where the log of changes no longer has it, the connector's `updatedAt`.
    occurred_at: DateTime,
    /// The fields that changed since, as far as you see them, in the order in which they changed. Null where not all of
    /// the changes are known: the log of changes no longer goes back that far, there are more than 100, you did not see the
    /// connector all the time, or it never was at that revision.
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
