//! `write_probe`: at most one row, rewritten to test whether the database can be written.

use sea_orm::entity::prelude::*;

/// The row of the table.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_probe")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Random bytes, as many as a large connector has.
    pub filler: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
