//! `check_lease`: one row that says which process checks connectors, and until when, by the database's time.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "check_lease")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub holder: Option<String>,
    /// One more with each new holder.
    pub epoch: i64,
    pub expires_at: Timestamp,
    /// Random, another with each new holder.
    pub mark: i64,
}

impl ActiveModelBehavior for ActiveModel {}
