//! Mutations of connectors. Each is a command, which ends even if its client has gone.

use async_graphql::{Context, Object};
use tracing::Instrument;

use crate::{
    commands,
    domain::viewer::Viewer,
    error::{Error, Result},
    graphql::{Request, inspection::enter},
    store::retry,
};

use super::{
    inputs::{
        CheckConnectorInput, CreateCustomConnectorInput, DeleteCustomConnectorInput,
        SetConnectorStatusInput, UpdateCustomConnectorInput,
    },
    payloads::{
        CheckConnectorPayload, CreateCustomConnectorPayload, DeleteCustomConnectorPayload,
        SetConnectorStatusPayload, UpdateCustomConnectorPayload,
    },
};

#[derive(Debug, Default)]
pub(in crate::graphql) struct ConnectorMutation;

#[Object]
impl ConnectorMutation {
    /// Adds an MCP server of yours. Needs the scope `connectors:write` or `connectors:admin`.
    async fn create_custom_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The new connector.")] input: CreateCustomConnectorInput,
    ) -> Result<Option<CreateCustomConnectorPayload>> {
        let slot = if input.verify.unwrap_or_default() {
            Some(enter(context).await?)
        } else {
            None
        };
        run(context, input.into(), |context, viewer, input| async move {
            match slot {
                Some(slot) => {
                    commands::connector::create_verified(&context, &viewer, input, slot).await
                }
                None => {
                    retry(|| commands::connector::create(&context, &viewer, input.clone())).await
                }
            }
        })
        .await
    }

    /// Inspects the MCP server of a connector that you see, and stores the result, which is visible to everybody who
    /// sees the connector. Needs the scope `connectors:write` or `connectors:admin`. Counts as an inspection.
    async fn check_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector.")] input: CheckConnectorInput,
    ) -> Result<Option<CheckConnectorPayload>> {
        let slot = enter(context).await?;
        run(context, input.id.0, |context, viewer, id| async move {
            commands::connector::check(&context, &viewer, id, slot).await
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
            |context, viewer, input: commands::connector::Update| async move {
                retry(|| commands::connector::update(&context, &viewer, input.clone())).await
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
            |context, viewer, input: commands::connector::Delete| async move {
                retry(|| commands::connector::delete(&context, &viewer, input.clone())).await
            },
        )
        .await
    }

    /// Sets a connector's status, with message and replacement: of custom connectors as they are changed, of official
    /// and platform-built ones with the scope `catalog:admin`.
    async fn set_connector_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector and its new status.")] input: SetConnectorStatusInput,
    ) -> Result<Option<SetConnectorStatusPayload>> {
        run(
            context,
            input.into(),
            |context, viewer, input: commands::connector::SetStatus| async move {
                retry(|| commands::connector::set_status(&context, &viewer, input.clone())).await
            },
        )
        .await
    }
}

/// Runs a command in a task of its own. A panic becomes an error of its field, and earlier mutations of the operation
/// are answered. The pipeline runs the whole operation to its end.
pub(super) async fn run<I, O, P, F>(
    context: &Context<'_>,
    input: I,
    command: impl FnOnce(commands::Context, Viewer, I) -> F,
) -> Result<Option<P>>
where
    O: Send + 'static,
    P: From<O>,
    F: Future<Output = Result<O>> + Send + 'static,
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
