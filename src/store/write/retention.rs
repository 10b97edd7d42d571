//! Deletes old events.
//!
//! Invariant: the oldest events are deleted, and the same transaction stores the number of the last one, so followers
//! know whether they missed any. A wall clock that is wrong for less than [`LASTS`] deletes nothing early. An event
//! with a time in the future does not keep later events.

use std::time::Duration;

use entity::{
    Timestamp, catalog_state,
    connector_event::{Column, Entity},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, Set,
};
use tokio::{sync::watch, time};

use crate::{
    clock::{Clock, Settled},
    domain::cursor::LogPosition,
    error::Result,
    store::{
        database::{connect::Database, sqlite_readers::Pace},
        errors::failed,
        tasks::keep_running,
    },
};

use super::profile;

/// Events to delete at once, because writers wait for it.
const BATCH: i64 = 1000;

/// The bounds of the interval between deletions, which otherwise equals the time that events are kept.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_mins(1);

/// How long a step of the wall clock must last before it decides the age of events; shorter if events are kept for less
/// time.
const LASTS: Duration = Duration::from_hours(1);

/// Deletes old events repeatedly until it is dropped, and then finishes the present batch.
#[derive(Debug)]
pub struct Retention {
    _running: watch::Sender<()>,
}

impl Retention {
    /// Keeps each event for this time. Several processes may do so with one database.
    pub fn start(database: Database, keep: Duration, clock: Clock) -> Self {
        let (running, runs) = watch::channel(());
        keep_running(move || run(database.clone(), keep, clock.clone(), runs.clone()));
        Self { _running: running }
    }
}

async fn run(database: Database, keep: Duration, clock: Clock, mut runs: watch::Receiver<()>) {
    let settled = Settled::new(clock.clone(), keep.min(LASTS));
    let mut ticks = time::interval(keep.clamp(OFTEN, SELDOM));
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = runs.changed() => return,
        }
        let Some(by) = settled.now() else { continue };
        let now = clock.now();
        // The wall clock stamps events. An event is old only if both times say so.
        let until = now.min(by).saturating_sub(keep);
        while runs.has_changed().is_ok() {
            match database.forget_events(until, now).await {
                Ok(0) => break,
                Ok(events) => tracing::debug!(events, "deleted old events"),
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(
                        cause,
                        "old events cannot be deleted: the service tries again"
                    );
                    break;
                }
            }
        }
    }
}

impl Database {
    /// Deletes the oldest events, up to the last one that happened before `until` without a later one in front of it;
    /// at most one batch. Returns how many it deleted.
    ///
    /// An event with a time after `now` is as old as the next one without such a time.
    pub async fn forget_events(&self, until: Timestamp, now: Timestamp) -> Result<i64> {
        // Usually nothing is to be deleted, and no writer should wait for that. Events never change, so the result
        // stays true, unless the database has another history by the time of the write.
        let numbers = Entity::find()
            .select_only()
            .columns([Column::Number, Column::Mark])
            .limit(1);
        let first_kept = numbers
            .clone()
            .filter(Column::OccurredAt.between(until, now))
            .order_by_asc(Column::Number);
        let mut last_old = numbers
            .filter(Column::OccurredAt.lt(until))
            .order_by_desc(Column::Number);
        if let Some(kept) = self.position(first_kept).await? {
            last_old = last_old.filter(Column::Number.lt(kept.number));
        }
        let Some(old) = self.position(last_old).await? else {
            return Ok(0);
        };
        let forget = async {
            let tx = self.begin_write().await?;
            let state = catalog_state::Entity::find_by_id(1)
                .lock_exclusive()
                .one(&tx)
                .await?
                .ok_or(DbErr::RecordNotFound("catalog_state".to_owned()))?;
            let forgotten = old.number.min(state.forgotten + BATCH);
            let mark = async |number| {
                let event = Entity::find_by_id(number).one(&tx).await?;
                Ok::<_, DbErr>(event.map(|event| event.mark))
            };
            let is_here = mark(old.number).await? == Some(old.mark);
            if forgotten > state.forgotten
                && is_here
                && let Some(forgotten_mark) = mark(forgotten).await?
            {
                profile::forget(&tx, state.forgotten, forgotten).await?;
                Entity::delete_many()
                    .filter(Column::Number.lte(forgotten))
                    .exec(&tx)
                    .await?;
                catalog_state::ActiveModel {
                    id: Set(1),
                    forgotten: Set(forgotten),
                    forgotten_mark: Set(forgotten_mark),
                    ..Default::default()
                }
                .update(&tx)
                .await?;
                tx.commit(None).await?;
                return Ok(forgotten - state.forgotten);
            }
            tx.rollback().await;
            Ok(0)
        };
        forget.await.map_err(failed)
    }

    async fn position(&self, select: Select<Entity>) -> Result<Option<LogPosition>> {
        let select = select.into_query();
        let rows = self.reader.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            let (number, mark) = (cells.next()?, cells.next()?);
            Ok(LogPosition { number, mark })
        });
        Ok(rows.await?.pop())
    }
}
