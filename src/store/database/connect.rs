//! Connections: one writer and a pool of readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite every write goes through the one writer, which begins IMMEDIATE; what it acknowledged survives a
//! power cut. A database that is there and cannot be written is opened all the same, and read.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use sea_orm::{DbErr, SqlxPostgresConnector, Statement};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    config::{DatabaseLocation, DatabaseSettings},
    domain::facets::Group,
    error::{Error, Result},
    store::{
        catalog::count_cache::Counts,
        changes::catalogue_version::Known,
        checks::counters::Tally,
        database::{
            open_error::{OpenError, folder},
            pool::Pool,
            reader::Reader,
            sqlite_file::SqliteFile,
            sqlite_readers::Readers,
            transaction::{Purpose, SessionLimits, Transaction, Writer},
            unwritable::Unwritable,
            write_status::Writes,
        },
        errors::{self, is_locked},
    },
};

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

    pub(in crate::store) fn failed(
        &self,
        task: &'static str,
        error: &(dyn std::error::Error + 'static),
    ) -> OpenError {
        OpenError::new(task, &self.location, self.wait, error)
    }

    /// The pools of connections, by name.
    pub fn pools(&self) -> Vec<(&'static str, Pool)> {
        let reader = self.reader.pool();
        match &self.writer {
            Writer::Postgres { .. } => vec![("all", reader)],
            Writer::Sqlite { pool, .. } => {
                let writer = Pool::new(pool.size(), pool.num_idle());
                vec![("reader", reader), ("writer", writer)]
            }
        }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
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
    let limits = SessionLimits::new(settings);
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
            let set = limits.for_reads("SET");
            Box::pin(async move { connection.execute(AssertSqlSafe(set)).await.map(drop) })
        })
        .connect_with(options)
        .await?;
    let reader = Reader::Postgres {
        pool: SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
        limits: limits.for_reads("SET LOCAL").into(),
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
