//! `search_word`: the words of connectors' names, connectorIds and descriptions.

use sea_orm::entity::prelude::*;

/// A word of at least one connector.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_word")]
pub struct Model {
    /// The folded word, in the form of the search index.
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: String,
    /// The number of connectors with this word. At least 1.
    pub connectors: i64,
    /// The number of PUBLIC connectors with this word.
    pub public_connectors: i64,
    /// The number of the change that added the word, or of a later one that added it to the first PUBLIC connector.
    pub since: i64,
}

impl ActiveModelBehavior for ActiveModel {}
