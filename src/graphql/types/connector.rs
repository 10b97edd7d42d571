//! `PersonalConnector`, the published object.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object};
use entity::personal_connector::Model;

use crate::{
    domain::{tools, viewer::Action},
    error::Result,
    graphql::Request,
    store::ownership,
};

use super::{
    enums::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType},
    health::{ConnectorHealth, McpToolConnection},
    loader::Siblings,
    scalars::{DateTime, Json, Url},
    text::Text,
};

/// Something with an id by which `node` finds it again.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Identifies it among everything that `node` finds. Opaque, but for a connector it begins with `pcon_`."
))]
pub(in crate::graphql) enum Node {
    PersonalConnector(PersonalConnector),
}

pub(in crate::graphql) struct PersonalConnector {
    model: Arc<Model>,
    siblings: Arc<Siblings>,
}

impl PersonalConnector {
    /// One connector, alone.
    pub(in crate::graphql) fn new(model: Model) -> Self {
        let siblings = Siblings::of([&model]);
        let model = Arc::new(model);
        Self { model, siblings }
    }

    /// The connectors of one list.
    pub(in crate::graphql) fn list(models: Vec<Model>) -> Vec<Self> {
        Self::shared(models.into_iter().map(Arc::new).collect())
    }

    /// The connectors of one list, which may have one several times.
    pub(in crate::graphql) fn shared(models: Vec<Arc<Model>>) -> Vec<Self> {
        let siblings = Siblings::of(models.iter().map(AsRef::as_ref));
        models
            .into_iter()
            .map(|model| Self {
                model,
                siblings: siblings.clone(),
            })
            .collect()
    }

    fn sees_owner(&self, context: &Context<'_>) -> bool {
        let action = Action::SeeOwner(ownership(&self.model));
        Request::of(context).viewer.decide(action).is_ok()
    }
}

/// A connector to an outside service through MCP (the Model Context Protocol): official (hosted by the vendor), built by the
/// platform, or custom (a server that a user brought).
#[Object]
impl PersonalConnector {
    /// Identifies the connector: `pcon_` and ASCII letters and digits.
    async fn id(&self) -> ID {
        self.model.id.clone().into()
    }

    /// What kind of object this is in the published JSON form: always `personal_connector`.
    async fn object(&self) -> &str {
        "personal_connector"
    }

    /// The name for people, such as `GitHub`. 1 to 100 characters.
    async fn name(&self) -> Text<'_> {
        Text::new(&self.model.name)
    }

    /// Who hosts it.
    async fn r#type(&self) -> ConnectorType {
        self.model.r#type.into()
    }

    /// The connector's kind, such as `github`: unique among official and platform-built connectors, `custom_mcp` for every
    /// custom one.
    async fn connector_id(&self) -> Text<'_> {
        Text::new(&self.model.connector_id)
    }

    /// What it does and which service it works with. Up to 2,000 characters.
    async fn description(&self) -> Option<Text<'_>> {
        self.model.description.as_deref().map(Text::new)
    }

    /// The address of its icon, https.
    async fn icon_url(&self) -> Option<Text<'_, Url>> {
        self.model.icon_url.as_deref().map(Text::new)
    }

    /// What it is for.
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

    /// What its users should know about the status.
    async fn status_message(&self) -> Option<Text<'_>> {
        self.model.status_message.as_deref().map(Text::new)
    }

    /// What to use instead of a deprecated connector; null where there is nothing, or nothing that you see.
    async fn replaced_by(&self, context: &Context<'_>) -> Result<Option<PersonalConnector>> {
        let Some(id) = &self.model.replaced_by_id else {
            return Ok(None);
        };
        let catalog = &Request::of(context).catalog;
        let replacement = self.siblings.replacement(catalog, id).await?;
        Ok(replacement.map(|(model, siblings)| Self { model, siblings }))
    }

    /// The address of its MCP server; null for one that runs on the user's own machine.
    async fn server_url(&self) -> Option<Text<'_, Url>> {
        self.model.server_url.as_deref().map(Text::new)
    }

    /// How its MCP server is spoken to.
    async fn server_type(&self) -> Option<ServerType> {
        self.model.server_type.map(Into::into)
    }

    /// What the last check of its MCP server found; null until there was one, and from when it is given another server.
    async fn health(&self, context: &Context<'_>) -> Result<Option<ConnectorHealth>> {
        let catalog = &Request::of(context).catalog;
        let health = self.siblings.health(catalog, self.model.seq).await?;
        Ok(health.map(|health| ConnectorHealth {
            seq: self.model.seq,
            siblings: self.siblings.clone(),
            health,
        }))
    }

    /// The tools that its MCP server last listed, up to 1,000, by their names: as anybody sees them, without a sign-in.
    async fn tools(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many to give at most: 0 to 100, by default 20.")] first: Option<i32>,
        #[graphql(desc = "Give tools after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Words to find in name, title and description, without regard to case and accents: all of them, the \
                          last one as the beginning of a word. Up to 256 characters; blank finds everything."
        )]
        search: Option<String>,
    ) -> Result<McpToolConnection> {
        let listing = tools::Listing::parse(first, after.as_deref(), search.as_deref())?;
        McpToolConnection::read(context, self.model.seq, self.siblings.clone(), listing).await
    }

    /// More about it: a JSON object of any keys and values, up to 16 KiB.
    async fn metadata(&self) -> Option<Text<'_, Json>> {
        self.model.metadata.as_deref().map(Text::new)
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

    /// The organization it belongs to. Custom connectors only; null outside of it.
    async fn organization_id(&self, context: &Context<'_>) -> Option<ID> {
        let organization_id = self.model.organization_id.clone()?;
        self.sees_owner(context).then(|| organization_id.into())
    }

    /// Who sees it.
    async fn visibility(&self) -> ConnectorVisibility {
        self.model.visibility.into()
    }

    /// 1 for a new connector, and one more with each change of it: what `expectedRevision` is compared with.
    async fn revision(&self) -> i64 {
        self.model.revision
    }

    /// Whether you may change it by `updateCustomConnector`.
    async fn viewer_can_update(&self, context: &Context<'_>) -> bool {
        let action = Action::Update(ownership(&self.model));
        Request::of(context).viewer.decide(action).is_ok()
    }

    /// Whether you may delete it.
    async fn viewer_can_delete(&self, context: &Context<'_>) -> bool {
        let action = Action::Delete(ownership(&self.model));
        Request::of(context).viewer.decide(action).is_ok()
    }
}
