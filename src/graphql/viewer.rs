//! The caller, as the schema's `Viewer`.

use async_graphql::{Context, ID, Object};
use tokio::sync::OnceCell;

use crate::{
    domain::viewer::{Action, Denial, User, Viewer},
    error::Result,
    graphql::{
        context::Request,
        enums::{DenialReason, reasons},
        list::List,
        user::UserObject,
    },
};

pub(in crate::graphql) struct ViewerObject<'a> {
    viewer: &'a Viewer,
    /// The number of the viewer's custom connectors, after it was counted.
    created: OnceCell<u64>,
}

impl ViewerObject<'_> {
    fn caller(&self) -> Option<&User> {
        self.viewer.user()
    }

    async fn created(&self, context: &Context<'_>) -> Result<u64> {
        if self.caller().is_none() {
            return Ok(0);
        }
        let count = async || {
            let catalog = &Request::of(context).catalog;
            catalog.count_owned(&self.viewer.own()).await
        };
        self.created.get_or_try_init(count).await.copied()
    }

    async fn create_another(&self, context: &Context<'_>) -> Result<Result<(), Denial>> {
        let another = Action::CreateAnother {
            present: self.created(context).await?,
            most: Request::of(context).commands.quota,
        };
        Ok(self.viewer.decide(another))
    }
}

/// The caller, as described by the bearer token.
#[Object(name = "Viewer")]
impl ViewerObject<'_> {
    /// Your user id; null without a token.
    async fn user_id(&self) -> Option<ID> {
        self.caller().map(|user| user.id.clone().into())
    }

    /// You; null without a token.
    async fn user(&self) -> Option<UserObject> {
        self.caller().map(|user| UserObject::new(user.key()))
    }

    /// Your organization; null without a token, or if the token names none and there is no default.
    async fn organization_id(&self) -> Option<ID> {
        let user = self.caller()?;
        user.organization.clone().map(Into::into)
    }

    /// The token's scopes, sorted.
    async fn scopes(&self) -> List<&str> {
        let scopes = self.caller().into_iter().flat_map(|user| &user.scopes);
        scopes.map(String::as_str).collect()
    }

    /// Whether you may create another custom connector. False at the limit.
    async fn can_create_custom_connector(&self, context: &Context<'_>) -> Result<bool> {
        Ok(self.create_another(context).await?.is_ok())
    }

    /// The reasons that you may not create another custom connector; empty if you may.
    async fn cannot_create_custom_connector_reasons(
        &self,
        context: &Context<'_>,
    ) -> Result<List<DenialReason>> {
        Ok(reasons(self.create_another(context).await?))
    }

    /// The number of custom connectors that you created in your organization; 0 without a token.
    async fn custom_connector_count(&self, context: &Context<'_>) -> Result<u64> {
        self.created(context).await
    }

    /// The most custom connectors of one user in an organization.
    async fn custom_connector_limit(&self, context: &Context<'_>) -> i32 {
        let most = Request::of(context).commands.quota;
        i32::try_from(most).unwrap_or(i32::MAX)
    }

    /// Whether every mutation that writes fails with `UNAVAILABLE` now: the service was started read-only, or its
    /// database cannot be written.
    async fn read_only(&self, context: &Context<'_>) -> bool {
        let database = &Request::of(context).commands.database;
        database.unwritable().is_some()
    }
}

#[derive(Debug, Default)]
pub(in crate::graphql) struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// The caller.
    async fn viewer<'a>(&self, context: &Context<'a>) -> ViewerObject<'a> {
        ViewerObject {
            viewer: &Request::of(context).viewer,
            created: OnceCell::new(),
        }
    }
}
