//! `inspectServer`, and the slot that every inspection needs.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::{
    commands::{self, inspection::Suggestion},
    domain::inspection,
    error::{self, Result},
    graphql::{Request, enums::ServerType, list::List, user_error::UserError},
    mcp::inspections::Slot,
};

use super::object::{ConnectorDraft, Inspection};

/// An MCP server to inspect.
#[derive(InputObject)]
pub(in crate::graphql) struct InspectServerInput {
    /// Its URL, as in a create.
    server_url: String,
    /// Its claimed protocol. Null means the default.
    #[graphql(default_with = "Some(ServerType::default())")]
    server_type: Option<ServerType>,
}

/// The result of `inspectServer`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct InspectServerPayload {
    /// The result of the inspection; null when there are errors.
    inspection: Option<Inspection>,
    /// The values for a connector to this server; null if nothing is known of it.
    draft: Option<ConnectorDraft>,
    /// All errors of the input; empty on success, whatever the outcome.
    user_errors: List<UserError>,
}

#[derive(Debug, Default)]
pub(in crate::graphql) struct InspectionMutation;

#[Object]
impl InspectionMutation {
    /// Inspects an MCP server before it is added: whether it speaks MCP, its description of itself, and its tools.
    /// Needs the scope `connectors:write` or `connectors:admin`. Nothing is stored.
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

/// Exchanges the request's permit for a slot to inspect a server. A request that waits for a server blocks no other
/// one, and the slots are bounded.
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
            server_type: input.server_type.unwrap_or_default().into(),
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
