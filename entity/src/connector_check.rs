//! `connector_check`: the history of checks, so many of each connector.

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
    /// When the check began, in microseconds since 1970. No two checks of a connector have the same time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub checked_at: Timestamp,
    /// The state that the server was found in.
    pub outcome: Outcome,
    /// The outcome in words, for people; nothing of it is the server's own.
    pub message: String,
    /// Milliseconds until the server had said what it is. Null if it did not.
    pub latency_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
