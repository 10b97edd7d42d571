//! Watches whether the database can be written, and probes it after a failure.
//!
//! Invariant: a probe writes as much as a large connector.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

use entity::{catalog_state, write_probe};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DbBackend, DbErr, EntityTrait, QuerySelect,
    sea_query::{Expr, OnConflict, Query},
};
use tokio::{task::AbortHandle, time};

use crate::{
    error::Error,
    store::{
        database::{
            connect::Database,
            sqlite_readers::Pace,
            transaction::{Purpose, Writer},
            write_status::Look,
        },
        errors,
        tasks::{finished, keep_running},
        unwritable::Unwritable,
    },
};

/// The interval of looks at the database, and of probes if a write may fail.
const LOOK: Duration = Duration::from_secs(1);

/// The longest time of a look.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time limits of a probe on PostgreSQL: its wait for the lock, and PostgreSQL's for the next statement.
const PROBE_LIMITS: &str =
    "SET LOCAL lock_timeout = 1000; SET LOCAL idle_in_transaction_session_timeout = 1000";

/// The bytes of a probe: more than a connector with its metadata and words.
const PROBE_BYTES: usize = 64 * 1024;

/// The task that watches the database, stopped on drop.
#[derive(Debug)]
pub(crate) struct WriteWatch(AbortHandle);

impl WriteWatch {
    pub(crate) fn start(database: Database) -> Self {
        Self(keep_running(move || watch(database.clone())).abort_handle())
    }
}

impl Drop for WriteWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(database: Database) {
    let mut ticks = time::interval(LOOK);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let database = database.clone();
        let look = finished(async move { database.look_at_writes().await });
        // A longer write is abandoned here, and finishes by itself.
        let _ = time::timeout(PATIENCE, look).await;
    }
}

impl Database {
    /// Fails with `UNAVAILABLE` if the service never writes.
    pub(crate) fn check_writes_allowed(&self) -> Result<(), Error> {
        let allowed = self.writes.check_allowed();
        allowed.map_err(errors::unavailable)
    }

    /// Returns the reason that writes cannot succeed; none if they can, as far as is known.
    pub(crate) fn unwritable(&self) -> Option<Unwritable> {
        if let Writer::Sqlite { file, .. } = &self.writer
            && let Err(reason) = file.check_identity()
        {
            self.writes.failed(reason);
            return Some(reason);
        }
        self.writes.reason()
    }

    async fn look_at_writes(&self) {
        if self.writes.check_allowed().is_err() {
            return;
        }
        let found = match &self.writer {
            Writer::Sqlite { file, .. } => file.look(),
            Writer::Postgres { .. } => self.look_at_session().await,
        };
        let probes = match found {
            Err(reason) => {
                self.writes.failed(reason);
                false
            }
            Ok(Look::Fine) => self.writes.is_doubtful(),
            Ok(Look::Doubtful) => self.writes.is_doubtful() || self.writes.is_unprobed(),
        };
        if probes {
            // The probe records its result itself.
            let _ = self.probe().await;
            self.control.writer.checkpoint().await;
        }
    }

    /// Examines whether PostgreSQL is a standby, or its session read-only.
    async fn look_at_session(&self) -> Result<Look, Unwritable> {
        let select = Query::select()
            .expr(Expr::cust("pg_is_in_recovery()::integer::bigint"))
            .expr(Expr::cust(
                "current_setting('default_transaction_read_only')::boolean::integer::bigint",
            ))
            .to_owned();
        let rows = self.control.reader.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            Ok((cells.next::<i64>()?, cells.next::<i64>()?))
        });
        match rows.await.unwrap_or_default().first() {
            Some((1, _)) => Err(Unwritable::ReadOnly),
            // Another session may be writable.
            Some((_, 1)) => Ok(Look::Doubtful),
            // The state poll detects a database that does not respond.
            _ => Ok(Look::Fine),
        }
    }

    /// Writes a row, to find out whether writes succeed.
    async fn probe(&self) -> Result<(), DbErr> {
        let began = Instant::now();
        let state = self.known.position();
        let done = self.write_probe().await;
        match &done {
            Ok(()) => self.writes.probed(began),
            // Other writes succeed, and this one was only late.
            Err(error) if errors::is_lock_timeout(error) => {
                if state == self.known.position() {
                    self.writes.failed(Unwritable::Blocked);
                }
            }
            // The write recorded the reason.
            Err(_) => {}
        }
        done
    }

    async fn write_probe(&self) -> Result<(), DbErr> {
        let writer = &self.control.writer;
        let tx = writer.begin(Purpose::Write, &self.writes).await?;
        if writer.backend() == DbBackend::Postgres {
            // The probe waits beside the process's writes, and must not delay others for as long again.
            tx.execute_unprepared(PROBE_LIMITS).await?;
        }
        // The lock of every change of the catalogue.
        catalog_state::Entity::find_by_id(1)
            .lock_exclusive()
            .one(&tx)
            .await?;
        let row = write_probe::ActiveModel {
            id: Set(1),
            filler: Set(noise(PROBE_BYTES)),
        };
        write_probe::Entity::insert(row)
            .on_conflict(
                OnConflict::column(write_probe::Column::Id)
                    .update_column(write_probe::Column::Filler)
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        tx.commit(None).await
    }
}

/// Returns incompressible bytes, different each time, because SQLite does not write equal content.
///
/// The generator is a linear congruential one (Numerical Recipes, section 7.1).
fn noise(bytes: usize) -> Vec<u8> {
    let next = |state: &mut u64, _| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Some(state.to_be_bytes()[0])
    };
    let seed = RandomState::new().build_hasher().finish();
    (0..bytes).scan(seed, next).collect()
}
