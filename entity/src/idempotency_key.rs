//! `idempotency_key`: the connector created with a creator's key. A retried create returns this connector again.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// The key of a create, stored for 24 hours.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_key")]
pub struct Model {
    /// The creator's organization; empty without one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: String,
    /// The creator's user id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub created_by: String,
    /// The client's key, of 1 to 255 characters. Unique for the creator in the organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The digest of the first input with this key.
    pub input_hash: String,
    /// The `id` of the connector that the create made, which may be deleted by now.
    pub personal_connector_id: String,
    /// The time of the first use, in microseconds since 1970.
    pub created_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}
