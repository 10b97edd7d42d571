//! The lease of who checks connectors: one row.
//!
//! Invariant: whoever holds it is the only one, by the database's clock, so that processes whose clocks differ agree on when it is
//! over. Each holder has an epoch of its own, and what is written under it waits for a takeover or is waited for by it.

use std::time::Duration;

use entity::check_lease::{Column, Entity, Model};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ExprTrait, QueryFilter, QuerySelect, Value,
    sea_query::{CaseStatement, Expr},
};

use super::{connect::Database, errors::failed, write::Tx};
use crate::error::Result;

/// A lease that was taken: its holder's for as long as nobody else has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    holder: String,
    epoch: i64,
}

impl Database {
    /// Takes the lease for a while, or renews it; none while it is another's.
    pub async fn take_lease(&self, holder: &str, ttl: Duration) -> Result<Option<Lease>> {
        let now = match self.reader.backend() {
            // Not the transaction's beginning, which may be long before it got the row.
            DbBackend::Postgres => {
                "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
            }
            _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        };
        let ttl = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX / 4);
        let epoch = CaseStatement::new()
            .case(Column::Holder.eq(holder), Expr::col(Column::Epoch))
            .finally(Expr::col(Column::Epoch).add(1));
        let take = async {
            let tx = self.begin_write().await?;
            let taken = Entity::update_many()
                .col_expr(Column::Epoch, epoch.into())
                .col_expr(Column::Holder, Expr::value(holder))
                .col_expr(Column::ExpiresAt, Expr::cust(now).add(ttl))
                .filter(
                    Condition::any()
                        .add(Column::Holder.eq(holder))
                        .add(Expr::col(Column::ExpiresAt).lte(Expr::cust(now))),
                )
                .exec_with_returning(&tx)
                .await?;
            tx.commit(None).await?;
            Ok(taken)
        };
        let lease = take.await.map(|taken: Vec<Model>| {
            let row = taken.into_iter().next()?;
            Some(Lease {
                holder: holder.to_owned(),
                epoch: row.epoch,
            })
        });
        self.tally.hold(matches!(lease, Ok(Some(_))));
        lease.map_err(failed)
    }

    /// Lets the next one have a lease at once, unless they have it already.
    pub async fn give_up_lease(&self, lease: &Lease) -> Result<()> {
        let give_up = async {
            let tx = self.begin_write().await?;
            Entity::update_many()
                .col_expr(Column::Holder, Expr::value(Value::String(None)))
                .col_expr(Column::ExpiresAt, Expr::value(0))
                .filter(is_of(lease))
                .exec(&tx)
                .await?;
            tx.commit(None).await
        };
        self.tally.hold(false);
        give_up.await.map_err(failed)
    }
}

impl Tx {
    /// Whether a lease is still its holder's. Who would take it over waits for the end of this transaction.
    pub async fn holds(&self, lease: &Lease) -> Result<bool> {
        let row = Entity::find_by_id(1)
            .filter(is_of(lease))
            .lock_exclusive()
            .one(self.connection())
            .await
            .map_err(failed)?;
        Ok(row.is_some())
    }
}

fn is_of(lease: &Lease) -> Condition {
    Condition::all()
        .add(Column::Holder.eq(&lease.holder))
        .add(Column::Epoch.eq(lease.epoch))
}
