//! Servers whose next check is due.

use std::sync::Once;

use entity::{
    ServerType, Timestamp, connector_health,
    personal_connector::{Column, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, Order},
};

use crate::{
    domain::{
        inspection::{BACKOFFS, Schedule},
        viewer::Sight,
    },
    error::{Error, Result},
    store::{
        catalog::visible,
        database::{connect::Database, sqlite_readers::Pace},
    },
};

/// A connector's server to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The connector's `id`.
    pub personal_connector_id: String,
    /// The stored URL to call; none if the connector has none.
    pub server_url: Option<String>,
    /// The connector's protocol; none if it has none.
    pub server_type: Option<ServerType>,
}

impl Target {
    /// Returns a connector's present server. With another URL or type it is another target.
    pub fn of(connector: &Model) -> Self {
        Self {
            personal_connector_id: connector.id.clone(),
            server_url: connector.server_url.clone(),
            server_type: connector.server_type,
        }
    }
}

/// The position of a due target: the time at which it became due, and its connector's number.
pub type DuePosition = (Timestamp, i64);

/// Warns only of the first one, because such a connector stays due.
fn warn_of_unknown(id: &str, error: &Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let cause = error.cause();
        tracing::warn!(
            id,
            cause,
            "a connector is not checked: this version does not know its server type"
        );
    });
}

impl Database {
    /// Returns the due targets after a position, longest overdue first. None stands for a connector of a newer version,
    /// whose server this one cannot call.
    pub async fn due(
        &self,
        now: Timestamp,
        after: Option<DuePosition>,
        limit: u64,
    ) -> Result<Vec<(DuePosition, Option<Target>)>> {
        use connector_health::{Column::NextCheckAt, Entity};

        let number = || Expr::col((Entity, connector_health::Column::Seq));
        let mut beyond = Condition::all().add(NextCheckAt.lte(now));
        if let Some((since, seq)) = after {
            beyond = beyond
                .add(NextCheckAt.gte(since))
                .add(NextCheckAt.gt(since).or(number().gt(seq)));
        }
        let select = visible(&Sight::Everything)
            .select_only()
            .columns([Column::Id, Column::ServerUrl])
            .filter(beyond)
            .limit(limit)
            .into_query()
            .expr(NextCheckAt.into_expr())
            .expr(number())
            .expr(Column::ServerType.into_expr())
            .inner_join(Entity, number().eq(Column::Seq.into_expr()))
            .order_by_expr(NextCheckAt.into_expr(), Order::Asc)
            .order_by_expr(number(), Order::Asc)
            .take();
        let rows = self.reader.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            let (id, server_url) = (cells.next()?, cells.next()?);
            let position = (cells.next()?, cells.next()?);
            let target = match cells.next() {
                Ok(server_type) => Some(Target {
                    personal_connector_id: id,
                    server_url,
                    server_type,
                }),
                Err(error) => {
                    warn_of_unknown(&id, &error);
                    None
                }
            };
            Ok((position, target))
        });
        rows.await
    }

    /// Returns the time at which the next target becomes due.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        use connector_health::{Column::NextCheckAt, Entity};

        let select = Entity::find()
            .select_only()
            .column(NextCheckAt)
            .filter(NextCheckAt.gt(now))
            .order_by_asc(NextCheckAt)
            .limit(1)
            .into_query();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next());
        Ok(rows.await?.pop())
    }

    /// Returns the numbers of connectors that would be checked too late by a clock at `now`: they were checked in the
    /// future, or are due later than the schedule allows. Only those due later than `after` count.
    pub async fn postponed(
        &self,
        now: Timestamp,
        schedule: Schedule,
        after: Timestamp,
        limit: u64,
    ) -> Result<Vec<i64>> {
        use connector_health::{
            Column::{CheckedAt, Failures, FreshFor, NextCheckAt, Seq},
            Entity,
        };

        let mut postponed = Condition::any()
            .add(CheckedAt.is_null())
            .add(CheckedAt.gt(now));
        for failures in 0..=i64::from(BACKOFFS) {
            let latest = schedule.latest(now, failures);
            let many = if failures < i64::from(BACKOFFS) {
                Failures.eq(failures)
            } else {
                Failures.gte(failures)
            };
            postponed = postponed.add(many.and(NextCheckAt.gt(latest)));
        }
        // A server may postpone its next check itself.
        let fresh_for = || Expr::col(FreshFor);
        let without = Expr::col(NextCheckAt)
            .sub(fresh_for())
            .sub(fresh_for().div(10));
        let is_not_fresh = FreshFor.is_null().or(without.gt(Expr::value(now)));
        let select = Entity::find()
            .select_only()
            .column(Seq)
            .filter(NextCheckAt.gt(after))
            .filter(postponed)
            .filter(is_not_fresh)
            .limit(limit)
            .into_query();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next());
        rows.await
    }
}
