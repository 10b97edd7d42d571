//! Connections: one writer and a pool of readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite every write goes through the one writer, which begins IMMEDIATE; what it acknowledged survives a
//! power cut. A database that is there and cannot be written is opened all the same, and read.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    config::{DatabaseLocation, DatabaseSettings},
    domain::facets::Group,
    error::{Error, Result},
};

use crate::store::{
    catalog::count_cache::Counts,
    changes::catalogue_version::Known,
    checks::counters::Tally,
    database::{
        open_error::{OpenError, folder, refuse_newer},
        reader::Reader,
        sqlite_file::SqliteFile,
        sqlite_readers::Readers,
        transaction::{Purpose, Transaction, Writer},
        writable::{Unwritable, Writes},
    },
    errors::{self, is_locked},
};

/// Two processes that migrate an empty PostgreSQL at once wait for each other under this number.
const MIGRATION_LOCK: i64 = 0x7063_6f6e;

/// How long a connection to PostgreSQL may have been idle to be used without a question whether it is still there.
const UNTESTED: Duration = Duration::from_secs(1);

/// The time between two attempts to connect to PostgreSQL.
const RETRY: Duration = Duration::from_millis(100);

/// A database, open.
#[derive(Clone, Debug)]
pub struct Database {
    pub(in crate::store) reader: Reader,
    pub(in crate::store) writer: Writer,
    pub(in crate::store) writes: Arc<Writes>,
    location: DatabaseLocation,
    wait: Duration,
    damage: Arc<OnceLock<String>>,
    /// The number of the last change, as far as it is known.
    pub(in crate::store) known: Arc<Known>,
    pub(in crate::store) totals: Arc<Counts<u64>>,
    pub(in crate::store) groups: Arc<Counts<Vec<Group>>>,
    pub(in crate::store) tally: Arc<Tally>,
}

/// The settings of a PostgreSQL transaction. Each begins with them: a pooler may give each another session.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Limits {
    wait: Duration,
    read_timeout: Option<Duration>,
}

impl Limits {
    fn new(settings: &DatabaseSettings) -> Self {
        Self {
            wait: settings.wait,
            read_timeout: settings.read_timeout,
        }
    }

    /// For a session (`SET`) or a transaction (`SET LOCAL`): a read ends in time, and is planned once for all parameters.
    pub(in crate::store) fn of_reads(self, set: &str) -> String {
        // Zero is without end.
        let millis = self.read_timeout.map_or(0, |time| time.as_millis().max(1));
        format!("{set} statement_timeout = {millis}; {set} plan_cache_mode = force_generic_plan")
    }

    /// A write waits so long for another's; what it does once it may is not cut, and planned as PostgreSQL likes.
    pub(in crate::store) fn of_writes(self) -> String {
        let millis = self.wait.as_millis().max(1);
        format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {millis}; SET LOCAL plan_cache_mode = DEFAULT"
        )
    }
}

impl Database {
    /// Opens the database; an SQLite file and the folder it is in are made where they are missing.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, OpenError> {
        let location = settings.location()?;
        let known = Arc::new(Writes::new(settings.read_only));
        let opened = match &location {
            DatabaseLocation::File(_) => open_sqlite(settings, &known).await,
            DatabaseLocation::Server(_) => open_postgres(settings, &known).await,
        };
        let (reader, writer) =
            opened.map_err(|error| OpenError::new("open", &location, settings.wait, &error))?;
        Ok(Self {
            reader,
            writer,
            writes: known,
            location,
            wait: settings.wait,
            damage: Arc::default(),
            known: Arc::default(),
            totals: Arc::default(),
            groups: Arc::default(),
            tally: Arc::default(),
        })
    }

    /// Ends all connections. The last to end is the writer, which leaves an SQLite database in one file, whole.
    pub async fn close(self) -> Result<()> {
        if let Reader::Sqlite(readers) = &self.reader {
            readers.close();
        }
        self.writer.close().await;
        Ok(())
    }

    /// The file of the database, or its host and name.
    pub fn location(&self) -> &DatabaseLocation {
        &self.location
    }

    /// The damage that a check or a statement found first. It stays until the process ends.
    pub fn damage(&self) -> Option<String> {
        self.damage.get().cloned().or_else(errors::damage)
    }

    pub(in crate::store) fn report_damage(&self, finding: String) {
        self.writes.failed(Unwritable::Damaged);
        let _ = self.damage.set(finding);
    }

    /// Tells the operator where and why a command failed on this database, and what to do; any other error stays as it is.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<Error>() {
            Ok(error) => self.failed("use", &error).into(),
            Err(other) => other,
        }
    }

    fn failed(&self, task: &'static str, error: &(dyn std::error::Error + 'static)) -> OpenError {
        OpenError::new(task, &self.location, self.wait, error)
    }

    /// Fails where the schema is not this program's, for who may not migrate it.
    pub async fn check_migrated(&self) -> Result<(), OpenError> {
        let applied = self.applied().await;
        let applied = applied.map_err(|error| self.failed("read", &error))?;
        match self.steps(&applied, None)? {
            (0, 0) => Ok(()),
            _ => Err(OpenError::Outdated(self.location.clone())),
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
        let before = self.applied().await;
        let before = before.map_err(|error| self.failed("migrate", &error))?;
        let steps = self.steps(&before, version)?;
        if steps == (0, 0) {
            return Ok(steps);
        }
        let failed = |error: DbErr| self.failed("migrate", &error);
        // A connection of its own: SeaORM's transactions are for migrations alone.
        let connection = self.writer.migrator().await.map_err(failed)?;
        let tx = connection
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await
            .map_err(failed)?;
        if let Writer::Postgres { limits, .. } = &self.writer {
            // Another process's migrations may take long. Then, a change of a table that waits for its readers holds
            // up all that come after it.
            let lock = format!(
                "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
                SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); {}",
                limits.of_writes()
            );
            tx.execute_unprepared(&lock).await.map_err(failed)?;
        }
        // Another process may have migrated meanwhile.
        let before = applied(&tx).await.map_err(failed)?;
        let (up, down) = self.steps(&before, version)?;
        let migrate = async {
            // SeaORM logs that it has nothing to do.
            if down > 0 {
                Migrator::down(&tx, Some(down)).await?;
            }
            if up > 0 {
                Migrator::up(&tx, Some(up)).await?;
            }
            tx.commit().await?;
            connection.close().await
        };
        Box::pin(migrate).await.map_err(failed)?;
        Ok((up, down))
    }

    /// How many migrations are to be applied and reverted to come from these to a version.
    fn steps(&self, applied: &[String], version: Option<&str>) -> Result<(u32, u32), OpenError> {
        let known = migration::names();
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

    pub(in crate::store) async fn begin_write(&self) -> Result<Transaction, DbErr> {
        Box::pin(self.writer.begin(Purpose::Write, &self.writes)).await
    }

    /// Begins a transaction of the writer's that is not to write: every statement sees the same state, and nobody waits for
    /// it.
    pub(in crate::store) async fn begin_rehearsal(&self) -> Result<Transaction, DbErr> {
        Box::pin(self.writer.begin(Purpose::Read, &self.writes)).await
    }
}

/// Opens an SQLite file. One that cannot be written is read all the same, if it is there.
async fn open_sqlite(
    settings: &DatabaseSettings,
    writes: &Writes,
) -> Result<(Reader, Writer), sqlx::Error> {
    let options = SqliteConnectOptions::from_str(&settings.url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.wait)
        .disable_statement_logging();
    let file = SqliteFile::new(options.get_filename().to_owned(), settings.wait);
    let file = Arc::new(file);
    let connections = settings.connections as usize;
    let readers = Readers::new(Arc::clone(&file), connections, settings.wait);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(settings.wait);
    let of_rusqlite = |error| sqlx::Error::AnyDriverError(Box::new(error));
    let pool = if settings.read_only {
        file.opened().map_err(of_rusqlite)?;
        pool.connect_lazy_with(options)
    } else {
        match connect_sqlite(pool.clone(), &options, settings.wait).await {
            Ok(pool) => {
                file.opened().map_err(of_rusqlite)?;
                pool
            }
            // A write opens it again, until it can.
            Err(error) if readers.open().is_ok() && writes.observe(&error).is_some() => {
                pool.connect_lazy_with(options)
            }
            Err(error) => return Err(error),
        }
    };
    let reader = Reader::Sqlite(Arc::new(readers));
    Ok((reader, Writer::Sqlite { pool, file }))
}

/// Opens the writer; the file and its folder are made where they are missing.
async fn connect_sqlite(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    wait: Duration,
) -> Result<SqlitePool, sqlx::Error> {
    std::fs::create_dir_all(folder(options.get_filename()))?;
    let until = Instant::now() + wait;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            // SQLite lets one process turn a new file to WAL, and refuses the others at once.
            Err(error) if is_locked(&error) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            writer => return writer,
        }
    }
}

async fn open_postgres(
    settings: &DatabaseSettings,
    writes: &Arc<Writes>,
) -> Result<(Reader, Writer), sqlx::Error> {
    let options = PgConnectOptions::from_str(&settings.url)?
        .application_name(env!("CARGO_PKG_NAME"))
        .disable_statement_logging();
    reach(&options, settings.wait).await?.close().await?;
    let limits = Limits::new(settings);
    let writes = Arc::clone(writes);
    let pool = PgPoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(settings.wait)
        // One that was in use a moment ago is still there; one that was not may have lost its server meanwhile.
        .test_before_acquire(false)
        .before_acquire(move |connection, used| {
            let is_suspect = writes.is_suspect(used.age);
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
    Ok((reader, Writer::Postgres { pool, limits }))
}

/// Connects once, and tries again for a while where the cause may pass: a pool would only say that it waited.
pub(in crate::store) async fn reach(
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
