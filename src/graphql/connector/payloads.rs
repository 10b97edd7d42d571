//! The payloads of mutations.

use async_graphql::{ID, SimpleObject};

use crate::{
    commands::connector::Outcome,
    domain::cursor,
    graphql::{inspection::Inspection, list::List, user_error::UserError},
};

use super::object::PersonalConnector;

/// The result of `createCustomConnector`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CreateCustomConnectorPayload {
    /// The new connector; null when there are errors or the input was only checked.
    personal_connector: Option<PersonalConnector>,
    /// The inspection of its MCP server, if it was to be verified; null if the server was not inspected.
    inspection: Option<Inspection>,
    /// The errors of the input; empty on success.
    user_errors: List<UserError>,
    /// The cursor of the written change, or of the last one; null if nothing was written. The change reaches you with
    /// the same cursor, so you can recognize it as your own.
    changes_cursor: Option<String>,
}

/// The result of `checkConnector`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CheckConnectorPayload {
    /// The connector with the results in `health` and `tools`; on CONFLICT as it is now, without them; null on other
    /// errors.
    personal_connector: Option<PersonalConnector>,
    /// The inspection of its MCP server; null if the server was not inspected.
    inspection: Option<Inspection>,
    /// The reason that nothing was stored; empty on success, whatever the outcome.
    user_errors: List<UserError>,
    /// The cursor of the written change, or of the last one; null if nothing was written. The change reaches you with
    /// the same cursor, so you can recognize it as your own.
    changes_cursor: Option<String>,
}

/// The result of `updateCustomConnector`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct UpdateCustomConnectorPayload {
    /// The connector after the change, or on CONFLICT as it now is; null on other errors, or when the input was only
    /// checked.
    personal_connector: Option<PersonalConnector>,
    /// The errors of the input; empty on success.
    user_errors: List<UserError>,
    /// The cursor of the written change, or of the last one; null if nothing was written. The change reaches you with
    /// the same cursor, so you can recognize it as your own.
    changes_cursor: Option<String>,
}

/// The result of `deleteCustomConnector`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct DeleteCustomConnectorPayload {
    /// The id of the connector that was deleted; null when there are errors.
    deleted_id: Option<ID>,
    /// The connector as it now is, when it was not deleted because of a CONFLICT.
    personal_connector: Option<PersonalConnector>,
    /// The errors of the input; empty on success.
    user_errors: List<UserError>,
    /// The cursor of the written change, or of the last one; null if nothing was written. The change reaches you with
    /// the same cursor, so you can recognize it as your own.
    changes_cursor: Option<String>,
}

/// The result of `setConnectorStatus`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SetConnectorStatusPayload {
    /// The connector after the change, or on CONFLICT as it now is; null on other errors.
    personal_connector: Option<PersonalConnector>,
    /// The errors of the input; empty on success.
    user_errors: List<UserError>,
    /// The cursor of the written change, or of the last one; null if nothing was written. The change reaches you with
    /// the same cursor, so you can recognize it as your own.
    changes_cursor: Option<String>,
}

fn parts(outcome: Outcome) -> (Option<PersonalConnector>, List<UserError>, Option<String>) {
    (
        outcome.connector.map(PersonalConnector::new),
        outcome.errors.into_iter().map(Into::into).collect(),
        outcome.position.map(cursor::of_changes),
    )
}

/// Makes the payload of a mutation that inspects a server.
macro_rules! with_inspection {
    ($($payload:ident),*) => {$(
        impl From<Outcome> for $payload {
            fn from(mut outcome: Outcome) -> Self {
                let inspection = outcome.inspection.take().map(|found| (*found).into());
                let (personal_connector, user_errors, changes_cursor) = parts(outcome);
                Self {
                    personal_connector,
                    inspection,
                    user_errors,
                    changes_cursor,
                }
            }
        }
    )*};
}

with_inspection!(CreateCustomConnectorPayload, CheckConnectorPayload);

impl From<Outcome> for UpdateCustomConnectorPayload {
    fn from(outcome: Outcome) -> Self {
        let (personal_connector, user_errors, changes_cursor) = parts(outcome);
        Self {
            personal_connector,
            user_errors,
            changes_cursor,
        }
    }
}

impl From<Outcome> for SetConnectorStatusPayload {
    fn from(outcome: Outcome) -> Self {
        let (personal_connector, user_errors, changes_cursor) = parts(outcome);
        Self {
            personal_connector,
            user_errors,
            changes_cursor,
        }
    }
}

impl From<Outcome> for DeleteCustomConnectorPayload {
    fn from(outcome: Outcome) -> Self {
        if outcome.errors.is_empty() {
            Self {
                deleted_id: outcome.connector.map(|connector| connector.id.into()),
                personal_connector: None,
                user_errors: List::default(),
                changes_cursor: outcome.position.map(cursor::of_changes),
            }
        } else {
            let (personal_connector, user_errors, changes_cursor) = parts(outcome);
            Self {
                deleted_id: None,
                personal_connector,
                user_errors,
                changes_cursor,
            }
        }
    }
}
