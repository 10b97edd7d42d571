//! Connections: one writer and a pool of readers on SQLite, one pool on PostgreSQL.
//!
//! Invariant: on SQLite every write goes through the one writer, which begins IMMEDIATE, and an acknowledged write
//! survives a power failure. An existing database that cannot be written is still opened and read.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use sea_orm::{DbErr, Statement};
use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    config::{DatabaseLocation, DatabaseSettings, DatabaseUrlError},
    domain::facets::{Groups, Organizations},
    error::{Error, Result},
    postgres::{pool::PgPool, precondition, server::Server},
    store::{
        database::{
            open_error::{Contents, OpenError, folder},
            pool::Pool,
            reader::{PgReader, Reader},
            sqlite_file::{SqliteFile, refuse_foreign_file},
            sqlite_readers::Readers,
            transaction::{Purpose, Transaction, Writer},
            write_status::WriteStatus,
        },
        errors::{self, is_locked},
        memory::{
            catalogue_version::VersionTracker,
            check_counters::CheckCounters,
            count_cache::{CountCache, LISTS_BY_ORGANIZATION},
            recent_states::RecentStates,
            statement_texts::StatementTexts,
            vocabulary::Vocabulary,
        },
        tasks::joined,
        unwritable::Unwritable,
    },
};

/// The longest time of the service's own queries on PostgreSQL: the ping, and the last change.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(2);

/// An open database.
#[derive(Clone, Debug)]
pub struct Database {
    pub(in crate::store) reader: Reader,
    pub(in crate::store) writer: Writer,
    pub(in crate::store) control: Control,
    pub(in crate::store) writes: Arc<WriteStatus>,
    location: DatabaseLocation,
    wait: Duration,
    damage: Arc<OnceLock<String>>,
    /// The number of the last change, if known.
    pub(in crate::store) known: Arc<VersionTracker>,
    pub(in crate::store) statement_texts: Arc<StatementTexts>,
    pub(in crate::store) totals: Arc<CountCache<u64>>,
    pub(in crate::store) groups: Arc<CountCache<Groups>>,
    pub(in crate::store) organizations: Arc<CountCache<Organizations>>,
    pub(in crate::store) recent_states: Arc<RecentStates>,
    pub(in crate::store) check_counters: Arc<CheckCounters>,
    pub(in crate::store) vocabulary: Vocabulary,
}

/// Connections for the service itself, which no request can occupy: for its probes, the state poll, and the lease of
/// checks.
#[derive(Clone, Debug)]
pub(in crate::store) struct Control {
    pub(in crate::store) reader: Reader,
    /// The writer; on SQLite the only one, for which all writes queue in order.
    pub(in crate::store) writer: Writer,
}

/// The connections of a newly opened database.
struct Opened {
    reader: Reader,
    writer: Writer,
    control: Control,
}

impl Database {
    /// Opens the database. A missing SQLite file and its folder are created, if the settings allow it. Another
    /// program's database is refused, and not written.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, OpenError> {
        let location = settings.location()?;
        let known = Arc::new(WriteStatus::new(settings.read_only));
        let failed = |error: sqlx::Error| OpenError::new("open", &location, settings.wait, &error);
        Self::refuse_foreign_file(settings).await?;
        let opened = match &location {
            DatabaseLocation::File(_) => open_sqlite(settings, &known).await.map_err(failed)?,
            DatabaseLocation::Server(_) => {
                let (opened, contents) = open_postgres(settings).await.map_err(failed)?;
                contents.refuse_foreign(&location)?;
                opened
            }
        };
        let Opened {
            reader,
            writer,
            control,
        } = opened;
        Ok(Self {
            reader,
            writer,
            control,
            writes: known,
            location,
            wait: settings.wait,
            damage: Arc::default(),
            known: Arc::default(),
            statement_texts: Arc::default(),
            totals: Arc::default(),
            groups: Arc::default(),
            organizations: Arc::new(CountCache::of(LISTS_BY_ORGANIZATION)),
            recent_states: Arc::default(),
            check_counters: Arc::default(),
            vocabulary: Vocabulary::default(),
        })
    }

    /// Refuses an SQLite file that is unreadable or another program's. Nothing is written.
    pub(crate) async fn refuse_foreign_file(settings: &DatabaseSettings) -> Result<(), OpenError> {
        let (location, wait) = (settings.location()?, settings.wait);
        let DatabaseLocation::File(file) = location.clone() else {
            return Ok(());
        };
        joined(spawn_blocking(move || {
            refuse_foreign_file(&location, &file, wait)
        }))
        .await
    }

    /// Closes all connections, the writer last, which leaves an SQLite database in a single file.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await;
        self.control.reader.close().await;
        self.control.writer.close().await;
        self.writer.close().await;
        Ok(())
    }

    /// Returns the database's file, or its host and name.
    pub fn location(&self) -> &DatabaseLocation {
        &self.location
    }

    /// Returns the first damage that a check or a statement found. It stays until the process ends.
    pub(crate) fn damage(&self) -> Option<String> {
        self.damage.get().cloned().or_else(errors::damage)
    }

    pub(in crate::store) fn report_damage(&self, finding: String) {
        self.writes.failed(Unwritable::Damaged);
        let _ = self.damage.set(finding);
    }

    /// Adds the location, the cause and advice to a failure of a command on this database. Other errors stay unchanged.
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

    /// Returns the connection pools by name.
    pub fn pools(&self) -> Vec<(&'static str, Pool)> {
        let reader = self.reader.pool();
        let mut control = self.control.reader.pool();
        match (&self.writer, &self.control.writer) {
            (Writer::Sqlite { pool, .. }, _) => {
                let writer = Pool::new(pool.size(), pool.num_idle());
                vec![("reader", reader), ("writer", writer), ("control", control)]
            }
            (Writer::Postgres(_), Writer::Postgres(pool)) => {
                control += pool.status().into();
                vec![("all", reader), ("control", control)]
            }
            (Writer::Postgres(_), Writer::Sqlite { .. }) => vec![("all", reader)],
        }
    }

    /// Returns this process's counters of checks, for the metrics.
    pub fn check_counters(&self) -> &CheckCounters {
        &self.check_counters
    }

    /// Calls `observe` with every statement of connectors' reads from now on.
    pub fn observe_reads(&mut self, observe: impl Fn(&Statement) + Send + Sync + 'static) {
        match &mut self.reader {
            Reader::Sqlite(readers) => readers.observe(observe),
            Reader::Postgres(reader) => reader.observe(observe),
        }
    }

    pub(in crate::store) async fn begin_write(&self) -> Result<Transaction, DbErr> {
        Box::pin(self.writer.begin(Purpose::Write, &self.writes)).await
    }

    /// Begins a transaction of the service itself, which waits for no request.
    pub(in crate::store) async fn begin_control(&self) -> Result<Transaction, DbErr> {
        let begin = self.control.writer.begin(Purpose::Write, &self.writes);
        Box::pin(begin).await
    }

    /// Begins a transaction of the writer for a dry run. Every statement sees the same state, and no writer waits for
    /// it.
    pub(in crate::store) async fn begin_rehearsal(&self) -> Result<Transaction, DbErr> {
        Box::pin(self.writer.begin(Purpose::Read, &self.writes)).await
    }
}

/// Opens an SQLite file. An existing file that cannot be written is still read.
async fn open_sqlite(
    settings: &DatabaseSettings,
    writes: &WriteStatus,
) -> Result<Opened, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(&settings.url)?
        .create_if_missing(settings.may_make_file())
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
        if settings.may_make_file() {
            std::fs::create_dir_all(folder(options.get_filename()))?;
        }
        match connect_sqlite(pool.clone(), &options, settings.wait).await {
            Ok(pool) => {
                file.opened().map_err(of_rusqlite)?;
                pool
            }
            // A write opens it again, until it succeeds.
            Err(error)
                if !is_locked(&error)
                    && readers.open().is_ok()
                    && writes.observe(&error).is_some() =>
            {
                pool.connect_lazy_with(options)
            }
            Err(error) => return Err(error),
        }
    };
    let watch = Readers::new(Arc::clone(&file), 1, settings.wait);
    let only = Writer::Sqlite { pool, file };
    Ok(Opened {
        reader: Reader::Sqlite(Arc::new(readers)),
        control: Control {
            reader: Reader::Sqlite(Arc::new(watch)),
            writer: only.clone(),
        },
        writer: only,
    })
}

/// Opens the writer.
async fn connect_sqlite(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    wait: Duration,
) -> Result<SqlitePool, sqlx::Error> {
    let until = Instant::now() + wait;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            // SQLite lets one process switch a new file to WAL, and refuses others at once.
            Err(error) if is_locked(&error) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            writer => return writer,
        }
    }
}

/// Opens a PostgreSQL database, and returns its contents.
async fn open_postgres(settings: &DatabaseSettings) -> Result<(Opened, Contents), sqlx::Error> {
    let configuration = |error: DatabaseUrlError| sqlx::Error::Configuration(Box::new(error));
    let mut server = Server::new(settings).map_err(configuration)?;
    let mut connection = server.reach(settings).await?;
    precondition::check(&mut connection).await?;
    let contents = timeout(settings.wait, Contents::of_postgres(&mut connection)).await;
    let contents = contents.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    if server.may_be_standby()
        && !settings.read_only
        && precondition::is_standby(&mut connection).await?
    {
        tracing::warn!(
            "the first host of --database-url that answers is a standby: to have the primary, add \
             target_session_attrs=read-write"
        );
    }
    let _ = timeout(CONTROL_TIMEOUT, connection.close()).await;
    let server = Arc::new(server);
    let pool = |connections| {
        let pool = PgPool::new(Arc::clone(&server), connections);
        pool.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
    };
    let (limits, requests) = (server.limits, pool(settings.connections)?);
    let opened = Opened {
        reader: Reader::Postgres(PgReader::new(requests.clone(), limits)),
        writer: Writer::Postgres(requests),
        control: Control {
            reader: Reader::Postgres(PgReader::new(
                pool(1)?,
                limits.with_read_timeout(CONTROL_TIMEOUT),
            )),
            writer: Writer::Postgres(pool(1)?),
        },
    };
    Ok((opened, contents))
}
