//! `connector_tool`: the tools that servers last listed.

use sea_orm::entity::prelude::*;

/// A tool of a connector's server. At most 1,000 are stored for a connector, with 256 KiB of text in total.
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
    /// The name for people. Null if the server gives none, or if it exceeded the space.
    pub title: Option<String>,
    /// The description. Null if the server gives none, or if it exceeded the space.
    pub description: Option<String>,
    /// The JSON Schema of the arguments. Null if the server gives none, or if it exceeded the space.
    pub input_schema: Option<String>,
    /// The JSON Schema of the results. Null if the server gives none, or if it exceeded the space.
    pub output_schema: Option<String>,
    /// The server's hints of the tool's effects (MCP, `ToolAnnotations`): a JSON object. Null like the schemas.
    pub annotations: Option<String>,
    /// The folded words of name, title and description, each once, with a space before and after each.
    pub words: String,
}

impl ActiveModelBehavior for ActiveModel {}
