//! The lease of the process that checks connectors: one row.
//!
//! Invariant: each taking of the lease has an epoch and a random mark, because another history, such as a restored
//! backup, may have the same epoch. A write under a lease and a takeover exclude each other. A lease ends when the
//! database's clock says so, or when a candidate has seen it unchanged for its whole time by the candidate's monotonic
//! clock. So a wrong wall clock cannot keep the lease of a dead process.

use std::time::{Duration, Instant};

use entity::check_lease::{Column, Entity, Model};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    QueryTrait, Value,
    sea_query::{CaseStatement, Expr, SimpleExpr},
};

use crate::{
    clock::Clock,
    error::{Error, Result},
    store::{
        database::{connect::Database, sqlite_readers::Pace},
        errors::failed,
        write::Tx,
    },
};

/// A lease that was taken. The process holds it until another process takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    holder: String,
    epoch: i64,
    mark: i64,
}

/// A process that requests the lease repeatedly.
#[derive(Debug)]
pub struct Candidate {
    holder: String,
    ttl: Duration,
    clock: Clock,
    /// The number of its requests.
    asked: i64,
    /// The lease of another process, and the time since which it is unchanged.
    seen: Option<(Model, Instant)>,
}

impl Candidate {
    /// Creates a candidate that requests the lease for `ttl` each time. It should request it three times within that
    /// time.
    pub fn new(ttl: Duration, clock: Clock) -> Self {
        Self {
            holder: clock.new_holder_id(),
            ttl,
            clock,
            asked: 0,
            seen: None,
        }
    }

    /// Returns the lease that was not renewed for its whole time.
    fn abandoned(&self) -> Option<&Model> {
        let (row, since) = self.seen.as_ref()?;
        let seen_for = self.clock.monotonic().saturating_duration_since(*since);
        (seen_for >= self.ttl).then_some(row)
    }

    fn see(&mut self, row: Option<Model>) {
        if self.seen.as_ref().map(|(row, _)| row) != row.as_ref() {
            self.seen = row.map(|row| (row, self.clock.monotonic()));
        }
    }
}

impl Database {
    /// Returns the database's time, in microseconds.
    fn time(&self) -> &'static str {
        match self.reader.backend() {
            // Not the time at which the transaction began, because it may have waited long for the row.
            DbBackend::Postgres => {
                "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
            }
            // SQLite has no time outside the years 0 to 9999. Then only the candidates' clocks end a lease.
            _ => "COALESCE(CAST(unixepoch('subsec') * 1000000 AS INTEGER), 0)",
        }
    }

    /// Returns whether a process checks connectors, according to its lease.
    pub(crate) async fn is_monitored(&self) -> Result<bool> {
        let select = Entity::find()
            .select_only()
            .column(Column::Epoch)
            .filter(Column::Holder.is_not_null())
            .filter(Expr::col(Column::ExpiresAt).gt(Expr::cust(self.time())))
            .into_query();
        let epochs = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next::<i64>());
        Ok(!epochs.await?.is_empty())
    }

    /// Takes or renews the lease. Returns none while another process holds it.
    pub async fn take_lease(&self, candidate: &mut Candidate) -> Result<Option<Lease>> {
        let now = self.time();
        candidate.asked += 1;
        let ttl = i64::try_from(candidate.ttl.as_micros()).unwrap_or(i64::MAX / 4);
        // A renewal changes the row even if the clock stands still.
        let ttl = ttl + candidate.asked % 1000;
        let holder = candidate.holder.as_str();
        let renewed = |column, taken: SimpleExpr| {
            let case = CaseStatement::new().case(Column::Holder.eq(holder), Expr::col(column));
            case.finally(taken)
        };
        let epoch = renewed(Column::Epoch, Expr::col(Column::Epoch).add(1));
        let mark = Clock::new_mark().map_err(Error::internal)?;
        let mark = renewed(Column::Mark, Expr::value(mark));
        let mut over = Condition::any()
            .add(Column::Holder.eq(holder))
            .add(Column::Holder.is_null())
            .add(Expr::col(Column::ExpiresAt).lte(Expr::cust(now)));
        if let Some(row) = candidate.abandoned() {
            let unchanged = Condition::all()
                .add(Column::Holder.eq(row.holder.as_deref()))
                .add(Column::Epoch.eq(row.epoch))
                .add(Column::ExpiresAt.eq(row.expires_at))
                .add(Column::Mark.eq(row.mark));
            over = over.add(unchanged);
        }
        let take = async {
            let tx = self.begin_control().await?;
            let taken = Entity::update_many()
                .col_expr(Column::Epoch, epoch.into())
                .col_expr(Column::Mark, mark.into())
                .col_expr(Column::Holder, Expr::value(holder))
                .col_expr(Column::ExpiresAt, Expr::cust(now).add(ttl))
                .filter(over)
                .exec_with_returning(&tx)
                .await?
                .into_iter()
                .next();
            let others = match taken {
                Some(_) => None,
                None => Entity::find_by_id(1).one(&tx).await?,
            };
            tx.commit(None).await?;
            Ok((taken, others))
        };
        let asked = take.await;
        self.check_counters.hold(matches!(asked, Ok((Some(_), _))));
        let (taken, others): (Option<Model>, _) = asked.map_err(failed)?;
        candidate.see(others);
        Ok(taken.map(|row| Lease {
            holder: candidate.holder.clone(),
            epoch: row.epoch,
            mark: row.mark,
        }))
    }

    /// Releases the lease, so that the next process can take it at once. Has no effect if another process holds it.
    pub async fn give_up_lease(&self, lease: &Lease) -> Result<()> {
        let give_up = async {
            let tx = self.begin_control().await?;
            Entity::update_many()
                .col_expr(Column::Holder, Expr::value(Value::String(None)))
                .col_expr(Column::ExpiresAt, Expr::value(0))
                .filter(is_of(lease))
                .exec(&tx)
                .await?;
            tx.commit(None).await
        };
        self.check_counters.hold(false);
        give_up.await.map_err(failed)
    }
}

impl Tx {
    /// Returns whether the process still holds the lease. A takeover waits for the end of this transaction.
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
        .add(Column::Mark.eq(lease.mark))
}
