//! Mutations of many connectors, and the import of a file.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use crate::{
    commands::{
        self,
        connector::{Bulk, BulkChange, BulkOutcome},
        import::Imported,
    },
    domain::{
        connector::{Curation, Patch, StatusChange},
        cursor,
        viewer::Viewer,
    },
    error::{self, Result},
    graphql::{
        enums::{
            BulkErrorPolicy, CategorySource, ConnectorCategory, ConnectorStatus,
            ConnectorVisibility,
        },
        list::List,
        text::Text,
        user_error::UserError,
    },
    store::retry,
};

use super::{inputs::patch, mutation::run, object::PersonalConnector};

/// Connectors whose status to set. A message that is left out stays as it is; null clears it.
#[derive(InputObject)]
pub(in crate::graphql) struct SetConnectorStatusesInput {
    /// The connectors, up to 100. An id that comes twice counts once.
    ids: Vec<ID>,
    /// Their new status. A status other than DEPRECATED clears the replacement.
    status: ConnectorStatus,
    /// A message for their users, up to 1,000 characters.
    status_message: MaybeUndefined<String>,
    /// Whether the others are changed where one cannot be. Null means the default.
    #[graphql(default_with = "Some(BulkErrorPolicy::RejectFailed)")]
    error_policy: Option<BulkErrorPolicy>,
    /// Only check the input: nothing is written. Null means the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
}

/// Custom connectors to delete.
#[derive(InputObject)]
pub(in crate::graphql) struct DeleteCustomConnectorsInput {
    /// The connectors, up to 100. An id that comes twice counts once.
    ids: Vec<ID>,
    /// Whether the others are deleted where one cannot be. Null means the default.
    #[graphql(default_with = "Some(BulkErrorPolicy::RejectFailed)")]
    error_policy: Option<BulkErrorPolicy>,
    /// Only check the input: nothing is written. Null means the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
}

/// Official or platform-built connectors, and what to set over their files' values. A field that is left out stays as it is; null gives
/// it back to the file.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateCatalogConnectorsInput {
    /// The connectors, up to 100. An id that comes twice counts once.
    ids: Vec<ID>,
    /// The category.
    category: MaybeUndefined<ConnectorCategory>,
    /// The https address of the icon. Up to 2,048 characters.
    icon_url: MaybeUndefined<String>,
    /// A description, up to 2,000 characters.
    description: MaybeUndefined<String>,
    /// Whether the others are changed where one cannot be. Null means the default.
    #[graphql(default_with = "Some(BulkErrorPolicy::RejectFailed)")]
    error_policy: Option<BulkErrorPolicy>,
    /// Only check the input: nothing is written. Null means the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
}

/// Connectors whose MCP servers to look at soon.
#[derive(InputObject)]
pub(in crate::graphql) struct CheckConnectorsInput {
    /// The connectors, up to 100. An id that comes twice counts once.
    ids: Vec<ID>,
}

/// The text of a file to import.
#[derive(InputObject)]
pub(in crate::graphql) struct ImportConnectorsInput {
    /// The text, in any form that the command `import` reads. At most what the body of a request may have.
    content: String,
    /// The organization of custom connectors that give none.
    organization_id: Option<ID>,
    /// The visibility of custom connectors that give none. Null means the default.
    #[graphql(default_with = "Some(ConnectorVisibility::Private)")]
    visibility: Option<ConnectorVisibility>,
    /// The category of connectors that give none, instead of the rules' one.
    category: Option<ConnectorCategory>,
    /// Rules that give a category to the others: the text of a file of the command's `--category-rules`. With an empty text there are none,
    /// and what rules gave before stays. Null stands for the rules of this service.
    category_rules: Option<String>,
    /// Only check the text: nothing is written. Null means the default.
    #[graphql(default_with = "Some(false)")]
    dry_run: Option<bool>,
}

/// The result for one of many connectors.
#[derive(SimpleObject)]
pub(in crate::graphql) struct BulkResult {
    /// The connector's id, as the input has it.
    personal_connector_id: ID,
    /// The connector as it now is. Null where there are errors, unless a check is refused; after it was deleted; and with
    /// `validateOnly`.
    personal_connector: Option<PersonalConnector>,
    /// Why it was not done; empty on success.
    user_errors: List<UserError>,
}

/// The results of `setConnectorStatuses`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SetConnectorStatusesPayload {
    /// A result for each id, in the order of the input.
    results: List<BulkResult>,
    /// Errors of the input as a whole, or the reason why nothing was written; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last change that was written; null if nothing was. Do not go on after it: changes of others may come before.
    changes_cursor: Option<String>,
}

/// The results of `updateCatalogConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct UpdateCatalogConnectorsPayload {
    /// A result for each id, in the order of the input.
    results: List<BulkResult>,
    /// Errors of the input as a whole, or the reason why nothing was written; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last change that was written; null if nothing was. Do not go on after it: changes of others may come before.
    changes_cursor: Option<String>,
}

/// The results of `deleteCustomConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct DeleteCustomConnectorsPayload {
    /// The ids of the connectors that were deleted, in the order of the input.
    deleted_ids: List<ID>,
    /// A result for each id, in the order of the input.
    results: List<BulkResult>,
    /// Errors of the input as a whole, or the reason why nothing was written; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last change that was written; null if nothing was. Do not go on after it: changes of others may come before.
    changes_cursor: Option<String>,
}

/// The results of `checkConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CheckConnectorsPayload {
    /// A result for each id, in the order of the input. One without errors is queued.
    results: List<BulkResult>,
    /// Errors of the input as a whole; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last change that was written; null if nothing was. Do not go on after it: changes of others may come before.
    changes_cursor: Option<String>,
}

/// The result of `importConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ImportConnectorsPayload {
    /// The fates of the objects of the text; null when there are errors.
    report: Option<ImportReport>,
    /// Errors of the input as a whole; empty on success, whatever became of the objects.
    user_errors: List<UserError>,
    /// The cursor of the last change that was written; null if nothing was, and where there are errors. A long text is imported in
    /// several parts, between which others may have changed something: to keep a copy, follow from before the import.
    changes_cursor: Option<String>,
}

pub(in crate::graphql) struct ImportReport(Imported);

/// How many connectors of an import have this category by this source.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ImportedCategory {
    /// The category; null for connectors without one.
    category: Option<ConnectorCategory>,
    /// The source of the category; null for connectors without one.
    source: Option<CategorySource>,
    /// How many connectors there are.
    count: u64,
}

/// The fates of the objects of an import.
#[Object]
impl ImportReport {
    /// How many objects the text has. The counts of what became of them add up to it.
    async fn total(&self) -> u64 {
        self.0.report.total()
    }

    /// How many connectors are new.
    async fn created(&self) -> u64 {
        self.0.report.created
    }

    /// How many connectors changed.
    async fn updated(&self) -> u64 {
        self.0.report.updated
    }

    /// The categories that the connectors have now, without those that no connector has.
    async fn categories(&self) -> List<ImportedCategory> {
        let counts = self.0.report.categories.each().into_iter();
        let counts = counts.map(|(found, count)| ImportedCategory {
            category: found.map(|(category, _)| category.into()),
            source: found.map(|(_, source)| source.into()),
            count,
        });
        counts.collect()
    }

    /// How many connectors were as the text has them.
    async fn unchanged(&self) -> u64 {
        self.0.report.unchanged
    }

    /// How many objects are versions of a registry's server that are not its latest.
    async fn older_versions(&self) -> u64 {
        self.0.report.older_versions
    }

    /// How many objects are servers that their registry deleted.
    async fn deleted(&self) -> u64 {
        self.0.report.deleted
    }

    /// How many objects are servers that are disabled in the configuration of their client.
    async fn disabled(&self) -> u64 {
        self.0.report.disabled
    }

    /// How many objects were rejected.
    async fn rejected(&self) -> u64 {
        self.0.report.rejected
    }

    /// How many connectors could not have their replacement.
    async fn without_replacement(&self) -> u64 {
        self.0.report.without_replacement
    }

    /// How many warnings there are.
    async fn warnings(&self) -> u64 {
        self.0.report.warnings
    }

    /// Whether no object was rejected, and none lacks its replacement.
    async fn is_complete(&self) -> bool {
        self.0.report.is_complete()
    }

    /// A line for each rejection and warning, with its place in the text. Of each kind the first 20, and how many more there are.
    async fn lines(&self) -> List<Text<'_>> {
        Text::list(&self.0.lines)
    }
}

#[derive(Debug, Default)]
pub(in crate::graphql) struct BulkMutation;

#[Object]
impl BulkMutation {
    /// Sets the status of up to 100 connectors in one transaction, each as by `setConnectorStatus`. One that has the status already
    /// is not changed, so that a retry is safe.
    async fn set_connector_statuses(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors and their new status.")] input: SetConnectorStatusesInput,
    ) -> Result<Option<SetConnectorStatusesPayload>> {
        change(context, input.into()).await
    }

    /// Deletes up to 100 custom connectors in one transaction, each as by `deleteCustomConnector`. In a retry those that are deleted
    /// already are `NOT_FOUND`.
    async fn delete_custom_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors.")] input: DeleteCustomConnectorsInput,
    ) -> Result<Option<DeleteCustomConnectorsPayload>> {
        change(context, input.into()).await
    }

    /// Sets the category, icon or description of up to 100 official or platform-built connectors in one transaction, over what their
    /// files say. Needs the scope `catalog:admin`. Imports leave these values alone, and `curatedFields` of the connector has the files'.
    async fn update_catalog_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors and what to set.")] input: UpdateCatalogConnectorsInput,
    ) -> Result<Option<UpdateCatalogConnectorsPayload>> {
        change(context, input.into()).await
    }

    /// Has the MCP servers of up to 100 connectors looked at soon, by the process that checks connectors, and does not wait for it.
    /// Needs the scope `connectors:write` or `connectors:admin`. Counts as one inspection. A connector that was checked less than a
    /// minute ago is not queued. Fails with `UNAVAILABLE` where no process checks connectors.
    async fn check_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors.")] input: CheckConnectorsInput,
    ) -> Result<Option<CheckConnectorsPayload>> {
        let ids = texts(input.ids);
        run(context, ids, |context, viewer, ids| async move {
            commands::connector::queue_checks(&context, &viewer, ids).await
        })
        .await
    }

    /// Imports the text of a file, as the command `import` does. Needs the scope `catalog:admin`. Imported again, the same text changes
    /// nothing, so that a retry is safe.
    async fn import_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The text.")] input: ImportConnectorsInput,
    ) -> Result<Option<ImportConnectorsPayload>> {
        run(context, input.into(), |context, viewer, input| async move {
            commands::import::import(&context, &viewer, input).await
        })
        .await
    }
}

async fn change<P: From<BulkOutcome>>(context: &Context<'_>, input: Bulk) -> Result<Option<P>> {
    let command = |context: commands::Context, viewer: Viewer, input: Bulk| async move {
        retry(|| commands::connector::bulk(&context, &viewer, input.clone())).await
    };
    run(context, input, command).await
}

fn texts(ids: Vec<ID>) -> Vec<String> {
    ids.into_iter().map(|id| id.0).collect()
}

fn policy(given: Option<BulkErrorPolicy>) -> commands::connector::ErrorPolicy {
    given.unwrap_or(BulkErrorPolicy::RejectFailed).into()
}

impl From<SetConnectorStatusesInput> for Bulk {
    fn from(input: SetConnectorStatusesInput) -> Self {
        let change = StatusChange {
            status: input.status.into(),
            message: patch(input.status_message, |message| message),
            replaced_by: Patch::Keep,
        };
        Self {
            ids: texts(input.ids),
            change: BulkChange::Status(change),
            error_policy: policy(input.error_policy),
            validate_only: input.validate_only.unwrap_or_default(),
        }
    }
}

impl From<UpdateCatalogConnectorsInput> for Bulk {
    fn from(input: UpdateCatalogConnectorsInput) -> Self {
        let curation = Curation {
            description: patch(input.description, |description| description),
            icon_url: patch(input.icon_url, |url| url),
            category: patch(input.category, Into::into),
        };
        Self {
            ids: texts(input.ids),
            change: BulkChange::Curation(curation),
            error_policy: policy(input.error_policy),
            validate_only: input.validate_only.unwrap_or_default(),
        }
    }
}

impl From<DeleteCustomConnectorsInput> for Bulk {
    fn from(input: DeleteCustomConnectorsInput) -> Self {
        Self {
            ids: texts(input.ids),
            change: BulkChange::Delete,
            error_policy: policy(input.error_policy),
            validate_only: input.validate_only.unwrap_or_default(),
        }
    }
}

impl From<ImportConnectorsInput> for commands::import::Import {
    fn from(input: ImportConnectorsInput) -> Self {
        let visibility = input.visibility.unwrap_or(ConnectorVisibility::Private);
        Self {
            content: input.content,
            organization: input.organization_id.map(|id| id.0),
            visibility: visibility.into(),
            category: input.category.map(Into::into),
            category_rules: input.category_rules,
            dry_run: input.dry_run.unwrap_or_default(),
        }
    }
}

/// The results, whose connectors share a loader, and the errors of the input.
fn parts(outcome: BulkOutcome) -> (List<BulkResult>, List<UserError>, Option<String>) {
    let changes_cursor = outcome.position.map(cursor::of_changes);
    let mut models = Vec::new();
    let results: Vec<_> = outcome
        .results
        .into_iter()
        .map(|(id, outcome)| {
            let has_connector = outcome.connector.is_some();
            models.extend(outcome.connector.map(Arc::new));
            (id, has_connector, outcome.errors)
        })
        .collect();
    let mut connectors = PersonalConnector::shared(models).into_iter();
    let results = results
        .into_iter()
        .map(|(id, has_connector, errors)| BulkResult {
            personal_connector_id: id.into(),
            personal_connector: if has_connector {
                connectors.next()
            } else {
                None
            },
            user_errors: user_errors(errors),
        });
    (
        results.collect(),
        user_errors(outcome.errors),
        changes_cursor,
    )
}

fn user_errors(errors: Vec<error::UserError>) -> List<UserError> {
    errors.into_iter().map(Into::into).collect()
}

/// Makes the payload of a mutation that has results alone.
macro_rules! with_results {
    ($($payload:ident),*) => {$(
        impl From<BulkOutcome> for $payload {
            fn from(outcome: BulkOutcome) -> Self {
                let (results, user_errors, changes_cursor) = parts(outcome);
                Self {
                    results,
                    user_errors,
                    changes_cursor,
                }
            }
        }
    )*};
}

with_results!(
    SetConnectorStatusesPayload,
    UpdateCatalogConnectorsPayload,
    CheckConnectorsPayload
);

impl From<BulkOutcome> for DeleteCustomConnectorsPayload {
    fn from(mut outcome: BulkOutcome) -> Self {
        let mut deleted_ids = Vec::new();
        for (id, result) in &mut outcome.results {
            // A deleted connector is there no more.
            if result.connector.take().is_some() {
                deleted_ids.push(id.clone().into());
            }
        }
        let (results, user_errors, changes_cursor) = parts(outcome);
        Self {
            deleted_ids: deleted_ids.into(),
            results,
            user_errors,
            changes_cursor,
        }
    }
}

impl From<Result<Imported, Vec<error::UserError>>> for ImportConnectorsPayload {
    fn from(imported: Result<Imported, Vec<error::UserError>>) -> Self {
        match imported {
            Ok(imported) => Self {
                changes_cursor: imported.report.position.map(cursor::of_changes),
                report: Some(ImportReport(imported)),
                user_errors: List::default(),
            },
            Err(errors) => Self {
                report: None,
                user_errors: user_errors(errors),
                changes_cursor: None,
            },
        }
    }
}
