//! Whether the database takes writes.
//!
//! Invariant: a write that fails says so at once. Only a probe that began later says that writes succeed again; it writes as
//! much as a large connector takes.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use entity::write_probe;
use sea_orm::{
    ActiveValue::Set,
    DbErr, EntityTrait,
    sea_query::{Expr, OnConflict, Query},
};
use tokio::{task::AbortHandle, time};

use crate::error::Error;

use crate::store::{
    cancellation::{keep_running, while_wanted},
    database::{
        connect::Database,
        sqlite_readers::Pace,
        transaction::{Purpose, Writer},
    },
    errors,
};

/// How often the database is looked at, and probed where a write may fail.
const LOOK: Duration = Duration::from_secs(1);

/// How long writes are doubted after one failed: a small one may succeed where a large one does not.
const DOUBT: Duration = Duration::from_secs(10);

/// The longest time that a look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that a probe writes: more than a connector with its metadata and its words takes.
const PROBE_BYTES: usize = 64 * 1024;

/// Why writes cannot succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// The service was started with `--read-only`.
    Configured,
    /// The file, its file system or the session is read-only.
    ReadOnly,
    DiskFull,
    /// Reading or writing the disk failed.
    Disk,
    /// The database refuses changes to its role.
    Denied,
    /// The SQLite file at the configured path is another than the one that was opened, or there is none.
    Moved,
    /// A commit could not be read back.
    Lost,
    /// Pages of the database are damaged.
    Damaged,
}

impl Unwritable {
    /// The reason, for clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "the service is read-only",
            Self::ReadOnly => "the database is read-only",
            Self::DiskFull => "the database's disk is full",
            Self::Disk => "the database's disk fails or is full",
            Self::Denied => "the database's role may not write",
            Self::Moved => "the database's file was deleted, moved or replaced",
            Self::Lost => "a commit could not be read back from the database",
            Self::Damaged => "the database is damaged",
        }
    }

    /// What the operator does about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Configured => "start it without --read-only to have it take changes",
            Self::ReadOnly => {
                "make it writable, or start the service with --read-only to have it ready"
            }
            Self::DiskFull | Self::Disk => "free some space; the service goes on by itself",
            Self::Denied => "grant the role the right to change the tables",
            Self::Moved => "put the file back, or restart the service to open the new one",
            Self::Lost => "restart the service, and run check-database",
            Self::Damaged => "run check-database, and restore a backup",
        }
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Unwritable {}

/// What a look at the database says of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Look {
    Fine,
    /// Only a write tells whether one succeeds.
    Doubtful,
}

/// What is known of writing.
#[derive(Debug)]
pub(in crate::store) struct Writes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    reason: Option<Unwritable>,
    failed_at: Option<Instant>,
    probed_at: Option<Instant>,
    /// When a session of PostgreSQL was last found to be read-only. Older ones may be so too.
    read_only_at: Option<Instant>,
}

impl Writes {
    pub(in crate::store) fn new(read_only: bool) -> Self {
        Self(Mutex::new(Known {
            reason: read_only.then_some(Unwritable::Configured),
            ..Known::default()
        }))
    }

    pub(in crate::store) fn reason(&self) -> Option<Unwritable> {
        let damaged = errors::damage().map(|_| Unwritable::Damaged);
        damaged.or(self.known().reason)
    }

    /// Fails where the service does not write at all. Whatever else stood in the way may be over: a write tries.
    pub(in crate::store) fn check_allowed(&self) -> Result<(), Unwritable> {
        match self.reason() {
            Some(reason @ (Unwritable::Configured | Unwritable::Damaged)) => Err(reason),
            _ => Ok(()),
        }
    }

    /// Whether a session that was opened so long ago may be read-only where a new one is not.
    pub(in crate::store) fn is_suspect(&self, age: Duration) -> bool {
        let at = self.known().read_only_at;
        at.is_some_and(|at| at.elapsed() < age)
    }

    pub(in crate::store) fn failed(&self, reason: Unwritable) {
        let mut known = self.known();
        known.failed_at = Some(Instant::now());
        let stays = [
            Some(reason),
            Some(Unwritable::Configured),
            Some(Unwritable::Damaged),
        ];
        if !stays.contains(&known.reason) {
            tracing::error!(%reason, advice = reason.advice(), "changes are refused");
            known.reason = Some(reason);
        }
    }

    /// Notes why a write was refused, and gives the error for it.
    pub(in crate::store) fn refused(&self, reason: Unwritable) -> DbErr {
        self.failed(reason);
        errors::refused(reason)
    }

    /// Notes what an error says of writing, and gives it.
    pub(in crate::store) fn observe(&self, error: &sqlx::Error) -> Option<Unwritable> {
        let reason = errors::unwritable(error)?;
        if reason == Unwritable::ReadOnly {
            self.known().read_only_at = Some(Instant::now());
        }
        self.failed(reason);
        Some(reason)
    }

    /// A probe that began at this time has succeeded.
    fn probed(&self, began: Instant) {
        let mut known = self.known();
        known.probed_at = Some(began);
        if known.failed_at.is_none_or(|at| at < began) && known.reason.take().is_some() {
            tracing::info!("changes are taken again");
        }
    }

    /// Whether a write failed lately.
    fn is_doubtful(&self) -> bool {
        let known = self.known();
        known.reason.is_some() || known.failed_at.is_some_and(|at| at.elapsed() < DOUBT)
    }

    /// Whether no probe has succeeded lately.
    fn is_unprobed(&self) -> bool {
        let at = self.known().probed_at;
        at.is_none_or(|at| at.elapsed() >= DOUBT)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks again and again whether the database takes writes. Dropped, it ends.
#[derive(Debug)]
pub struct WriteWatch(AbortHandle);

impl WriteWatch {
    pub fn start(database: Database) -> Self {
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
        let look = while_wanted(async move { database.look_at_writes().await });
        // A connection that is dead and does not say so is left behind.
        let _ = time::timeout(PATIENCE, look).await;
    }
}

impl Database {
    /// Fails with `UNAVAILABLE` where the service does not write at all.
    pub fn check_writes_allowed(&self) -> Result<(), Error> {
        let allowed = self.writes.check_allowed();
        allowed.map_err(errors::unavailable)
    }

    /// Why writes cannot succeed; none where they can, as far as is known.
    pub fn unwritable(&self) -> Option<Unwritable> {
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
            // What it finds out is known by then.
            let _ = self.probe().await;
            self.writer.checkpoint().await;
        }
    }

    /// Looks whether PostgreSQL is a standby, or its session read-only.
    async fn look_at_session(&self) -> Result<Look, Unwritable> {
        let select = Query::select()
            .expr(Expr::cust("pg_is_in_recovery()::integer::bigint"))
            .expr(Expr::cust(
                "current_setting('transaction_read_only')::boolean::integer::bigint",
            ))
            .to_owned();
        let rows = self.reader.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            Ok((cells.next::<i64>()?, cells.next::<i64>()?))
        });
        match rows.await.unwrap_or_default().first() {
            Some((1, _)) => Err(Unwritable::ReadOnly),
            // Another session may not be.
            Some((_, 1)) => Ok(Look::Doubtful),
            // The poll of the state notices a database that does not answer.
            _ => Ok(Look::Fine),
        }
    }

    /// Writes, to find out whether that succeeds.
    async fn probe(&self) -> Result<(), DbErr> {
        let began = Instant::now();
        let tx = self.writer.begin(Purpose::Write, &self.writes).await?;
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
        tx.commit(None).await?;
        self.writes.probed(began);
        Ok(())
    }
}

/// Bytes that no database compresses, others each time: SQLite does not write what is the same.
///
/// They are a linear congruential generator's (Numerical Recipes, section 7.1).
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
