//! `idempotency_key`: what a creator's key made, so that a retried create finds it again.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// A key that a create was sent with. Kept for 24 hours.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_key")]
pub struct Model {
    /// Empty for a creator without an organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: String,
    /// The creator's user id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub created_by: String,
    /// 1 to 255 characters that the client chose. Unique among the keys of the creator in the organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Digest of the input the key was first used with.
    pub input_hash: String,
    /// The `id` of the connector that the create made, which may be deleted by now.
    pub personal_connector_id: String,
    /// When the key was first used, in microseconds since 1970.
    pub created_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
