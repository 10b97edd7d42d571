//! `user_profile`: the name and picture of a user, from their last token.

use sea_orm::entity::prelude::*;

/// The key of a user. The same id in another organization is another user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct UserKey {
    /// None for a user without an organization.
    pub organization: Option<String>,
    /// The user's id.
    pub id: String,
}

/// A user of an organization.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_profile")]
pub struct Model {
    /// Empty for a user without an organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: String,
    /// The user's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// The name, 1 to 255 characters.
    pub name: Option<String>,
    /// The https address of the picture, up to 2,048 characters.
    pub picture_url: Option<String>,
    /// The number of the user's last change with a token that has a name or a picture.
    pub last_change: i64,
}

impl ActiveModelBehavior for ActiveModel {}
