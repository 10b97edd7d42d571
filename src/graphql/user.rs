//! Users, with the names of their last tokens.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_graphql::{Context, ID, Object};
use entity::UserKey;
use tokio::sync::OnceCell;

use crate::{
    domain::viewer::{Profile, ProfileParts},
    error::Result,
    graphql::Request,
};

use super::{scalars::Url, text::Text};

/// The users of one list. The first request for a profile loads all of them in one statement.
#[derive(Debug, Default)]
pub(in crate::graphql) struct Users {
    keys: Vec<UserKey>,
    profiles: OnceCell<HashMap<UserKey, Profile>>,
}

impl Users {
    pub(in crate::graphql) fn of(keys: impl IntoIterator<Item = UserKey>) -> Arc<Self> {
        let keys: BTreeSet<_> = keys.into_iter().collect();
        Arc::new(Self {
            keys: keys.into_iter().collect(),
            profiles: OnceCell::new(),
        })
    }

    /// Returns one of them.
    pub(in crate::graphql) fn user(self: &Arc<Self>, key: UserKey) -> UserObject {
        let users = self.clone();
        UserObject { key, users }
    }
}

/// A user whom the viewer may know.
pub(in crate::graphql) struct UserObject {
    key: UserKey,
    users: Arc<Users>,
}

impl UserObject {
    /// Creates a single user.
    pub(in crate::graphql) fn new(key: UserKey) -> Self {
        Users::of([key.clone()]).user(key)
    }

    /// Returns the profile. The viewer's own comes from their token, if it has one.
    async fn profile(&self, context: &Context<'_>) -> Result<Profile> {
        let request = Request::of(context);
        let parts = request.commands.profile_parts;
        if parts == ProfileParts::default() {
            return Ok(Profile::default());
        }
        let load = || request.catalog.profiles(&self.users.keys);
        let known = self.users.profiles.get_or_try_init(load).await?;
        let known = known.get(&self.key).cloned().unwrap_or_default();
        let own = request.viewer.user().filter(|user| user.key() == self.key);
        let Profile { name, picture_url } =
            own.map(|user| user.profile.clone()).unwrap_or_default();
        Ok(parts.of(Profile {
            name: name.or(known.name),
            picture_url: picture_url.or(known.picture_url),
        }))
    }
}

/// A user of the platform. Name and picture come from the token with which the user last changed a connector, if the
/// service stores them.
#[Object(name = "User")]
impl UserObject {
    /// The user's id, as in `createdBy` and `actor`. It is unique only within the organization, so a cache of users of
    /// several organizations cannot use it as a key.
    async fn user_id(&self) -> ID {
        self.key.id.clone().into()
    }

    /// The name, up to 255 characters; null if it is unknown, or if the service stores no names.
    async fn name(&self, context: &Context<'_>) -> Result<Option<String>> {
        Ok(self.profile(context).await?.name)
    }

    /// The https URL of a picture; null if it is unknown, or if the service stores none.
    async fn picture_url(&self, context: &Context<'_>) -> Result<Option<Text<'static, Url>>> {
        Ok(self.profile(context).await?.picture_url.map(Text::new))
    }

    /// Whether this is you.
    async fn is_viewer(&self, context: &Context<'_>) -> bool {
        let viewer = Request::of(context).viewer.user();
        viewer.is_some_and(|user| user.key() == self.key)
    }
}
