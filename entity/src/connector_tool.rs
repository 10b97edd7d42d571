//! `connector_tool`: the tools that connectors' servers last listed.

use sea_orm::entity::prelude::*;

/// A tool of a connector's server. At most 1,000 are kept of a connector, with 256 KiB of text in all.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_tool")]
pub struct Model {
    /// The `seq` of the connector.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The name by which the tool is called, cut to 256 bytes. Unique among the connector's tools.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The name for people. Null if the server gives none, or there was no room for it.
    pub title: Option<String>,
    /// Null if the server gives none, or there was no room for it.
    pub description: Option<String>,
    /// The JSON Schema of the arguments. Null if the server gives none, or there was no room for it.
    pub input_schema: Option<String>,
    /// The JSON Schema of the results. Null if the server gives none, or there was no room for it.
    pub output_schema: Option<String>,
    /// The server's hints of the tool's effects (MCP, `ToolAnnotations`): a JSON object. Null as the schemas.
    pub annotations: Option<String>,
    /// The words of name, title and description, folded, each once, with a space before and behind each.
    pub words: String,
}

impl ActiveModelBehavior for ActiveModel {}
