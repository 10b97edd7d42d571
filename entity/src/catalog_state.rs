//! `catalog_state`: one row with the number of the last change, the clock of all changes, and of the last event that is no
//! longer kept.

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
    /// The log keeps every event above this number, and none up to it.
    pub forgotten: i64,
    /// The mark of the last event that was forgotten; random if none was.
    pub forgotten_mark: i64,
}

impl ActiveModelBehavior for ActiveModel {}
