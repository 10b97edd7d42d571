//! `catalog_state`: one row with the number of the last change, which is the catalogue's version, and the number of the
//! last pruned event.

use sea_orm::entity::prelude::*;

/// The one row of the table. A write transaction locks it before it changes a connector.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "catalog_state")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The number of the last change; 0 before the first. Changes are numbered in commit order, without gaps.
    pub state: i64,
    /// The last pruned event. The log has every event above this number, and none up to it.
    pub forgotten: i64,
    /// The mark of the last pruned event; random before the first.
    pub forgotten_mark: i64,
}

impl ActiveModelBehavior for ActiveModel {}
