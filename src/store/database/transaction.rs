//! Write transactions.
//!
//! Invariant: a connection is reused only after a successful COMMIT or ROLLBACK; otherwise it is closed. Nothing runs
//! in a transaction after a failed statement. A commit is acknowledged only if COMMIT succeeded and, on SQLite, a
//! reader of the file at the configured path sees it.
//!
//! SQLite rolls back by itself if the disk is full or fails, or on `RAISE(ROLLBACK)`. SeaORM and sqlx still count the
//! transaction, and next begin a savepoint, whose release commits nothing. PostgreSQL answers the COMMIT of a failed
//! transaction with a rollback that looks like success.

use std::{
    convert::Infallible,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement, prelude::async_trait::async_trait, sea_query::Values,
};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, Executor, Sqlite, SqlitePool, pool::PoolConnection, postgres::PgRow,
    query::Query,
};
use tokio::{runtime::Handle, sync::Mutex, time};

use crate::{
    postgres::{
        errors::{breaks_session, timed_out},
        pool::PgPool,
        session::PgSession,
    },
    store::{
        database::{sqlite_file::SqliteFile, write_status::WriteStatus},
        errors,
        unwritable::Unwritable,
    },
};

/// Rows that a statement inserts at most. Both databases limit a statement's parameters.
pub(in crate::store) const ROWS_A_STATEMENT: usize = 500;

/// The time limit of an SQLite statement, beyond the wait for a lock. Only a hanging file system takes this long.
const SQLITE_END: Duration = Duration::from_secs(15);

/// The least time that a PostgreSQL write waits for the lock after it has its turn.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// The most attempts to begin a transaction, because a connection may have died unnoticed.
const TRIES: usize = 3;

/// A source of write transactions.
#[derive(Clone, Debug)]
pub(in crate::store) enum Writer {
    /// A pool of one connection, so that SQLite's writers queue here and not at its lock.
    Sqlite {
        pool: SqlitePool,
        file: Arc<SqliteFile>,
    },
    Postgres(PgPool),
}

/// The purpose of a transaction.
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
            Self::Postgres(_) => DbBackend::Postgres,
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
        let mut session = Session {
            connection: None,
            is_failed: false,
            end: self.end(),
            writes: Arc::clone(writes),
        };
        let file = match self {
            Self::Sqlite { pool, file } => {
                if purpose == Purpose::Write {
                    let found = file.check_identity();
                    found.map_err(|reason| writes.refused(reason))?;
                }
                let connection = pool.acquire().await.map_err(|error| match file.look() {
                    // The file system knows the reason better than SQLite.
                    Err(reason) if errors::unwritable(&error).is_some() => writes.refused(reason),
                    // Other writes use the only connection, so waiting for it is like waiting for a lock.
                    _ if matches!(error, sqlx::Error::PoolTimedOut) => {
                        DbErr::Exec(RuntimeErr::SqlxError(error.into()))
                    }
                    _ => acquired(error, writes),
                })?;
                session.connection = Some(Connection::Sqlite(connection));
                match purpose {
                    Purpose::Write => session.run("BEGIN IMMEDIATE").await?,
                    Purpose::Read => session.run("BEGIN").await?,
                };
                Some(Arc::clone(file))
            }
            Self::Postgres(pool) => {
                let mut tries = 1;
                let connection = loop {
                    match begin(pool, purpose).await {
                        Err(error) if tries < TRIES && errors::may_run_again(&error) => tries += 1,
                        connection => break connection,
                    }
                };
                let connection = connection.inspect_err(|error| {
                    if let DbErr::Conn(RuntimeErr::SqlxError(error)) = error {
                        writes.observe(error);
                    }
                })?;
                session.connection = Some(Connection::Postgres(connection));
                None
            }
        };
        Ok(Transaction {
            session: Mutex::new(session),
            backend: self.backend(),
            file,
        })
    }

    /// Returns the time after which a statement is abandoned.
    fn end(&self) -> Duration {
        match self {
            Self::Sqlite { pool, .. } => pool.options().get_acquire_timeout() + SQLITE_END,
            Self::Postgres(pool) => pool.server.limits.write_end(),
        }
    }

    /// Makes SQLite copy its log to the database, and then reuse the log from the beginning.
    pub(in crate::store) async fn checkpoint(&self) {
        if let Self::Sqlite { pool, .. } = self {
            // If the checkpoint fails, the log stays as it is.
            let checkpoint = pool.execute("PRAGMA wal_checkpoint(PASSIVE)");
            let _ = time::timeout(self.end(), checkpoint).await;
        }
    }

    /// Closes the connections after their work has ended.
    pub(in crate::store) async fn close(&self) {
        match self {
            Self::Sqlite { pool, file } => {
                file.close();
                if pool.size() > 0 {
                    // SQLite leaves the log of a connection that never read it.
                    self.checkpoint().await;
                }
                pool.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Begins a PostgreSQL transaction.
async fn begin(pool: &PgPool, purpose: Purpose) -> Result<PgSession, DbErr> {
    let limits = pool.server.limits;
    let asked = Instant::now();
    let turn = match purpose {
        Purpose::Write => {
            // This is like waiting for a lock.
            let late = || DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::PoolTimedOut.into()));
            Some(pool.turns.take(limits.wait).await.ok_or_else(late)?)
        }
        Purpose::Read => None,
    };
    let mut session = pool.get().await?;
    if let Some(turn) = turn {
        session.hold(turn);
    }
    let version = session.version();
    let begin = session.begin(match purpose {
        // One limit covers the waits for the turn and for the lock.
        Purpose::Write => {
            let left = limits.wait.saturating_sub(asked.elapsed());
            limits.with_wait(left.max(LEAST_WAIT)).begin_write(version)
        }
        Purpose::Read => limits.begin_read(true, version),
    });
    begin
        .await
        .map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))?;
    Ok(session)
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

/// A transaction in progress. Dropping it without a commit rolls it back.
#[derive(Debug)]
pub(in crate::store) struct Transaction {
    session: Mutex<Session>,
    backend: DbBackend,
    /// The file; none on PostgreSQL.
    file: Option<Arc<SqliteFile>>,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    /// A session, which ends its transaction itself.
    Postgres(PgSession),
}

/// A connection in a transaction. Dropping it rolls back, and closes the connection if that fails.
#[derive(Debug)]
struct Session {
    /// The connection; none once it is outside the transaction.
    connection: Option<Connection>,
    /// Whether a statement failed.
    is_failed: bool,
    /// The time limit of a statement.
    end: Duration,
    writes: Arc<WriteStatus>,
}

impl Transaction {
    /// Commits. On SQLite the catalogue must then have at least the given state.
    ///
    /// After an error, the commit may still have succeeded.
    pub(in crate::store) async fn commit(self, state: Option<i64>) -> Result<(), DbErr> {
        let mut session = self.session.into_inner();
        session.commit().await?;
        if let Some(file) = self.file {
            let seen = file.check_commit(state);
            seen.map_err(|reason| session.writes.refused(reason))?;
        }
        // The connection is proved to be outside the transaction, and can be reused.
        session.connection = None;
        Ok(())
    }

    /// Rolls back, and waits for it.
    pub(in crate::store) async fn rollback(self) {
        self.session.into_inner().rollback().await;
    }
}

impl Connection {
    /// Runs statements without parameters.
    async fn run(&mut self, sql: &str, end: Duration) -> Result<ExecResult, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => {
                let done = connection.execute(AssertSqlSafe(sql));
                within(end, done).await.map(Into::into)
            }
            Self::Postgres(session) => session.run(sql.to_owned(), end).await.map(Into::into),
        }
    }

    /// Ends the transaction with COMMIT or ROLLBACK.
    async fn finish(&mut self, sql: &str, end: Duration) -> Result<ExecResult, sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.run(sql, end).await,
            Self::Postgres(session) => session.finish(sql, end).await.map(Into::into),
        }
    }

    async fn rollback(mut self, end: Duration) {
        if let Err(error) = self.finish("ROLLBACK", end).await {
            tracing::debug!(%error, "a connection is closed: it could not be rolled back");
            self.close(false);
        }
    }

    /// Closes the connection, and frees its slot of the pool without waiting. A new session may be writable after a
    /// read-only one.
    fn close(self, is_read_only: bool) {
        match self {
            Self::Sqlite(connection) => drop(connection.detach()),
            Self::Postgres(mut session) if is_read_only => session.is_read_only(),
            Self::Postgres(mut session) => session.give_up(),
        }
    }
}

/// Returns the result of an SQLite statement, unless its file system hangs.
async fn within<T>(
    end: Duration,
    done: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let done = time::timeout(end, done).await;
    done.unwrap_or_else(|_| {
        tracing::warn!(after = ?end, "the database's file does not answer: the connection is closed");
        Err(timed_out())
    })
}

impl Session {
    async fn run(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let end = self.end;
        let done = self.connection()?.run(sql, end).await;
        self.checked(done)
    }

    async fn commit(&mut self) -> Result<ExecResult, DbErr> {
        let end = self.end;
        let done = self.connection()?.finish("COMMIT", end).await;
        self.checked(done.map_err(errors::of_commit))
    }

    async fn rollback(mut self) {
        let end = self.end;
        if let Some(connection) = self.connection.take() {
            connection.rollback(end).await;
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        let message = "no statement runs in a transaction after one of it failed";
        let connection = self.connection.as_mut().filter(|_| !self.is_failed);
        connection.ok_or_else(|| DbErr::Custom(message.to_owned()))
    }

    /// Records what an error means for the transaction, the session and later writes.
    fn checked<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, DbErr> {
        done.map_err(|error| {
            self.is_failed = true;
            let is_read_only = self.writes.observe(&error) == Some(Unwritable::ReadOnly);
            if (is_read_only || breaks_session(&error))
                && let Some(connection) = self.connection.take()
            {
                connection.close(is_read_only);
            }
            let is_hindered = errors::is_locked(&error) || errors::is_commit_unknown(&error);
            if is_hindered || breaks_session(&error) {
                self.writes.doubt();
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
            Ok(runtime) => drop(runtime.spawn(connection.rollback(self.end))),
            Err(_) => connection.close(false),
        }
    }
}

/// Binds a statement's parameters, for SQLite.
fn query(statement: &mut Statement) -> Query<'_, Sqlite, SqlxValues> {
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
        let end = session.end;
        let done = match session.connection()? {
            Connection::Sqlite(connection) => {
                let done = query(&mut statement).execute(&mut **connection);
                within(end, done).await.map(Into::into)
            }
            Connection::Postgres(session) => session.execute(statement, end).await.map(Into::into),
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
        let end = session.end;
        let rows = match session.connection()? {
            Connection::Sqlite(connection) => {
                let rows = query(&mut statement).fetch_all(&mut **connection);
                let rows = within(end, rows).await;
                rows.map(|rows| rows.into_iter().map(Into::into).collect())
            }
            Connection::Postgres(session) => {
                let values = statement.values.map_or_else(Vec::new, |values| values.0);
                let read = |row: PgRow| Ok::<_, Infallible>(row.into());
                let rows = session.fetch(statement.sql.into(), values, end, read);
                rows.await.map(|Ok(rows)| rows)
            }
        };
        session.checked(rows)
    }
}
