//! Forgetting old events.
//!
//! Invariant: what is forgotten is the oldest, and the same transaction says through which number; so whoever follows the log
//! knows whether they missed something.

use std::time::Duration;

use entity::{
    Timestamp, catalog_state,
    connector_event::{Column, Entity},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Set,
};
use tokio::{sync::watch, time};

use crate::error::Result;

use super::{connect::Database, errors::failed, sqlite::Pace};

/// Events that are forgotten at a time: writers wait for it.
const BATCH: i64 = 1000;

/// How often old events are looked for: as often as they are kept for a short while.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_mins(1);

/// Forgets old events again and again. Dropped, it ends what it is about.
#[derive(Debug)]
pub struct Retention {
    _running: watch::Sender<()>,
}

impl Retention {
    /// Keeps each event for a while. Several processes may do so with one database.
    pub fn start(
        database: Database,
        keep: Duration,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Self {
        let (running, runs) = watch::channel(());
        tokio::spawn(run(database, keep, now, runs));
        Self { _running: running }
    }
}

async fn run(
    database: Database,
    keep: Duration,
    now: impl Fn() -> Timestamp,
    mut runs: watch::Receiver<()>,
) {
    let kept = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    let mut ticks = time::interval(keep.clamp(OFTEN, SELDOM));
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = runs.changed() => return,
        }
        let until = Timestamp(now().0.saturating_sub(kept));
        while runs.has_changed().is_ok() {
            match database.forget_events(until).await {
                Ok(0) => break,
                Ok(events) => tracing::debug!(events, "forgot old events"),
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(cause, "old events cannot be forgotten");
                    break;
                }
            }
        }
    }
}

impl Database {
    /// Forgets the oldest events, up to the first that did not happen before `until`, and no more than a batch of them. Gives
    /// how many were forgotten.
    pub async fn forget_events(&self, until: Timestamp) -> Result<i64> {
        // Mostly there is nothing to be done, for which no writer should wait.
        let oldest = Entity::find()
            .select_only()
            .column(Column::OccurredAt)
            .order_by_asc(Column::Number)
            .limit(1)
            .into_query();
        let oldest = self
            .reader
            .rows(&oldest, Pace::Brief, |row| row.cells(0).next());
        let oldest: Option<Timestamp> = oldest.await?.pop();
        if oldest.is_none_or(|oldest| oldest >= until) {
            return Ok(0);
        }
        let forget = async {
            let tx = self.begin_write().await?;
            let state = catalog_state::Entity::find_by_id(1)
                .lock_exclusive()
                .one(&tx)
                .await?
                .ok_or(DbErr::RecordNotFound("catalog_state".to_owned()))?;
            let to = state.state.min(state.forgotten + BATCH);
            // Clocks of several processes differ: an event that is old may follow one that is not.
            let kept: Option<i64> = Entity::find()
                .select_only()
                .column_as(Column::Number.min(), "kept")
                .filter(Column::Number.gt(state.forgotten))
                .filter(Column::Number.lte(to))
                .filter(Column::OccurredAt.gte(until))
                .into_tuple::<Option<i64>>()
                .one(&tx)
                .await?
                .flatten();
            let forgotten = kept.map_or(to, |kept| kept - 1);
            if forgotten > state.forgotten {
                Entity::delete_many()
                    .filter(Column::Number.lte(forgotten))
                    .exec(&tx)
                    .await?;
                catalog_state::ActiveModel {
                    id: Set(1),
                    forgotten: Set(forgotten),
                    ..Default::default()
                }
                .update(&tx)
                .await?;
            }
            tx.commit(None).await?;
            Ok(forgotten - state.forgotten)
        };
        forget.await.map_err(failed)
    }
}
