//! `PersonalConnector`, the published object.

use std::sync::{Arc, OnceLock};

use async_graphql::{Context, ID, Object, SimpleObject};
use entity::{UserKey, personal_connector::Model};

use crate::{
    domain::{
        changes::{Paging, Place},
        connector::FileValue,
        field::{ChangedField, Field},
        listing::Search,
        tools,
        viewer::{Action, Denial, Right},
    },
    error::Result,
    graphql::Request,
    store::{file_details, ownership},
};

use crate::graphql::{
    changes::{
        Connector, PersonalConnectorChange, PersonalConnectorChangeConnection,
        PersonalConnectorField,
    },
    enums::{
        ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, DenialReason,
        ServerType, name, reasons,
    },
    inspection::McpToolConnection,
    list::List,
    scalars::{DateTime, Json, Url},
    text::Text,
    user::UserObject,
};

use super::{
    health::ConnectorHealth,
    loader::Loader,
    packages::{Pages, RegistryMetadata, ServerPackage},
    search::{SearchMatch, needs_no_tool},
};

#[derive(Clone)]
pub(in crate::graphql) struct PersonalConnector {
    model: Arc<Model>,
    loader: Arc<Loader>,
    pages: Arc<OnceLock<Pages>>,
}

impl PersonalConnector {
    /// A connector that belongs to no list.
    pub(in crate::graphql) fn new(model: Model) -> Self {
        let loader = Loader::of([&model]);
        Self::of(Arc::new(model), loader)
    }

    fn of(model: Arc<Model>, loader: Arc<Loader>) -> Self {
        Self {
            model,
            loader,
            pages: Arc::default(),
        }
    }

    /// The connectors of one list.
    pub(in crate::graphql) fn list(models: Vec<Model>) -> Vec<Self> {
        Self::shared(models.into_iter().map(Arc::new).collect())
    }

    /// The connectors of one list, which may contain a connector several times.
    pub(in crate::graphql) fn shared(models: Vec<Arc<Model>>) -> Vec<Self> {
        let loader = Loader::of(models.iter().map(AsRef::as_ref));
        models
            .into_iter()
            .map(|model| Self::of(model, loader.clone()))
            .collect()
    }

    /// Returns a page of the connector's changes.
    async fn history(
        &self,
        context: &Context<'_>,
        place: Place,
    ) -> Result<PersonalConnectorChangeConnection<Self>> {
        let catalog = &Request::of(context).catalog;
        let loaded = self.loader.changes(catalog, self.model.seq, place).await?;
        let (history, named) = loaded.as_deref().cloned().unwrap_or_default();
        let id = self.model.id.clone();
        let changes = &history.changes;
        let nodes = PersonalConnectorChange::of_connector(changes, id, self.clone(), &named);
        Ok(PersonalConnectorChangeConnection::of_connector(
            place, &history, nodes,
        ))
    }

    /// Returns the fields in which a search found the connector.
    pub(super) async fn matches(
        &self,
        context: &Context<'_>,
        search: &Search,
    ) -> Result<List<SearchMatch>> {
        let mut matches = SearchMatch::of(search, &self.model);
        if !needs_no_tool(search, &self.model) {
            let catalog = &Request::of(context).catalog;
            let words: Vec<_> = search.words().cloned().collect();
            let tool = self.loader.matching_tool(catalog, self.model.seq, words);
            let tool = tool.await?;
            matches.extend(tool.and_then(|tool| SearchMatch::of_tool(search, &tool)));
        }
        Ok(matches.into())
    }

    fn registry(&self) -> RegistryMetadata {
        RegistryMetadata::read(self.model.metadata.as_deref())
    }

    fn pages(&self) -> &Pages {
        self.pages.get_or_init(|| self.registry().pages())
    }

    fn decide(&self, context: &Context<'_>, right: Right) -> Result<(), Denial> {
        let action = right.on(ownership(&self.model));
        Request::of(context).viewer.decide(action)
    }

    fn sees_owner(&self, context: &Context<'_>) -> bool {
        let action = Action::SeeOwner(ownership(&self.model));
        Request::of(context).viewer.decide(action).is_ok()
    }
}

impl Connector for PersonalConnector {
    fn list(models: Vec<Model>) -> Vec<Self> {
        Self::list(models)
    }
}

/// A field that an administrator of the catalogue set over the value in the connector's file.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CuratedField {
    /// The field: `DESCRIPTION`, `ICON_URL` or `CATEGORY`.
    field: PersonalConnectorField,
    /// The file's value as text, a category by its name; null if the file has none. A category may be one that the
    /// import added. Everybody who sees the connector sees this value, so curation hides nothing that a file says.
    file_value: Option<Text<'static>>,
}

/// A connector to an outside service through MCP (the Model Context Protocol): official (hosted by the vendor), built
/// by the platform, or custom (a server that a user brought).
#[Object]
impl PersonalConnector {
    /// Identifies the connector: `pcon_` and ASCII letters and digits.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.model.id.clone().into()
    }

    /// The type of the object in the published JSON form: always `personal_connector`.
    async fn object(&self) -> &str {
        "personal_connector"
    }

    /// The name for people, such as `GitHub`. 1 to 100 characters.
    async fn name(&self) -> Text<'_> {
        Text::new(&self.model.name)
    }

    /// Its kind: official, built by the platform, or custom.
    async fn r#type(&self) -> ConnectorType {
        self.model.r#type.into()
    }

    /// The connector's kind, such as `github`: unique among official and platform-built connectors, `custom_mcp` for
    /// every custom one.
    async fn connector_id(&self) -> Text<'_> {
        Text::new(&self.model.connector_id)
    }

    /// Its purpose and the service it works with. Up to 2,000 characters.
    async fn description(&self) -> Option<Text<'_>> {
        self.model.description.as_deref().map(Text::new)
    }

    /// The address of its icon, https.
    async fn icon_url(&self) -> Option<Text<'_, Url>> {
        self.model.icon_url.as_deref().map(Text::new)
    }

    /// The category; null for none.
    async fn category(&self) -> Option<ConnectorCategory> {
        self.model.category.map(Into::into)
    }

    /// Its version, by semantic versioning.
    async fn version(&self) -> Option<Text<'_>> {
        self.model.version.as_deref().map(Text::new)
    }

    /// Whether it can be used.
    async fn status(&self) -> ConnectorStatus {
        self.model.status.into()
    }

    /// A notice to its users about the status.
    async fn status_message(&self) -> Option<Text<'_>> {
        self.model.status_message.as_deref().map(Text::new)
    }

    /// The connector that replaces a deprecated one; null if there is none, or if you do not see it.
    async fn replaced_by(&self, context: &Context<'_>) -> Result<Option<PersonalConnector>> {
        let Some(id) = &self.model.replaced_by_id else {
            return Ok(None);
        };
        let catalog = &Request::of(context).catalog;
        let replacement = self.loader.replacement(catalog, id).await?;
        Ok(replacement.map(|(model, loader)| Self::of(model, loader)))
    }

    /// The address of its MCP server; null for one that runs on the user's own machine.
    async fn server_url(&self) -> Option<Text<'_, Url>> {
        self.model.server_url.as_deref().map(Text::new)
    }

    /// The protocol of its MCP server.
    async fn server_type(&self) -> Option<ServerType> {
        self.model.server_type.map(Into::into)
    }

    /// The result of the last check of its MCP server; null before the first one, and after it is given another server.
    async fn health(&self, context: &Context<'_>) -> Result<Option<ConnectorHealth>> {
        let catalog = &Request::of(context).catalog;
        let health = self.loader.health(catalog, self.model.seq).await?;
        Ok(health.map(|health| ConnectorHealth {
            seq: self.model.seq,
            loader: self.loader.clone(),
            health,
        }))
    }

    /// The tools that its MCP server last listed, up to 1,000, by their names: as anybody sees them, without a sign-in.
    async fn tools(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many to give at most, from 0 to 100. The default is 20.")]
        first: Option<i32>,
        #[graphql(desc = "Give tools after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Words to find in name, title and description, without regard to case and accents. All of them are \
                    found, the last one as the beginning of a word. Up to 256 characters. Blank text finds everything."
        )]
        search: Option<String>,
    ) -> Result<McpToolConnection> {
        let listing = tools::Listing::parse(first, after.as_deref(), search.as_deref())?;
        let catalog = &Request::of(context).catalog;
        let (loader, seq) = (&self.loader, self.model.seq);
        let page = loader.tools(catalog, seq, &listing).await?;
        let mut total = 0;
        if context.look_ahead().field("totalCount").exists() {
            let words = listing.words.as_deref();
            let count = loader.tool_count(catalog, seq, words).await?;
            total = count.map_or(0, |count| *count);
        }
        Ok(McpToolConnection::new(
            listing,
            page.unwrap_or_default(),
            total,
        ))
    }

    /// More about it: a JSON object of any keys and values, up to 16 KiB.
    async fn metadata(&self) -> Option<Text<'_, Json>> {
        self.model.metadata.as_deref().map(Text::new)
    }

    /// The fields that an administrator of the catalogue set over the values in the connector's file; empty if there
    /// are none.
    async fn curated_fields(&self) -> List<CuratedField> {
        let file = file_details(&self.model);
        let field = |field: Field, value: Option<FileValue<String>>| {
            value.map(|FileValue(value)| CuratedField {
                field: PersonalConnectorField::new(ChangedField::Of(field)),
                file_value: value.map(Text::new),
            })
        };
        let category = |value| name(ConnectorCategory::from(value)).to_owned();
        let fields = [
            field(Field::Description, file.description),
            field(Field::IconUrl, file.icon_url),
            field(
                Field::Category,
                file.category
                    .map(|FileValue(value)| FileValue(value.map(category))),
            ),
        ];
        fields.into_iter().flatten().collect()
    }

    /// The address of its source code's repository, http or https, as its metadata say.
    async fn repository_url(&self) -> Option<Text<'_, Url>> {
        self.pages().repository.as_deref().map(Text::new)
    }

    /// The address of its website, http or https, as its metadata say.
    async fn website_url(&self) -> Option<Text<'_, Url>> {
        self.pages().website.as_deref().map(Text::new)
    }

    /// The packages that its MCP server can be run from, as its metadata say in the form of the MCP registry. One of
    /// another form is in the metadata only.
    async fn packages(&self) -> List<ServerPackage> {
        self.registry().packages()
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.model.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.model.updated_at)
    }

    /// The id of the user who added it. Custom connectors only; null outside its organization.
    async fn created_by(&self, context: &Context<'_>) -> Option<ID> {
        let created_by = self.model.created_by.clone()?;
        self.sees_owner(context).then(|| created_by.into())
    }

    /// The user who added it. Custom connectors only; null outside its organization.
    async fn creator(&self, context: &Context<'_>) -> Option<UserObject> {
        let id = self.model.created_by.clone()?;
        let organization = self.model.organization_id.clone();
        let creators = &self.loader.creators;
        self.sees_owner(context)
            .then(|| creators.user(UserKey { organization, id }))
    }

    /// The organization it belongs to. Custom connectors only; null outside of it.
    async fn organization_id(&self, context: &Context<'_>) -> Option<ID> {
        let organization_id = self.model.organization_id.clone()?;
        self.sees_owner(context).then(|| organization_id.into())
    }

    /// The users who see it.
    async fn visibility(&self) -> ConnectorVisibility {
        self.model.visibility.into()
    }

    /// 1 for a new connector, raised by each change. `expectedRevision` is compared with it.
    async fn revision(&self) -> i64 {
        self.model.revision
    }

    /// The last change of it that you saw and that the log still has, including those by checks of its server; null if
    /// there is none.
    async fn last_change(
        &self,
        context: &Context<'_>,
    ) -> Result<Option<PersonalConnectorChange<Self>>> {
        let history = self.history(context, Place::LATEST).await?;
        Ok(history.into_nodes().pop())
    }

    /// The changes of it that you saw and that the log still has, the latest first. A page is empty only at the end.
    async fn changes(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "How many to give from the latest, or after `after`, from 0 to 100. The default is 20. Not together \
                    with `last`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Give changes after this cursor, which are earlier ones.")] after: Option<
            String,
        >,
        #[graphql(
            desc = "How many to give from the oldest, or before `before`, from 0 to 100. They are in the same order."
        )]
        last: Option<i32>,
        #[graphql(desc = "Give changes before this cursor, which are later ones.")] before: Option<
            String,
        >,
    ) -> Result<PersonalConnectorChangeConnection<Self>> {
        let place = Place::parse(&Paging {
            first,
            after,
            last,
            before,
        })?;
        self.history(context, place).await
    }

    /// Whether you may change it by `updateCustomConnector`.
    async fn viewer_can_update(&self, context: &Context<'_>) -> bool {
        self.decide(context, Right::Update).is_ok()
    }

    /// Why you may not change it by `updateCustomConnector`; empty where you may.
    async fn viewer_cannot_update_reasons(&self, context: &Context<'_>) -> List<DenialReason> {
        reasons(self.decide(context, Right::Update))
    }

    /// Whether you may delete it.
    async fn viewer_can_delete(&self, context: &Context<'_>) -> bool {
        self.decide(context, Right::Delete).is_ok()
    }

    /// Why you may not delete it; empty where you may.
    async fn viewer_cannot_delete_reasons(&self, context: &Context<'_>) -> List<DenialReason> {
        reasons(self.decide(context, Right::Delete))
    }

    /// Whether you may set its status.
    async fn viewer_can_set_status(&self, context: &Context<'_>) -> bool {
        self.decide(context, Right::SetStatus).is_ok()
    }

    /// Why you may not set its status; empty where you may.
    async fn viewer_cannot_set_status_reasons(&self, context: &Context<'_>) -> List<DenialReason> {
        reasons(self.decide(context, Right::SetStatus))
    }

    /// Whether you may have its MCP server checked.
    async fn viewer_can_check(&self, context: &Context<'_>) -> bool {
        self.decide(context, Right::Check).is_ok()
    }

    /// Why you may not have its MCP server checked; empty where you may.
    async fn viewer_cannot_check_reasons(&self, context: &Context<'_>) -> List<DenialReason> {
        reasons(self.decide(context, Right::Check))
    }

    /// Whether you may make it PUBLIC, or leave it so, by `updateCustomConnector`.
    async fn viewer_can_publish(&self, context: &Context<'_>) -> bool {
        self.decide(context, Right::Publish).is_ok()
    }

    /// Why you may not make it PUBLIC, or leave it so, by `updateCustomConnector`; empty where you may.
    async fn viewer_cannot_publish_reasons(&self, context: &Context<'_>) -> List<DenialReason> {
        reasons(self.decide(context, Right::Publish))
    }

    /// Whether you may change it by `updateCatalogConnectors`.
    async fn viewer_can_curate(&self, context: &Context<'_>) -> bool {
        self.decide(context, Right::Curate).is_ok()
    }

    /// Why you may not change it by `updateCatalogConnectors`; empty where you may.
    async fn viewer_cannot_curate_reasons(&self, context: &Context<'_>) -> List<DenialReason> {
        reasons(self.decide(context, Right::Curate))
    }
}
