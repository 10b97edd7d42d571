//! `personal_connector`: one row for each connector, of every type.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A stored connector.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "personal_connector")]
pub struct Model {
    /// The catalogue's state number that created the row, which is also its key in the search index.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// `pcon_` and ASCII letters and digits, at most 64 characters in all.
    pub id: String,
    /// The name for people, trimmed: 1 to 100 characters.
    pub name: String,
    /// The folded name, bounded in bytes, which decides order, uniqueness and cursors.
    pub name_key: String,
    /// Whether the connector is official, built by the platform, or custom. Only a custom one has an organization and a
    /// creator.
    pub r#type: ConnectorType,
    /// The kind of connector, such as `github`; at most 200 characters. Unique among official and platform-built
    /// connectors; `custom_mcp` for every custom one.
    pub connector_id: String,
    /// At most 2,000 characters, with line breaks. Null if there is none.
    pub description: Option<String>,
    /// An https URL, at most 2,048 characters. Null if there is none.
    pub icon_url: Option<String>,
    /// The purpose. Null if none was given.
    pub category: Option<ConnectorCategory>,
    /// A semantic version (Semantic Versioning 2.0.0), at most 100 characters. Null if there is none.
    pub version: Option<String>,
    /// Whether the connector can be used.
    pub status: ConnectorStatus,
    /// A notice to users about the status, at most 1,000 characters. Null if there is none.
    pub status_message: Option<String>,
    /// The `id` of the connector to use instead. Null if there is none, and unless the status is `deprecated`.
    pub replaced_by_id: Option<String>,
    /// The http, https, ws or wss URL of the MCP server, at most 2,048 characters. Null if the server has no address.
    pub server_url: Option<String>,
    /// The protocol of the MCP server. Null if it is not known: a check then starts with the transports of the URL's
    /// scheme.
    pub server_type: Option<ServerType>,
    /// A JSON object as compact text, at most 16 KiB, with its order of keys and all digits of numbers. Null if there
    /// is none.
    pub metadata: Option<String>,
    /// Decides who sees the connector. Always `public` unless the type is `custom`.
    pub visibility: ConnectorVisibility,
    /// The organization of a custom connector. Null for the other types, and for a creator without an organization.
    pub organization_id: Option<String>,
    /// The id of the user who created a custom connector. Null for the other types, and if its file names no user.
    pub created_by: Option<String>,
    /// The time of creation, in microseconds since 1970, from the file or when the row was first stored.
    pub created_at: Timestamp,
    /// The time of the last change, in microseconds since 1970, from the file or when the change was stored. Changes of
    /// health or tools alone do not count.
    pub updated_at: Timestamp,
    /// 1 for a new row, raised by one with each change.
    pub revision: i64,
    /// The source of the row. A file that contains the connector replaces the previous source.
    pub source: ConnectorSource,
    /// The digest of the last entry from a file. Null without one, if the row lacks a part of the entry, and after a
    /// change of a custom connector by hand.
    pub source_hash: Option<String>,
    /// The status, message and replacement of the last entry from a file, as JSON. Null for custom connectors, and if
    /// no file contained the whole connector.
    pub source_status: Option<String>,
    /// The file's values of the curated fields, as a JSON object of `description`, `iconUrl` and `category`. The
    /// columns have the curated values. Null if nothing is curated.
    pub file_details: Option<String>,
    /// The source of the category in the file, even if an administrator has set another. Null without a category, and
    /// if a file or people set it in an earlier version.
    pub category_source: Option<CategorySource>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The host of a connector.
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
    /// Hosted by the vendor of the service that it connects to, such as GitHub.
    Official,
    /// Hosted and maintained by the platform.
    AitronosBuilt,
    /// An MCP server that a user brought.
    Custom,
}

/// The purpose of a connector.
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
    /// Tasks, documents, calendars.
    Productivity,
    /// Code, its repositories, its issues and its operation.
    Development,
    /// Messages and meetings.
    Communication,
    /// Design tools.
    Design,
    /// Connectors that users create without a category.
    Custom,
}

/// The source of a category. Later ones take precedence.
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
pub enum CategorySource {
    /// A rule of the import.
    Rule,
    /// The import's category for all entries without one.
    Given,
    /// The file itself.
    File,
    /// People, who may have chosen none.
    Person,
}

/// Whether a connector can be used.
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
    /// Available.
    Active,
    /// Users should move to the replacement, if there is one.
    Deprecated,
    /// Unavailable for a while.
    Maintenance,
}

/// The claimed protocol of an MCP server.
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
    /// Streamable HTTP, or HTTP with server-sent events.
    Http,
    /// A WebSocket, which MCP does not define.
    Websocket,
    /// Standard input and output of a program on the user's machine. It has no URL, and this service never runs it.
    Stdio,
}

/// The viewers of a connector. Administrators of the catalogue also see all.
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
    /// Its creator, and administrators of its organization.
    Private,
    /// The members of its organization.
    Organization,
    /// Everybody.
    Public,
}

/// The origin of a row. A reload of the catalogue file deletes only rows that came from the file.
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
