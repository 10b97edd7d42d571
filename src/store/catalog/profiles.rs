//! Reads of users' names and pictures.

use std::collections::HashMap;

use entity::{
    UserKey,
    user_profile::{Column, Entity},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use crate::{
    domain::viewer::Profile,
    error::Result,
    store::database::{row::Row, sqlite_readers::Pace},
};

use super::Catalog;

impl Catalog {
    /// Returns the known profiles of users. The caller ensures that the viewer may know these users.
    pub(crate) async fn profiles(&self, users: &[UserKey]) -> Result<HashMap<UserKey, Profile>> {
        let organizations = users.iter().map(|user| user.organization.as_deref());
        let mut organizations: Vec<_> = organizations.map(Option::unwrap_or_default).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let select = Entity::find()
            .select_only()
            .columns([
                Column::OrganizationId,
                Column::UserId,
                Column::Name,
                Column::PictureUrl,
            ])
            .filter(Column::OrganizationId.is_in(organizations))
            .filter(Column::UserId.is_in(users.iter().map(|user| &user.id)))
            .into_query();
        let read = |row: Row<'_>| {
            let mut cells = row.cells(0);
            let organization: String = cells.next()?;
            let key = UserKey {
                organization: Some(organization).filter(|organization| !organization.is_empty()),
                id: cells.next()?,
            };
            let (name, picture_url) = (cells.next()?, cells.next()?);
            Ok((key, Profile { name, picture_url }))
        };
        Ok(self
            .rows(&select, Pace::Brief, read)
            .await?
            .into_iter()
            .collect())
    }
}
