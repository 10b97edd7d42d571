//! `check_lease`: one row that says which process checks connectors, and until when, by the database's time.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// The one row of the table.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "check_lease")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// An id that the holder makes when it starts (a ULID). Null before the first lease, and after one was given up.
    pub holder: Option<String>,
    /// One more with each new holder.
    pub epoch: i64,
    /// When the lease ends unless it is renewed, in microseconds since 1970. 0 before the first lease, and after one was given
    /// up.
    pub expires_at: Timestamp,
    /// Random, another with each new holder.
    pub mark: i64,
}

impl ActiveModelBehavior for ActiveModel {}
