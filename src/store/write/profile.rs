//! Stores the names and pictures of users.
//!
//! Invariant: the change of a user writes their profile in the same transaction, so a reader of the new state sees the
//! new name. A profile is deleted with the last event and the last connector that name the user.

use entity::{
    UserKey,
    user_profile::{ActiveModel, Column, Entity},
};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Set, Statement, sea_query::OnConflict};

use crate::{domain::viewer::Profile, store::database::transaction::Transaction};

/// Stores the profile in the token of the user who made the change with this number. A missing claim changes nothing.
pub(super) async fn keep(
    tx: &Transaction,
    user: &UserKey,
    profile: &Profile,
    number: i64,
) -> Result<(), DbErr> {
    let given = [
        (Column::Name, profile.name.is_some()),
        (Column::PictureUrl, profile.picture_url.is_some()),
    ];
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    let mut columns: Vec<_> = given.map(|(column, _)| column).collect();
    if columns.is_empty() {
        return Ok(());
    }
    columns.push(Column::LastChange);
    let row = ActiveModel {
        organization_id: Set(user.organization.clone().unwrap_or_default()),
        user_id: Set(user.id.clone()),
        name: Set(profile.name.clone()),
        picture_url: Set(profile.picture_url.clone()),
        last_change: Set(number),
    };
    let mut conflict = OnConflict::columns([Column::OrganizationId, Column::UserId]);
    Entity::insert(row)
        .on_conflict(conflict.update_columns(columns).to_owned())
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// Deletes the profiles of users that only events up to `through` name. The events after `after` are still stored.
pub(super) async fn forget(tx: &Transaction, after: i64, through: i64) -> Result<(), DbErr> {
    const FORGET: &str = "DELETE FROM user_profile WHERE last_change <= $2
        AND (organization_id, user_id) IN (
            SELECT COALESCE(actor_organization_id, ''), actor_id FROM connector_event
                WHERE number > $1 AND number <= $2
            UNION SELECT COALESCE(organization_id, ''), created_by_before FROM connector_event
                WHERE number > $1 AND number <= $2)
        AND NOT EXISTS (
            SELECT 1 FROM personal_connector WHERE created_by = user_profile.user_id
                AND COALESCE(personal_connector.organization_id, '') = user_profile.organization_id)";
    let values = [after.into(), through.into()];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), FORGET, values);
    tx.execute_raw(statement).await.map(drop)
}
