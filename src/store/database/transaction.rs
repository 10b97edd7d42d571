//! Transactions that write.
//!
//! Invariant: a connection is used again only after a COMMIT or ROLLBACK that succeeded on it; else it is closed. Nothing
//! runs in a transaction after a statement of it failed. A commit is acknowledged only where COMMIT succeeded and, on
//! SQLite, a reader of the file at the configured path sees it.
//!
//! SQLite rolls back by itself where the disk is full or fails, and `RAISE(ROLLBACK)` has it do so. SeaORM and sqlx count a
//! transaction on, and begin a savepoint the next time, whose release commits nothing. PostgreSQL answers the COMMIT of a
//! failed transaction with a rollback that looks like success.

use std::{mem, sync::Arc, time::Duration};

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement, prelude::async_trait::async_trait, sea_query::Values,
};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres, Sqlite, SqlitePool, pool::PoolConnection};
use tokio::{runtime::Handle, sync::Mutex};

use crate::{
    config::DatabaseSettings,
    store::{
        database::{
            reader::SNAPSHOT, sqlite_file::SqliteFile, unwritable::Unwritable,
            write_status::WriteStatus,
        },
        errors,
    },
};

/// The settings of a PostgreSQL transaction. Each begins with them: a pooler may give each another session.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct SessionLimits {
    wait: Duration,
    read_timeout: Option<Duration>,
}

impl SessionLimits {
    pub(in crate::store) fn new(settings: &DatabaseSettings) -> Self {
        Self {
            wait: settings.wait,
            read_timeout: settings.read_timeout,
        }
    }

    /// The settings of a session (`SET`) or a transaction (`SET LOCAL`): a read ends in time, and is planned once for all
    /// parameters.
    pub(in crate::store) fn for_reads(self, set: &str) -> String {
        // Zero is without end.
        let millis = self.read_timeout.map_or(0, |time| time.as_millis().max(1));
        format!("{set} statement_timeout = {millis}; {set} plan_cache_mode = force_generic_plan")
    }

    /// A write waits so long for another's; what it does once it may is not cut, and planned as PostgreSQL likes.
    pub(in crate::store) fn for_writes(self) -> String {
        let millis = self.wait.as_millis().max(1);
        format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {millis}; SET LOCAL plan_cache_mode = DEFAULT"
        )
    }
}

/// Where transactions that write begin.
#[derive(Clone, Debug)]
pub(in crate::store) enum Writer {
    /// A pool of one, so that SQLite's writers queue here and not at its lock.
    Sqlite {
        pool: SqlitePool,
        file: Arc<SqliteFile>,
    },
    Postgres {
        pool: PgPool,
        limits: SessionLimits,
    },
}

/// What a transaction is begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Purpose {
    Write,
    /// Every statement sees the same state, and no writer waits.
    Read,
}

impl Writer {
    pub(in crate::store) fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite { .. } => DbBackend::Sqlite,
            Self::Postgres { .. } => DbBackend::Postgres,
        }
    }

    /// Begins a transaction. A write waits for another process's write, up to `--database-wait`.
    pub(in crate::store) async fn begin(
        &self,
        purpose: Purpose,
        writes: &Arc<WriteStatus>,
    ) -> Result<Transaction, DbErr> {
        if purpose == Purpose::Write {
            writes.check_allowed().map_err(errors::refused)?;
        }
        let (connection, file) = match self {
            Self::Sqlite { pool, file } => {
                if purpose == Purpose::Write {
                    let found = file.check_identity();
                    found.map_err(|reason| writes.refused(reason))?;
                }
                let connection = pool.acquire().await.map_err(|error| match file.look() {
                    // The file system knows better than SQLite why a file cannot be opened.
                    Err(reason) if errors::unwritable(&error).is_some() => writes.refused(reason),
                    // Other writes have it: the one connection is waited for like a lock.
                    _ if matches!(error, sqlx::Error::PoolTimedOut) => {
                        DbErr::Exec(RuntimeErr::SqlxError(error.into()))
                    }
                    _ => acquired(error, writes),
                })?;
                (Connection::Sqlite(connection), Some(Arc::clone(file)))
            }
            Self::Postgres { pool, .. } => {
                let connection = pool
                    .acquire()
                    .await
                    .map_err(|error| acquired(error, writes))?;
                (Connection::Postgres(connection), None)
            }
        };
        let mut session = Session {
            connection: Some(connection),
            is_failed: false,
            writes: Arc::clone(writes),
        };
        match (self, purpose) {
            (Self::Sqlite { .. }, Purpose::Write) => session.run("BEGIN IMMEDIATE").await?,
            (_, _) => session.run("BEGIN").await?,
        };
        if let Self::Postgres { limits, .. } = self {
            let set = match purpose {
                Purpose::Write => limits.for_writes(),
                Purpose::Read => format!("{SNAPSHOT}; {}", limits.for_reads("SET LOCAL")),
            };
            session.run(&set).await?;
        }
        Ok(Transaction {
            session: Mutex::new(session),
            backend: self.backend(),
            file,
        })
    }

    /// Has SQLite write its log over from the beginning, so that repeated probes do not make it grow.
    pub(in crate::store) async fn checkpoint(&self) {
        if let Self::Sqlite { pool, .. } = self {
            // Where it fails, the log is left as it is.
            let _ = pool.execute("PRAGMA wal_checkpoint(PASSIVE)").await;
        }
    }

    /// Closes the connections, after what is under way.
    pub(in crate::store) async fn close(&self) {
        match self {
            Self::Sqlite { pool, file } => {
                file.close();
                pool.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}

fn acquired(error: sqlx::Error, writes: &WriteStatus) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => {
            writes.observe(&error);
            DbErr::Conn(RuntimeErr::SqlxError(error.into()))
        }
    }
}

/// A transaction under way. Dropped without a commit it leaves nothing behind.
#[derive(Debug)]
pub(in crate::store) struct Transaction {
    session: Mutex<Session>,
    backend: DbBackend,
    /// None on PostgreSQL.
    file: Option<Arc<SqliteFile>>,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A connection in a transaction. Dropped in it, it is rolled back, and closed where that fails.
#[derive(Debug)]
struct Session {
    /// None once it is outside the transaction.
    connection: Option<Connection>,
    /// A statement failed.
    is_failed: bool,
    writes: Arc<WriteStatus>,
}

impl Transaction {
    /// Commits. On SQLite the catalogue must then be at this state at least, where one is given.
    ///
    /// After an error it may have been committed all the same.
    pub(in crate::store) async fn commit(self, state: Option<i64>) -> Result<(), DbErr> {
        let mut session = self.session.into_inner();
        session.run("COMMIT").await?;
        if let Some(file) = self.file {
            let seen = file.check_commit(state);
            seen.map_err(|reason| session.writes.refused(reason))?;
        }
        // Outside the transaction, and proved to be: the next one may have it.
        session.connection = None;
        Ok(())
    }

    /// Rolls back, and waits until that is done.
    pub(in crate::store) async fn rollback(self) {
        let mut session = self.session.into_inner();
        if let Some(connection) = session.connection.take() {
            connection.rollback().await;
        }
    }
}

impl Connection {
    async fn execute(&mut self, sql: String) -> Result<ExecResult, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => connection.execute(sql).await.map(Into::into),
            Self::Postgres(connection) => connection.execute(sql).await.map(Into::into),
        }
    }

    async fn rollback(mut self) {
        if let Err(error) = self.execute("ROLLBACK".to_owned()).await {
            tracing::debug!(%error, "a connection is closed: it could not be rolled back");
            self.close();
        }
    }

    fn close(mut self) {
        match &mut self {
            Self::Sqlite(connection) => connection.close_on_drop(),
            Self::Postgres(connection) => connection.close_on_drop(),
        }
    }
}

impl Session {
    async fn run(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let done = self.connection()?.execute(sql.to_owned()).await;
        self.checked(done)
    }

    fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        let message = "no statement runs in a transaction after one of it failed";
        let connection = self.connection.as_mut().filter(|_| !self.is_failed);
        connection.ok_or_else(|| DbErr::Custom(message.to_owned()))
    }

    /// Notes what an error says of the transaction, of the session, and of writing at all.
    fn checked<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, DbErr> {
        done.map_err(|error| {
            self.is_failed = true;
            if self.writes.observe(&error) == Some(Unwritable::ReadOnly)
                && let Some(connection) = self.connection.take()
            {
                // A new session may write where the server has become writable.
                connection.close();
            }
            DbErr::Exec(RuntimeErr::SqlxError(error.into()))
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(connection.rollback())),
            Err(_) => connection.close(),
        }
    }
}

/// A statement with its values, for either driver.
fn query<DB: sqlx::Database>(statement: &mut Statement) -> sqlx::query::Query<'_, DB, SqlxValues>
where
    SqlxValues: sqlx::IntoArguments<DB>,
{
    let values = mem::take(&mut statement.values).unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, mut statement: Statement) -> Result<ExecResult, DbErr> {
        let session = &mut *self.session.lock().await;
        let done = match session.connection()? {
            Connection::Sqlite(connection) => {
                let query = query::<Sqlite>(&mut statement);
                query.execute(&mut **connection).await.map(Into::into)
            }
            Connection::Postgres(connection) => {
                let query = query::<Postgres>(&mut statement);
                query.execute(&mut **connection).await.map(Into::into)
            }
        };
        session.checked(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.session.lock().await.run(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, mut statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let session = &mut *self.session.lock().await;
        let rows = match session.connection()? {
            Connection::Sqlite(connection) => {
                let rows = query::<Sqlite>(&mut statement)
                    .fetch_all(&mut **connection)
                    .await;
                rows.map(|rows| rows.into_iter().map(Into::into).collect())
            }
            Connection::Postgres(connection) => {
                let rows = query::<Postgres>(&mut statement)
                    .fetch_all(&mut **connection)
                    .await;
                rows.map(|rows| rows.into_iter().map(Into::into).collect())
            }
        };
        session.checked(rows)
    }
}
