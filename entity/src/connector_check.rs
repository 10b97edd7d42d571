//! `connector_check`: the history of checks, with a limited number for each connector.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, connector_health::Outcome};

/// A check of a connector's server.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_check")]
pub struct Model {
    /// The `seq` of the connector.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The start of the check, in microseconds since 1970. It is unique for each connector.
    #[sea_orm(primary_key, auto_increment = false)]
    pub checked_at: Timestamp,
    /// The outcome of the inspection.
    pub outcome: Outcome,
    /// The outcome in words, for people, without any of the server's text.
    pub message: String,
    /// Milliseconds until the server's description arrived. Null if it did not.
    pub latency_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
