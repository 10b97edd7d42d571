//! `personal_connector`: one row a connector, of every type.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A connector as stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "personal_connector")]
pub struct Model {
    /// The catalogue's state number that created the row; the search index knows the row by it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub id: String,
    pub name: String,
    /// The folded name, bounded in bytes: order, uniqueness and cursors go by it.
    pub name_key: String,
    pub r#type: ConnectorType,
    pub connector_id: String,
    pub description: Option<String>,
    pub icon_url: Option<String>,
    pub category: Option<ConnectorCategory>,
    pub version: Option<String>,
    pub status: ConnectorStatus,
    pub status_message: Option<String>,
    pub replaced_by_id: Option<String>,
    pub server_url: Option<String>,
    pub server_type: Option<ServerType>,
    /// A JSON object as compact text: key order and numbers stay as they came.
    pub metadata: Option<String>,
    pub visibility: ConnectorVisibility,
    pub organization_id: Option<String>,
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// 1 for a new row, one more with each change of it.
    pub revision: i64,
    pub source: ConnectorSource,
    /// Digest of what a file last brought; none once the row was changed by hand.
    pub source_hash: Option<String>,
    /// The status, message and replacement that a file last brought, as JSON.
    pub source_status: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ConnectorType {
    Official,
    AitronosBuilt,
    Custom,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ConnectorCategory {
    Productivity,
    Development,
    Communication,
    Design,
    Custom,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ConnectorStatus {
    Active,
    Deprecated,
    Maintenance,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ServerType {
    Http,
    Websocket,
    Stdio,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ConnectorVisibility {
    Private,
    Organization,
    Public,
}

/// Where a row came from: only what the catalogue file brought is deleted when the file no longer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum ConnectorSource {
    /// The catalogue file read at each start.
    Catalog,
    /// The `import` command.
    Import,
    /// A mutation.
    Api,
}
