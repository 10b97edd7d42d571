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
    /// `pcon_` and ASCII letters and digits, at most 64 characters in all.
    pub id: String,
    /// The name for people, trimmed: 1 to 100 characters.
    pub name: String,
    /// The folded name, bounded in bytes: order, uniqueness and cursors go by it.
    pub name_key: String,
    /// Whether the connector is official, built by the platform, or custom. Only a custom one has an organization and a creator.
    pub r#type: ConnectorType,
    /// The kind of connector, such as `github`; at most 200 characters. Unique among official and platform-built connectors;
    /// `custom_mcp` for every custom one.
    pub connector_id: String,
    /// At most 2,000 characters, with line breaks. Null if there is none.
    pub description: Option<String>,
    /// An https URL, at most 2,048 characters. Null if there is none.
    pub icon_url: Option<String>,
    /// Null if none was given.
    pub category: Option<ConnectorCategory>,
    /// A semantic version (Semantic Versioning 2.0.0), at most 100 characters. Null if there is none.
    pub version: Option<String>,
    /// Whether the connector can be used.
    pub status: ConnectorStatus,
    /// A notice to users about the status, at most 1,000 characters. Null if there is none.
    pub status_message: Option<String>,
    /// The `id` of the connector to use instead. Null unless the status is `deprecated`, and if nothing replaces it.
    pub replaced_by_id: Option<String>,
    /// The http, https, ws or wss URL of the MCP server, at most 2,048 characters. Null if the server has no address.
    pub server_url: Option<String>,
    /// The protocol of the MCP server. Null if it is not known: a check then begins with the transports of the
    /// URL's scheme.
    pub server_type: Option<ServerType>,
    /// A JSON object as compact text, at most 16 KiB: key order and numbers stay as they came. Null if there is none.
    pub metadata: Option<String>,
    /// Decides who sees the connector. Always `public` unless the type is `custom`.
    pub visibility: ConnectorVisibility,
    /// The organization of a custom connector. Null for the other types, and for a creator without an organization.
    pub organization_id: Option<String>,
    /// The id of the user who created a custom connector. Null for the other types, and if its file names nobody.
    pub created_by: Option<String>,
    /// When the connector was created, in microseconds since 1970: as its file says, or when the row was first stored.
    pub created_at: Timestamp,
    /// When the connector last changed, in microseconds since 1970: as its file says, or when the change was stored. A change of
    /// health or tools alone leaves it.
    pub updated_at: Timestamp,
    /// 1 for a new row, one more with each change of it.
    pub revision: i64,
    /// The source of the row: a file that brings the connector again takes the place of the source before.
    pub source: ConnectorSource,
    /// Digest of the entry that a file last brought. Null if there is none, if the row is not all that the entry brings, and
    /// once a custom connector was changed by hand.
    pub source_hash: Option<String>,
    /// The status, message and replacement that a file last brought, as JSON. Null for custom connectors, and if
    /// no file brought the connector whole.
    pub source_status: Option<String>,
    /// The file's values of the curated fields, as a JSON object of `description`, `iconUrl` and `category`: the columns
    /// have the curated values. Null if nothing is curated.
    pub file_details: Option<String>,
    /// The source of the category: of the file's one, where an administrator has set another over it. Null if there is no category,
    /// and for one that was there before its source was kept, which is a file's or people's.
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
    /// The category of connectors that users create without naming one.
    Custom,
}

/// The source of a category. A later one counts more.
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
    /// The import, for all its entries that had none.
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
    /// Users should take another one: the replacement, if there is one.
    Deprecated,
    /// Unavailable for a while.
    Maintenance,
}

/// The protocol that an MCP server is said to speak.
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

/// The viewers of a connector, besides administrators of the catalogue, who see all.
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
