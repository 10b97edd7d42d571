//! Polls the position of the last change.

use std::{sync::Arc, time::Duration};

use sea_orm::QueryTrait;
use tokio::{sync::watch, task::AbortHandle, time};

use crate::{
    domain::cursor::LogPosition,
    error::{Code, Error, Result},
    store::{
        changes::events,
        database::{connect::Database, sqlite_readers::Pace},
        memory::catalogue_version::{FRESH, Version, VersionTracker},
        tasks::keep_running,
    },
};

/// The longest time of one poll.
const PATIENCE: Duration = Duration::from_secs(5);

/// Polls the position until it is dropped.
#[derive(Debug)]
pub struct State {
    known: Arc<VersionTracker>,
    polling: AbortHandle,
}

impl State {
    /// Polls at this interval, and at once after each change of this process.
    pub fn poll(database: Database, every: Duration) -> Self {
        let known = Arc::clone(&database.known);
        let polling = keep_running(move || poll(database.clone(), every)).abort_handle();
        Self { known, polling }
    }

    pub(crate) fn number(&self) -> Option<i64> {
        let known = *self.known.position.borrow();
        known.map(|known| known.number)
    }

    /// Returns the time since the position was read.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.known.read().asked_at.map(|at| at.elapsed())
    }

    /// Returns the catalogue's version, at most a second old and with all commits of this process; `None` if unknown.
    pub(crate) fn version(&self) -> Option<Version> {
        let now = self.known.read();
        let is_fresh = now.asked_at.is_some_and(|at| at.elapsed() < FRESH);
        is_fresh.then_some(now.version)
    }

    /// Watches the position of the last change.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<LogPosition>> {
        let mut position = self.known.position.subscribe();
        // The position may have been read already.
        position.mark_changed();
        position
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

async fn poll(database: Database, every: Duration) {
    let (known, reader) = (Arc::clone(&database.known), database.control.reader.clone());
    let mut failing = false;
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = known.committed.notified() => {}
        }
        let question = known.ask();
        let asked = time::timeout(PATIENCE, database.state());
        // A dead connection that reports no error is abandoned.
        let late = |_| Err(Error::new(Code::Timeout, "the database does not answer"));
        match asked.await.unwrap_or_else(late) {
            Ok(state) => {
                known.answer(&question, state);
                if std::mem::take(&mut failing) {
                    tracing::info!("the database answers again");
                }
            }
            Err(_) if reader.is_closed() => return,
            Err(error) => {
                let cause = error.cause();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        cause,
                        "the catalogue's state cannot be read: no cached response is used until it can"
                    );
                }
            }
        }
    }
}

impl Database {
    async fn state(&self) -> Result<LogPosition> {
        let select = events::select_log().into_query();
        let rows = self.control.reader.rows(&select, Pace::Brief, |row| {
            events::read_log(&mut row.cells(0))
        });
        Ok(events::one(rows.await?)?.state)
    }
}
