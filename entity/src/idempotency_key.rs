//! `idempotency_key`: what a creator's key made, so that a retried create finds it again.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_key")]
pub struct Model {
    /// Empty for a creator without an organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub created_by: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Digest of the input the key was first used with.
    pub input_hash: String,
    pub personal_connector_id: String,
    pub created_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
