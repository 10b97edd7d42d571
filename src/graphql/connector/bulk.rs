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
        connector::{Curation, IMPORTED, Patch, StatusChange},
        cursor,
        viewer::Viewer,
    },
    error::{self, Result},
    graphql::{
        enums::{
            BulkErrorPolicy, BulkResultOutcome, CategorySource, ConnectorCategory, ConnectorStatus,
            ConnectorVisibility,
        },
        list::List,
        text::Text,
        user_error::UserError,
    },
    store::retry,
};

use super::{inputs::patch, mutation::run, object::PersonalConnector};

/// Connectors and their new status. An omitted message stays; null clears it.
#[derive(InputObject)]
pub(in crate::graphql) struct SetConnectorStatusesInput {
    /// The connectors, up to 100. An id that comes twice counts once.
    ids: Vec<ID>,
    /// Their new status. A status other than DEPRECATED clears the replacement.
    status: ConnectorStatus,
    /// A message for their users, up to 1,000 characters.
    status_message: MaybeUndefined<String>,
    /// The treatment of the others when one cannot be changed. Null means the default.
    #[graphql(default_with = "Some(BulkErrorPolicy::default())")]
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
    /// The treatment of the others when one cannot be deleted. Null means the default.
    #[graphql(default_with = "Some(BulkErrorPolicy::default())")]
    error_policy: Option<BulkErrorPolicy>,
    /// Only check the input: nothing is written. Null means the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
}

/// Official or platform-built connectors, with values to set over their files'. An omitted field stays; null restores
/// the file's value.
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
    /// The treatment of the others when one cannot be changed. Null means the default.
    #[graphql(default_with = "Some(BulkErrorPolicy::default())")]
    error_policy: Option<BulkErrorPolicy>,
    /// Only check the input: nothing is written. Null means the default.
    #[graphql(default_with = "Some(false)")]
    validate_only: Option<bool>,
}

/// Connectors whose MCP servers to check soon.
#[derive(InputObject)]
pub(in crate::graphql) struct CheckConnectorsInput {
    /// The connectors, up to 100. An id that comes twice counts once.
    ids: Vec<ID>,
}

/// The text of a file to import.
#[derive(InputObject)]
pub(in crate::graphql) struct ImportConnectorsInput {
    /// The text, in any form that the command `import` reads. The largest request body limits its size.
    content: String,
    /// The organization of custom connectors without one.
    organization_id: Option<ID>,
    /// The visibility of custom connectors without one, as exports leave out `ORGANIZATION`. Null means the default.
    #[graphql(default_with = "Some(IMPORTED.into())")]
    visibility: Option<ConnectorVisibility>,
    /// The category of connectors without one, in place of the rules.
    category: Option<ConnectorCategory>,
    /// Rules that give a category to the others: the text of a file of the command's `--category-rules`. With an empty
    /// text there are none, and what rules gave before stays. Null stands for the rules of this service.
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
    /// Whether the connector is changed, and why not.
    outcome: BulkResultOutcome,
    /// The connector as it is now. Null with errors, unless a check is refused; after its deletion; and with
    /// `validateOnly`.
    personal_connector: Option<PersonalConnector>,
    /// The errors of this connector; empty if it has none. With `REJECT_ALL`, an error of another connector also keeps
    /// this one as it was: its `outcome` is `NOT_WRITTEN`.
    user_errors: List<UserError>,
}

/// The results of `setConnectorStatuses`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SetConnectorStatusesPayload {
    /// A result for each id, in the order of the input.
    results: List<BulkResult>,
    /// Errors of the whole input, or the reason that nothing was written; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last written change; null if nothing was written. Do not continue after it, because changes of
    /// others may precede it.
    changes_cursor: Option<String>,
}

/// The results of `updateCatalogConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct UpdateCatalogConnectorsPayload {
    /// A result for each id, in the order of the input.
    results: List<BulkResult>,
    /// Errors of the whole input, or the reason that nothing was written; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last written change; null if nothing was written. Do not continue after it, because changes of
    /// others may precede it.
    changes_cursor: Option<String>,
}

/// The results of `deleteCustomConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct DeleteCustomConnectorsPayload {
    /// The ids of the connectors that were deleted, in the order of the input.
    deleted_ids: List<ID>,
    /// A result for each id, in the order of the input.
    results: List<BulkResult>,
    /// Errors of the whole input, or the reason that nothing was written; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last written change; null if nothing was written. Do not continue after it, because changes of
    /// others may precede it.
    changes_cursor: Option<String>,
}

/// The results of `checkConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CheckConnectorsPayload {
    /// A result for each id, in the order of the input. One without errors is queued.
    results: List<BulkResult>,
    /// Errors of the whole input; empty otherwise.
    user_errors: List<UserError>,
    /// The cursor of the last written change; null if nothing was written. Do not continue after it, because changes of
    /// others may precede it.
    changes_cursor: Option<String>,
}

/// The result of `importConnectors`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ImportConnectorsPayload {
    /// The results of the text's objects; null with errors.
    report: Option<ImportReport>,
    /// Errors of the whole input; empty on success, whatever the results of the objects.
    user_errors: List<UserError>,
    /// The cursor of the last written change; null if nothing was written, and with errors. A long text is imported in
    /// several parts, and others may change something in between. To keep a copy, follow from before the import.
    changes_cursor: Option<String>,
}

pub(in crate::graphql) struct ImportReport(Imported);

/// The number of an import's connectors with this category from this source.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ImportedCategory {
    /// The category; null for connectors without one.
    category: Option<ConnectorCategory>,
    /// The source of the category; null for connectors without one.
    source: Option<CategorySource>,
    /// The number of connectors.
    count: u64,
}

/// The results of an import's objects.
#[Object]
impl ImportReport {
    /// The number of objects in the text, which is the sum of the results.
    async fn total(&self) -> u64 {
        self.0.report.total()
    }

    /// The number of new connectors.
    async fn created(&self) -> u64 {
        self.0.report.created
    }

    /// The number of changed connectors.
    async fn updated(&self) -> u64 {
        self.0.report.updated
    }

    /// The connectors' present categories.
    async fn categories(&self) -> List<ImportedCategory> {
        let counts = self.0.report.categories.each().into_iter();
        let counts = counts.map(|(found, count)| ImportedCategory {
            category: found.map(|(category, _)| category.into()),
            source: found.map(|(_, source)| source.into()),
            count,
        });
        counts.collect()
    }

    /// The number of unchanged connectors.
    async fn unchanged(&self) -> u64 {
        self.0.report.unchanged
    }

    /// The number of older versions of registry servers.
    async fn older_versions(&self) -> u64 {
        self.0.report.older_versions
    }

    /// The number of servers that their registry deleted.
    async fn deleted(&self) -> u64 {
        self.0.report.deleted
    }

    /// The number of servers that their client's configuration disables.
    async fn disabled(&self) -> u64 {
        self.0.report.disabled
    }

    /// The number of rejected objects.
    async fn rejected(&self) -> u64 {
        self.0.report.rejected
    }

    /// The number of connectors whose replacement could not be set.
    async fn without_replacement(&self) -> u64 {
        self.0.report.without_replacement
    }

    /// The number of warnings.
    async fn warnings(&self) -> u64 {
        self.0.report.warnings
    }

    /// Whether no object was rejected, and none lacks its replacement.
    async fn is_complete(&self) -> bool {
        self.0.report.is_complete()
    }

    /// A line for each rejection and warning, with its position in the text. Each kind has its first 20 lines, and the
    /// number of others.
    async fn lines(&self) -> List<Text<'_>> {
        Text::list(&self.0.lines)
    }
}

#[derive(Debug, Default)]
pub(in crate::graphql) struct BulkMutation;

#[Object]
impl BulkMutation {
    /// Sets the status of up to 100 connectors in one transaction, each as by `setConnectorStatus`. One that has the
    /// status already is not changed, so that a retry is safe.
    async fn set_connector_statuses(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors and their new status.")] input: SetConnectorStatusesInput,
    ) -> Result<Option<SetConnectorStatusesPayload>> {
        change(context, input.into()).await
    }

    /// Deletes up to 100 custom connectors in one transaction, each as by `deleteCustomConnector`. In a retry those
    /// that are deleted already are `NOT_FOUND`.
    async fn delete_custom_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors.")] input: DeleteCustomConnectorsInput,
    ) -> Result<Option<DeleteCustomConnectorsPayload>> {
        change(context, input.into()).await
    }

    /// Sets the category, icon or description of up to 100 official or platform-built connectors in one transaction,
    /// over the values in their files. Needs the scope `catalog:admin`. Imports keep these values, and `curatedFields`
    /// of the connector has the files' values.
    async fn update_catalog_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connectors and what to set.")] input: UpdateCatalogConnectorsInput,
    ) -> Result<Option<UpdateCatalogConnectorsPayload>> {
        change(context, input.into()).await
    }

    /// Queues checks of up to 100 connectors' MCP servers, and does not wait for them. Needs the scope
    /// `connectors:write` or `connectors:admin`. Counts as one inspection. A connector that was checked less than a
    /// minute ago is not queued. Fails with `UNAVAILABLE` if no process checks connectors.
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

    /// Imports the text of a file, as the command `import` does. Needs the scope `catalog:admin`. Imported again, the
    /// same text changes nothing, so that a retry is safe.
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
    given.unwrap_or_default().into()
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
        Self {
            content: input.content,
            organization: input.organization_id.map(|id| id.0),
            visibility: input.visibility.map_or(IMPORTED, Into::into),
            category: input.category.map(Into::into),
            category_rules: input.category_rules,
            dry_run: input.dry_run.unwrap_or_default(),
        }
    }
}

/// The results, whose connectors share a loader, and the errors of the input.
fn parts(outcome: BulkOutcome) -> (List<BulkResult>, List<UserError>, Option<String>) {
    let changes_cursor = outcome.position.map(cursor::of_changes);
    let others = outcome.others.into();
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
            outcome: if errors.is_empty() {
                others
            } else {
                BulkResultOutcome::Failed
            },
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

/// Makes the payload of a mutation with results only.
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
            // A deleted connector no longer exists.
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
