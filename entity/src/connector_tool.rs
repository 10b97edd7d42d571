//! `connector_tool`: the tools that connectors' servers last listed.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connector_tool")]
pub struct Model {
    /// The connector's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    /// JSON.
    pub input_schema: Option<String>,
    /// JSON.
    pub output_schema: Option<String>,
    /// JSON.
    pub annotations: Option<String>,
    /// The words of name, title and description, folded, each once, with a space before and behind each.
    pub words: String,
}

impl ActiveModelBehavior for ActiveModel {}
