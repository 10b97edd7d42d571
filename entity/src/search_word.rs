//! `search_word`: the words of connectors' names, connectorIds and descriptions.

use sea_orm::entity::prelude::*;

/// A word that connectors have.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_word")]
pub struct Model {
    /// The word, folded, as the search index has it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: String,
    /// How many connectors have it. At least 1.
    pub connectors: i64,
    /// How many of them are PUBLIC.
    pub public_connectors: i64,
    /// The number of the change that brought it, or that brought it to the first PUBLIC connector.
    pub since: i64,
}

impl ActiveModelBehavior for ActiveModel {}
