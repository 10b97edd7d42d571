//! Connections: one writer and a pool of readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite every write goes through the one writer, which begins IMMEDIATE; what it acknowledged survives a
//! power cut.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use entity::Timestamp;
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, SqlxPostgresConnector, SqlxSqliteConnector, Statement,
    TransactionOptions, TransactionTrait,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    clock::Clock,
    domain::facets::Group,
    error::{Error, Result},
};

use super::{
    counts::Counts,
    errors::is_locked,
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

impl Settings {
    /// The file of an SQLite database.
    pub fn file(&self) -> Result<Option<PathBuf>> {
        if !self.url.starts_with("sqlite:") {
            return Ok(None);
        }
        let options = SqliteConnectOptions::from_str(&self.url).map_err(Error::internal)?;
        Ok(Some(options.get_filename().to_owned()))
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
    pub async fn open(settings: &Settings) -> Result<Self> {
        if settings.url.starts_with("sqlite:") {
            Self::open_sqlite(settings).await
        } else {
            Self::open_postgres(settings).await
        }
        .map_err(Error::internal)
    }

    async fn open_sqlite(settings: &Settings) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(&settings.url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(settings.wait)
            .disable_statement_logging();
        if let Some(folder) = options
            .get_filename()
            .parent()
            .filter(|path| *path != Path::new(""))
        {
            std::fs::create_dir_all(folder)?;
        }
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
            known: Arc::default(),
            totals: Arc::default(),
            groups: Arc::default(),
            tally: Arc::default(),
            reader: Reader::Sqlite(Arc::new(readers)),
            writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        })
    }

    async fn open_postgres(settings: &Settings) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(&settings.url)?
            .application_name(env!("CARGO_PKG_NAME"))
            .disable_statement_logging();
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
        self.writer.close().await.map_err(super::errors::failed)
    }

    /// Brings the schema up to date, in one transaction that other processes wait for; gives the number of migrations
    /// that were applied.
    pub async fn migrate(&self) -> Result<usize> {
        let migrate = async {
            let tx = self.begin_write().await?;
            if tx.get_database_backend() == DbBackend::Postgres {
                // Another process's migrations may take long. Then, a change of a table that waits for its readers holds
                // up all that come after it.
                tx.execute_unprepared(&format!(
                    "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); {}",
                    self.limits.of_writes()
                ))
                .await?;
            }
            let pending = Migrator::get_pending_migrations(&tx).await?.len();
            if pending > 0 && Clock::system().now() < Timestamp(0) {
                // The library panics: it keeps when each was applied, in seconds since 1970.
                let told = "the system's clock is before 1970: set it to migrate the database";
                return Err(DbErr::Migration(told.to_owned()));
            }
            Migrator::up(&tx, None).await?;
            tx.commit().await?;
            Ok(pending)
        };
        migrate.await.map_err(super::errors::failed)
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
