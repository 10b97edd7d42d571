//! `connector_check`: the history of checks, so many of each connector.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, connector_health::Outcome};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_check")]
pub struct Model {
    /// The connector's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub checked_at: Timestamp,
    pub outcome: Outcome,
    pub message: String,
    pub latency_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
