//! Connections: one writer and a pool of readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite every write goes through the one writer, which begins IMMEDIATE; what it acknowledged survives a
//! power cut.

use std::{
    path::PathBuf,
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
    TransactionOptions, TransactionTrait,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    domain::facets::Group,
    error::{Error, Result},
};

use super::{
    counts::Counts,
    errors::{self, is_locked},
    opening::{Location, OpenError, folder, migrations, refuse_newer},
    reader::{Reader, postgres_snapshot},
    sqlite::Readers,
    state::Known,
    tally::Tally,
};

/// Two processes that migrate an empty PostgreSQL at once wait for each other under this number.
const MIGRATION_LOCK: i64 = 0x7063_6f6e;

/// How long a connection to PostgreSQL may have been idle to be used without a question whether it is still there.
const UNTESTED: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections to PostgreSQL, or readers of the SQLite file.
    pub connections: u32,
    /// How long to wait for a connection or for another process's write.
    pub wait: Duration,
    /// The longest that a statement which only reads may run on PostgreSQL; a write's may run as long as it needs.
    pub read_timeout: Option<Duration>,
}

/// The time between two attempts to connect to PostgreSQL.
const RETRY: Duration = Duration::from_millis(100);

impl Settings {
    pub fn location(&self) -> Result<Location, OpenError> {
        Location::of(&self.url)
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> Result<Option<PathBuf>, OpenError> {
        Ok(match self.location()? {
            Location::File(file) => Some(file),
            Location::Server(_) => None,
        })
    }
}

/// A database, open.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) reader: Reader,
    pub(super) writer: DatabaseConnection,
    /// What PostgreSQL is told at the beginning of a transaction. A pooler may give each another session, so that what a
    /// session was told does not count there.
    limits: Limits,
    location: Location,
    damage: Arc<OnceLock<String>>,
    /// The number of the last change, as far as it is known.
    pub(super) known: Arc<Known>,
    pub(super) totals: Arc<Counts<u64>>,
    pub(super) groups: Arc<Counts<Vec<Group>>>,
    pub(super) tally: Arc<Tally>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    wait: Duration,
    read_timeout: Option<Duration>,
}

impl Limits {
    fn new(settings: &Settings) -> Self {
        Self {
            wait: settings.wait,
            read_timeout: settings.read_timeout,
        }
    }

    /// For a session (`SET`) or a transaction (`SET LOCAL`): a read ends in time, and is planned once for all parameters.
    fn of_reads(self, set: &str) -> String {
        // Zero is without end.
        let millis = self.read_timeout.map_or(0, |time| time.as_millis().max(1));
        format!("{set} statement_timeout = {millis}; {set} plan_cache_mode = force_generic_plan")
    }

    /// A write waits so long for another's; what it does once it may is not cut, and planned as PostgreSQL likes.
    fn of_writes(self) -> String {
        let millis = self.wait.as_millis().max(1);
        format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {millis}; SET LOCAL plan_cache_mode = DEFAULT"
        )
    }
}

impl Database {
    /// Opens the database; an SQLite file and the folder it is in are made where they are missing.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let location = settings.location()?;
        let opened = match &location {
            Location::File(_) => Self::open_sqlite(settings, &location).await,
            Location::Server(_) => Self::open_postgres(settings, &location).await,
        };
        opened.map_err(|error| OpenError::new("open", &location, settings.wait, &error))
    }

    async fn open_sqlite(settings: &Settings, location: &Location) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(&settings.url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(settings.wait)
            .disable_statement_logging();
        std::fs::create_dir_all(folder(options.get_filename()))?;
        let until = Instant::now() + settings.wait;
        let writer = loop {
            let writer = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(settings.wait)
                .connect_with(options.clone());
            match writer.await {
                // Of several processes that turn a new file to WAL at once, SQLite lets one and does not have the others wait.
                Err(error) if is_locked(&error) && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                writer => break writer?,
            }
        };
        let file = options.get_filename().to_owned();
        let readers = Readers::new(file, settings.connections as usize, settings.wait);
        Ok(Self {
            limits: Limits::new(settings),
            location: location.clone(),
            damage: Arc::default(),
            known: Arc::default(),
            totals: Arc::default(),
            groups: Arc::default(),
            tally: Arc::default(),
            reader: Reader::Sqlite(Arc::new(readers)),
            writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        })
    }

    async fn open_postgres(settings: &Settings, location: &Location) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(&settings.url)?
            .application_name(env!("CARGO_PKG_NAME"))
            .disable_statement_logging();
        reach(&options, settings.wait).await?.close().await?;
        let limits = Limits::new(settings);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.wait)
            // One that was in use a moment ago is still there; one that was not may have lost its server meanwhile.
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(
                    async move { Ok(used.idle_for < UNTESTED || connection.ping().await.is_ok()) },
                )
            })
            .after_connect(move |connection, _| {
                // Not in the connection's options: poolers refuse those.
                let set = limits.of_reads("SET");
                Box::pin(async move { connection.execute(AssertSqlSafe(set)).await.map(drop) })
            })
            .connect_with(options)
            .await?;
        let pool = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        Ok(Self {
            limits,
            location: location.clone(),
            damage: Arc::default(),
            known: Arc::default(),
            totals: Arc::default(),
            groups: Arc::default(),
            tally: Arc::default(),
            reader: Reader::Postgres {
                pool: pool.clone(),
                limits: limits.of_reads("SET LOCAL").into(),
            },
            writer: pool,
        })
    }

    /// Ends all connections. The last to end is the writer, which leaves an SQLite database in one file, whole.
    pub async fn close(self) -> Result<()> {
        if let Reader::Sqlite(readers) = &self.reader {
            readers.close();
        }
        self.writer.close().await.map_err(errors::failed)
    }

    /// Where the database is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What is damaged, as far as a check or a statement came upon it; it stays so until the process ends.
    pub fn damage(&self) -> Option<String> {
        self.damage.get().cloned().or_else(errors::damage)
    }

    pub(super) fn report_damage(&self, finding: String) {
        let _ = self.damage.set(finding);
    }

    /// Tells the operator where and why a command failed on this database, and what to do; any other error stays as it is.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<Error>() {
            Ok(error) => OpenError::new("use", &self.location, self.limits.wait, &error).into(),
            Err(other) => other,
        }
    }

    /// Brings the schema up to date; gives the number of migrations that were applied.
    pub async fn migrate(&self) -> Result<u32, OpenError> {
        let (applied, _) = self.migrate_to(None).await?;
        Ok(applied)
    }

    /// Brings the schema up or down to the migration of this name, by default to the last one, in one transaction that other
    /// processes wait for. Gives the numbers of migrations that were applied and reverted. Writes nothing where there is
    /// nothing to do.
    pub async fn migrate_to(&self, version: Option<&str>) -> Result<(u32, u32), OpenError> {
        let failed =
            |error: DbErr| OpenError::new("migrate", &self.location, self.limits.wait, &error);
        let before = applied(&self.writer).await.map_err(failed)?;
        let steps = self.steps(&before, version)?;
        if steps == (0, 0) {
            return Ok(steps);
        }
        let tx = self.begin_write().await.map_err(failed)?;
        if tx.get_database_backend() == DbBackend::Postgres {
            // Another process's migrations may take long. Then, a change of a table that waits for its readers holds
            // up all that come after it.
            let lock = format!(
                "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); {}",
                self.limits.of_writes()
            );
            tx.execute_unprepared(&lock).await.map_err(failed)?;
        }
        // Another process may have migrated meanwhile.
        let before = applied(&tx).await.map_err(failed)?;
        let (up, down) = self.steps(&before, version)?;
        let migrate = async {
            if down > 0 {
                Migrator::down(&tx, Some(down)).await?;
            }
            if up > 0 {
                Migrator::up(&tx, Some(up)).await?;
            }
            tx.commit().await
        };
        Box::pin(migrate).await.map_err(failed)?;
        Ok((up, down))
    }

    /// How many migrations are to be applied and reverted to come from these to a version.
    fn steps(&self, applied: &[String], version: Option<&str>) -> Result<(u32, u32), OpenError> {
        let known = migrations();
        refuse_newer(&self.location, applied)?;
        let to = version.map_or(known.len(), |version| {
            known.iter().take_while(|name| **name != version).count() + 1
        });
        let is_applied = |name: &&String| applied.contains(name);
        let (through, beyond) = known.split_at(to.min(known.len()));
        let count = |names: usize| u32::try_from(names).unwrap_or(u32::MAX);
        let up = through.iter().filter(|name| !is_applied(name)).count();
        let down = beyond.iter().filter(is_applied).count();
        Ok((count(up), count(down)))
    }

    /// Calls `observe` with every statement of connectors' reads from now on.
    pub fn observe_reads(&mut self, observe: impl Fn(&Statement) + Send + Sync + 'static) {
        match &mut self.reader {
            Reader::Sqlite(readers) => readers.observe(observe),
            Reader::Postgres { pool, .. } => {
                pool.set_metric_callback(move |info| observe(info.statement));
            }
        }
    }

    pub(super) async fn begin_write(&self) -> Result<DatabaseTransaction, sea_orm::DbErr> {
        let tx = self
            .writer
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            tx.execute_unprepared(&self.limits.of_writes()).await?;
        }
        Ok(tx)
    }

    /// Begins a transaction of the writer's that is not to write: every statement sees the same state, and nobody waits for
    /// it.
    pub(super) async fn begin_rehearsal(&self) -> Result<DatabaseTransaction, sea_orm::DbErr> {
        match &self.reader {
            Reader::Sqlite(_) => self.writer.begin().await,
            Reader::Postgres { pool, limits } => postgres_snapshot(pool, limits).await,
        }
    }
}

/// Connects once, and tries again for a while where the cause may pass: a pool would only say that it waited.
pub(super) async fn reach(
    options: &PgConnectOptions,
    wait: Duration,
) -> Result<PgConnection, sqlx::Error> {
    let until = Instant::now() + wait;
    let mut last = sqlx::Error::PoolTimedOut;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let connect = PgConnection::connect_with(options);
        match tokio::time::timeout(left, connect).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if may_pass(&error) && left > RETRY => last = error,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(last),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Whether a server that refuses a connection now may soon take one: it starts, or others leave.
fn may_pass(error: &sqlx::Error) -> bool {
    /// PostgreSQL, appendix A: `too_many_connections` and `cannot_connect_now`.
    const STATES: [&str; 2] = ["53300", "57P03"];
    match error {
        sqlx::Error::Io(_) => true,
        error => error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| STATES.contains(&&*code)),
    }
}

/// The names of the migrations that were applied, without making the table of their names.
async fn applied(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let installed = match connection.get_database_backend() {
        DbBackend::Postgres => "SELECT 1 AS one WHERE to_regclass('seaql_migrations') IS NOT NULL",
        _ => {
            "SELECT 1 AS one FROM sqlite_schema WHERE type = 'table' AND name = 'seaql_migrations'"
        }
    };
    let select = |sql: &str| Statement::from_string(connection.get_database_backend(), sql);
    if connection.query_one_raw(select(installed)).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = connection
        .query_all_raw(select("SELECT version FROM seaql_migrations"))
        .await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}
