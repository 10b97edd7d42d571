//! Connections: one writer and a pool of readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite every write goes through the one writer, which begins IMMEDIATE; what it acknowledged survives a
//! power cut. A database that is there and cannot be written is opened all the same, and read.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, SqliteTransactionMode, SqlxPostgresConnector,
    SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    domain::facets::Group,
    error::{Error, Result},
};

use super::{
    counts::Counts,
    errors::{is_locked, unwritable},
    reader::Reader,
    sqlite::Readers,
    sqlite_file::SqliteFile,
    state::Known,
    tally::Tally,
    transaction::{Purpose, Transaction, Writer},
    writable::Writes,
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
    /// The database is read and never written, or migrated.
    pub read_only: bool,
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
    pub(super) writer: Writer,
    pub(super) writes: Arc<Writes>,
    /// The number of the last change, as far as it is known.
    pub(super) known: Arc<Known>,
    pub(super) totals: Arc<Counts<u64>>,
    pub(super) groups: Arc<Counts<Vec<Group>>>,
    pub(super) tally: Arc<Tally>,
}

/// The settings of a PostgreSQL transaction. Each begins with them: a pooler may give each another session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
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
    pub(super) fn of_reads(self, set: &str) -> String {
        // Zero is without end.
        let millis = self.read_timeout.map_or(0, |time| time.as_millis().max(1));
        format!("{set} statement_timeout = {millis}; {set} plan_cache_mode = force_generic_plan")
    }

    /// A write waits so long for another's; what it does once it may is not cut, and planned as PostgreSQL likes.
    pub(super) fn of_writes(self) -> String {
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
        let options = sqlite_options(settings)?;
        let path = options.get_filename().to_owned();
        let readers = Readers::new(path.clone(), settings.connections as usize, settings.wait);
        let file = SqliteFile::new(path, settings.wait);
        let writes = Writes::new(settings.read_only);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(settings.wait);
        let pool = if settings.read_only {
            readers.open().map_err(of_rusqlite)?;
            pool.connect_lazy_with(options)
        } else {
            match connect_sqlite(pool.clone(), &options, settings.wait).await {
                Ok(pool) => {
                    file.opened().map_err(of_rusqlite)?;
                    pool
                }
                // A write opens it again, until it can.
                Err(error) if readers.open().is_ok() && unwritable(&error).is_some() => {
                    writes.observe(&error);
                    pool.connect_lazy_with(options)
                }
                Err(error) => return Err(error),
            }
        };
        let file = Arc::new(file);
        let reader = Reader::Sqlite(Arc::new(readers));
        Ok(Self::new(
            reader,
            Writer::Sqlite { pool, file },
            Arc::new(writes),
        ))
    }

    async fn open_postgres(settings: &Settings) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(&settings.url)?
            .application_name(env!("CARGO_PKG_NAME"))
            .disable_statement_logging();
        let limits = Limits::new(settings);
        let writes = Arc::new(Writes::new(settings.read_only));
        let suspects = Arc::clone(&writes);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.wait)
            // One that was in use a moment ago is still there; one that was not may have lost its server meanwhile.
            .test_before_acquire(false)
            .before_acquire(move |connection, used| {
                let is_suspect = suspects.is_suspect(used.age);
                Box::pin(async move {
                    let is_there = used.idle_for < UNTESTED || connection.ping().await.is_ok();
                    Ok(is_there && !is_suspect)
                })
            })
            .after_connect(move |connection, _| {
                // Not in the connection's options: poolers refuse those.
                let set = limits.of_reads("SET");
                Box::pin(async move { connection.execute(AssertSqlSafe(set)).await.map(drop) })
            })
            .connect_with(options)
            .await?;
        let reader = Reader::Postgres {
            pool: SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
            limits: limits.of_reads("SET LOCAL").into(),
        };
        Ok(Self::new(reader, Writer::Postgres { pool, limits }, writes))
    }

    fn new(reader: Reader, writer: Writer, writable: Arc<Writes>) -> Self {
        Self {
            reader,
            writer,
            writes: writable,
            known: Arc::default(),
            totals: Arc::default(),
            groups: Arc::default(),
            tally: Arc::default(),
        }
    }

    /// Ends all connections. The last to end is the writer, which leaves an SQLite database in one file, whole.
    pub async fn close(self) -> Result<()> {
        if let Reader::Sqlite(readers) = &self.reader {
            readers.close();
        }
        self.writer.close().await;
        Ok(())
    }

    /// Brings the schema up to date, in one transaction that other processes wait for; gives the number of migrations
    /// that were applied. A schema that is up to date is not written.
    pub async fn migrate(&self) -> Result<usize> {
        if self.is_migrated().await.unwrap_or(false) {
            return Ok(0);
        }
        let migrate = async {
            // Of its own: SeaORM's transactions are for migrations alone.
            let connection = self.writer.migrator().await?;
            let migrated = migrate(&connection, &self.writer).await;
            connection.close().await?;
            migrated
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

    pub(super) async fn begin_write(&self) -> Result<Transaction, DbErr> {
        Box::pin(self.writer.begin(Purpose::Write, &self.writes)).await
    }

    /// Begins a transaction of the writer's that is not to write: every statement sees the same state, and nobody waits for
    /// it.
    pub(super) async fn begin_rehearsal(&self) -> Result<Transaction, DbErr> {
        Box::pin(self.writer.begin(Purpose::Read, &self.writes)).await
    }
}

fn sqlite_options(settings: &Settings) -> Result<SqliteConnectOptions, sqlx::Error> {
    Ok(SqliteConnectOptions::from_str(&settings.url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.wait)
        .disable_statement_logging())
}

/// Opens the writer; the file and its folder are made where they are missing.
async fn connect_sqlite(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    wait: Duration,
) -> Result<SqlitePool, sqlx::Error> {
    let folder = options.get_filename().parent();
    if let Some(folder) = folder.filter(|path| *path != Path::new("")) {
        std::fs::create_dir_all(folder)?;
    }
    let until = Instant::now() + wait;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            // Of several processes that turn a new file to WAL at once, SQLite lets one and does not have the others wait.
            Err(error) if is_locked(&error) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            writer => return writer,
        }
    }
}

fn of_rusqlite(error: rusqlite::Error) -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(error))
}

async fn migrate(connection: &DatabaseConnection, writer: &Writer) -> Result<usize, DbErr> {
    let tx = connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if let Writer::Postgres { limits, .. } = writer {
        // Another process's migrations may take long. Then, a change of a table that waits for its readers holds
        // up all that come after it.
        tx.execute_unprepared(&format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
            SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); {}",
            limits.of_writes()
        ))
        .await?;
    }
    let pending = Migrator::get_pending_migrations(&tx).await?.len();
    Migrator::up(&tx, None).await?;
    tx.commit().await?;
    Ok(pending)
}

impl Writer {
    /// A pool of one connection of its own, for SeaORM's migrations.
    async fn migrator(&self) -> Result<DatabaseConnection, DbErr> {
        let opened = match self {
            Self::Sqlite { pool, .. } => {
                let options = (*pool.connect_options()).clone();
                let pool = SqlitePoolOptions::new().max_connections(1);
                let pool = pool.connect_with(options).await;
                pool.map(SqlxSqliteConnector::from_sqlx_sqlite_pool)
            }
            Self::Postgres { pool, .. } => {
                let options = (*pool.connect_options()).clone();
                let pool = PgPoolOptions::new().max_connections(1);
                let pool = pool.connect_with(options).await;
                pool.map(SqlxPostgresConnector::from_sqlx_postgres_pool)
            }
        };
        opened.map_err(|error| DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())))
    }
}
