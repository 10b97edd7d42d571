//! What mutations answer.

use async_graphql::{ID, SimpleObject};

use crate::{
    commands::{Outcome, Suggestion},
    domain::inspection,
    error,
};

use super::{
    connector::PersonalConnector,
    enums::UserErrorCode,
    inspection::{ConnectorDraft, Inspection},
};

/// Something wrong with a mutation's input.
#[derive(SimpleObject)]
struct UserError {
    /// What is wrong, for programs.
    code: UserErrorCode,
    /// The path to the input field, such as `["input", "name"]`; null when the input as a whole is meant.
    field: Option<Vec<&'static str>>,
    /// What is wrong and what was expected, for people.
    message: String,
}

/// What `createCustomConnector` did.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CreateCustomConnectorPayload {
    /// The new connector; null when there are errors or the input was only checked.
    personal_connector: Option<PersonalConnector>,
    /// What was found of its MCP server, where it was to be verified; null when that was not looked at.
    inspection: Option<Inspection>,
    /// All that is wrong with the input; empty on success.
    user_errors: Vec<UserError>,
}

/// What `inspectServer` found.
#[derive(SimpleObject)]
pub(in crate::graphql) struct InspectServerPayload {
    /// What was found; null when there are errors.
    inspection: Option<Inspection>,
    /// What a connector to the server could be made of; null where nothing is known of it.
    draft: Option<ConnectorDraft>,
    /// All that is wrong with the input; empty on success, whatever was found.
    user_errors: Vec<UserError>,
}

/// What `checkConnector` found.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CheckConnectorPayload {
    /// The connector, with what was found as its `health` and `tools`; on CONFLICT as it now is, without that; null on other
    /// errors.
    personal_connector: Option<PersonalConnector>,
    /// What was found of its MCP server; null when that was not looked at.
    inspection: Option<Inspection>,
    /// Why nothing was kept; empty on success, whatever was found.
    user_errors: Vec<UserError>,
}

/// What `updateCustomConnector` did.
#[derive(SimpleObject)]
pub(in crate::graphql) struct UpdateCustomConnectorPayload {
    /// The connector after the change, or on CONFLICT as it now is; null on other errors, or when the input was only checked.
    personal_connector: Option<PersonalConnector>,
    /// All that is wrong with the input; empty on success.
    user_errors: Vec<UserError>,
}

/// What `deleteCustomConnector` did.
#[derive(SimpleObject)]
pub(in crate::graphql) struct DeleteCustomConnectorPayload {
    /// The id of the connector that was deleted; null when there are errors.
    deleted_id: Option<ID>,
    /// The connector as it now is, when it was not deleted because of a CONFLICT.
    personal_connector: Option<PersonalConnector>,
    /// All that is wrong with the input; empty on success.
    user_errors: Vec<UserError>,
}

/// What `setConnectorStatus` did.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SetConnectorStatusPayload {
    /// The connector after the change, or on CONFLICT as it now is; null on other errors.
    personal_connector: Option<PersonalConnector>,
    /// All that is wrong with the input; empty on success.
    user_errors: Vec<UserError>,
}

impl From<error::UserError> for UserError {
    fn from(error: error::UserError) -> Self {
        Self {
            code: error.code.into(),
            field: error.field.map(|field| vec!["input", field]),
            message: error.message,
        }
    }
}

fn parts(outcome: Outcome) -> (Option<PersonalConnector>, Vec<UserError>) {
    (
        outcome.connector.map(PersonalConnector::new),
        outcome.errors.into_iter().map(Into::into).collect(),
    )
}

impl From<Result<(inspection::Inspection, Suggestion), Vec<error::UserError>>>
    for InspectServerPayload
{
    fn from(
        inspected: Result<(inspection::Inspection, Suggestion), Vec<error::UserError>>,
    ) -> Self {
        match inspected {
            Ok((found, suggestion)) => Self {
                draft: found.server_info.as_ref().map(|_| suggestion.into()),
                inspection: Some(found.into()),
                user_errors: Vec::new(),
            },
            Err(errors) => Self {
                inspection: None,
                draft: None,
                user_errors: errors.into_iter().map(Into::into).collect(),
            },
        }
    }
}

/// Makes the payload of a mutation that looks at a server.
macro_rules! with_inspection {
    ($($payload:ident),*) => {$(
        impl From<Outcome> for $payload {
            fn from(mut outcome: Outcome) -> Self {
                let inspection = outcome.inspection.take().map(|found| (*found).into());
                let (personal_connector, user_errors) = parts(outcome);
                Self {
                    personal_connector,
                    inspection,
                    user_errors,
                }
            }
        }
    )*};
}

with_inspection!(CreateCustomConnectorPayload, CheckConnectorPayload);

impl From<Outcome> for UpdateCustomConnectorPayload {
    fn from(outcome: Outcome) -> Self {
        let (personal_connector, user_errors) = parts(outcome);
        Self {
            personal_connector,
            user_errors,
        }
    }
}

impl From<Outcome> for SetConnectorStatusPayload {
    fn from(outcome: Outcome) -> Self {
        let (personal_connector, user_errors) = parts(outcome);
        Self {
            personal_connector,
            user_errors,
        }
    }
}

impl From<Outcome> for DeleteCustomConnectorPayload {
    fn from(outcome: Outcome) -> Self {
        if outcome.errors.is_empty() {
            Self {
                deleted_id: outcome.connector.map(|connector| connector.id.into()),
                personal_connector: None,
                user_errors: Vec::new(),
            }
        } else {
            let (personal_connector, user_errors) = parts(outcome);
            Self {
                deleted_id: None,
                personal_connector,
                user_errors,
            }
        }
    }
}
