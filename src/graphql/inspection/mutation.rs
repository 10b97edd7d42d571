//! `inspectServer`, and the slot that every inspection takes.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::{
    commands::{self, inspection::Suggestion},
    domain::inspection,
    error::{self, Result},
    graphql::{Request, enums::ServerType, list::List, user_error::UserError},
    mcp::inspections::Slot,
};

use super::object::{ConnectorDraft, Inspection};

/// An MCP server to look at.
#[derive(InputObject)]
pub(in crate::graphql) struct InspectServerInput {
    /// Its address, as on create.
    server_url: String,
    /// How it is said to be spoken to. Null means the default.
    #[graphql(default_with = "Some(ServerType::Http)")]
    server_type: Option<ServerType>,
}

/// The result of `inspectServer`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct InspectServerPayload {
    /// The result of the inspection; null when there are errors.
    inspection: Option<Inspection>,
    /// The values for a connector to this server; null if nothing is known of it.
    draft: Option<ConnectorDraft>,
    /// All that is wrong with the input; empty on success, whatever was found.
    user_errors: List<UserError>,
}

#[derive(Debug, Default)]
pub(in crate::graphql) struct InspectionMutation;

#[Object]
impl InspectionMutation {
    /// Looks at an MCP server before it is added: whether it is there and speaks MCP, what it says of itself, and its tools. Needs
    /// the scope `connectors:write` or `connectors:admin`. Nothing is kept of it.
    async fn inspect_server(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The server.")] input: InspectServerInput,
    ) -> Result<Option<InspectServerPayload>> {
        let slot = enter(context).await?;
        Ok(Some(
            commands::inspection::inspect(&slot, input.into())
                .await?
                .into(),
        ))
    }
}

/// A slot to inspect a server from, in exchange for the request's own: what waits for a server does not keep it from those that
/// work, and is bounded by the slots to inspect from.
pub(in crate::graphql) async fn enter(context: &Context<'_>) -> Result<Slot> {
    let request = Request::of(context);
    let slot = commands::inspection::begin(&request.commands, &request.viewer).await?;
    request.permit.give_up();
    Ok(slot)
}

impl From<InspectServerInput> for commands::inspection::Inspect {
    fn from(input: InspectServerInput) -> Self {
        Self {
            server_url: input.server_url,
            server_type: input.server_type.unwrap_or(ServerType::Http).into(),
        }
    }
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
                user_errors: List::default(),
            },
            Err(errors) => Self {
                inspection: None,
                draft: None,
                user_errors: errors.into_iter().map(Into::into).collect(),
            },
        }
    }
}
