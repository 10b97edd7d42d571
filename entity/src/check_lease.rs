//! `check_lease`: one row that names the process which runs the monitor, and the end of its lease by the database's
//! time.

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
    /// The holder's id, a ULID that it makes when it starts. Null before the first lease, and after a release.
    pub holder: Option<String>,
    /// Raised with each new holder.
    pub epoch: i64,
    /// The end of the lease unless it is renewed, in microseconds since 1970. 0 before the first lease, and after a
    /// release.
    pub expires_at: Timestamp,
    /// A random number, new with each holder.
    pub mark: i64,
}

impl ActiveModelBehavior for ActiveModel {}
