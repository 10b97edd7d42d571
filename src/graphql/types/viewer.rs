//! Who asks.

use async_graphql::{Context, ID, Object};

use crate::{
    domain::viewer::{Action, User, Viewer},
    graphql::context::Request,
};

pub(in crate::graphql) struct ViewerObject<'a>(pub(in crate::graphql) &'a Viewer);

impl ViewerObject<'_> {
    fn user(&self) -> Option<&User> {
        self.0.user()
    }
}

/// Who asks, as the bearer token says.
#[Object(name = "Viewer")]
impl ViewerObject<'_> {
    /// Your user id; null without a token.
    async fn user_id(&self) -> Option<ID> {
        self.user().map(|user| user.id.clone().into())
    }

    /// Your organization; null without a token, or when the token names none and there is no default one.
    async fn organization_id(&self) -> Option<ID> {
        let user = self.user()?;
        user.organization.clone().map(Into::into)
    }

    /// The token's scopes, sorted.
    async fn scopes(&self) -> Vec<&str> {
        let scopes = self.user().into_iter().flat_map(|user| &user.scopes);
        scopes.map(String::as_str).collect()
    }

    /// Whether you may create custom connectors, as long as you have fewer than the most there may be.
    async fn can_create_custom_connector(&self) -> bool {
        self.0.decide(Action::Create).is_ok()
    }

    /// Whether every mutation that writes is refused with `UNAVAILABLE` now: the service was started read-only, or its
    /// database cannot be written.
    async fn read_only(&self, context: &Context<'_>) -> bool {
        let database = &Request::of(context).commands.database;
        database.unwritable().is_some()
    }
}
