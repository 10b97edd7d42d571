//! Mutations. Each is a command, run to its end whether or not its client still waits.

use async_graphql::{Context, Object};
use tracing::Instrument;

use crate::{
    commands::{self, Outcome},
    domain::viewer::Viewer,
    error::{Error, Result},
    mcp::inspections::Slot,
    store::retry,
};

use super::{
    Request,
    types::{
        CheckConnectorInput, CheckConnectorPayload, CreateCustomConnectorInput,
        CreateCustomConnectorPayload, DeleteCustomConnectorInput, DeleteCustomConnectorPayload,
        InspectServerInput, InspectServerPayload, SetConnectorStatusInput,
        SetConnectorStatusPayload, UpdateCustomConnectorInput, UpdateCustomConnectorPayload,
    },
};

#[derive(Debug)]
pub struct Mutation;

/// Everything that can be changed. What is wrong with an input is in the payload's `userErrors`.
#[Object]
impl Mutation {
    /// Adds an MCP server of yours. Needs the scope `connectors:write` or `connectors:admin`.
    async fn create_custom_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The new connector.")] input: CreateCustomConnectorInput,
    ) -> Result<Option<CreateCustomConnectorPayload>> {
        let slot = if input.verify {
            Some(enter(context).await?)
        } else {
            None
        };
        run(context, input.into(), |context, viewer, input| async move {
            match slot {
                Some(slot) => commands::create_verified(&context, &viewer, input, slot).await,
                None => retry(|| commands::create(&context, &viewer, input.clone())).await,
            }
        })
        .await
    }

    /// Looks at an MCP server before it is added: whether it is there and speaks MCP, what it says of itself, and its tools. Needs
    /// the scope `connectors:write` or `connectors:admin`. Nothing is kept of it.
    async fn inspect_server(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The server.")] input: InspectServerInput,
    ) -> Result<Option<InspectServerPayload>> {
        let slot = enter(context).await?;
        Ok(Some(commands::inspect(&slot, input.into()).await?.into()))
    }

    /// Looks at the MCP server of a connector that you see, and keeps what was found: everybody who sees the connector sees it
    /// too. Needs the scope `connectors:write` or `connectors:admin`. Counts as an inspection.
    async fn check_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector.")] input: CheckConnectorInput,
    ) -> Result<Option<CheckConnectorPayload>> {
        let slot = enter(context).await?;
        run(context, input.id.0, |context, viewer, id| async move {
            commands::check(&context, &viewer, id, slot).await
        })
        .await
    }

    /// Changes a custom connector: your own with the scope `connectors:write`, any of the organization with
    /// `connectors:admin`. A change of nothing writes nothing.
    async fn update_custom_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector and what to change.")] input: UpdateCustomConnectorInput,
    ) -> Result<Option<UpdateCustomConnectorPayload>> {
        run(
            context,
            input.into(),
            |context, viewer, input: commands::Update| async move {
                retry(|| commands::update(&context, &viewer, input.clone())).await
            },
        )
        .await
    }

    /// Deletes a custom connector: your own with the scope `connectors:write`, any of the organization with
    /// `connectors:admin`. Connectors that it replaced are left without a replacement.
    async fn delete_custom_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector.")] input: DeleteCustomConnectorInput,
    ) -> Result<Option<DeleteCustomConnectorPayload>> {
        run(
            context,
            input.into(),
            |context, viewer, input: commands::Delete| async move {
                retry(|| commands::delete(&context, &viewer, input.clone())).await
            },
        )
        .await
    }

    /// Sets a connector's status, with message and replacement: of custom connectors as they are changed, of official and
    /// platform-built ones with the scope `catalog:admin`.
    async fn set_connector_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector and its new status.")] input: SetConnectorStatusInput,
    ) -> Result<Option<SetConnectorStatusPayload>> {
        run(
            context,
            input.into(),
            |context, viewer, input: commands::SetStatus| async move {
                retry(|| commands::set_status(&context, &viewer, input.clone())).await
            },
        )
        .await
    }
}

/// A place to inspect a server from, in exchange for the request's own: what waits for a server does not keep it from those that
/// work, and is bounded by the places to inspect from.
async fn enter(context: &Context<'_>) -> Result<Slot> {
    let request = Request::of(context);
    let slot = commands::inspection(&request.commands, &request.viewer).await?;
    request.permit.give_up();
    Ok(slot)
}

/// Runs a command in a task of its own, which neither a timeout nor a client that hangs up cancels half-way.
async fn run<I, P, F>(
    context: &Context<'_>,
    input: I,
    command: impl FnOnce(commands::Context, Viewer, I) -> F,
) -> Result<Option<P>>
where
    P: From<Outcome>,
    F: Future<Output = Result<Outcome>> + Send + 'static,
{
    let request = Request::of(context);
    let command = command(
        request.commands.clone(),
        Viewer::clone(&request.viewer),
        input,
    );
    let outcome = tokio::spawn(command.in_current_span())
        .await
        .map_err(Error::internal)??;
    Ok(Some(outcome.into()))
}
