//! A PostgreSQL session, in which each statement has a time limit.
//!
//! Invariant: when a statement's time is over, its connection is dropped, and its slot of the pool is free at once. If
//! a statement's future is dropped, its result is still read, within its time, before the connection sends anything
//! else. A session that is dropped in a transaction rolls it back first.

use std::{any::Any, mem, sync::Arc, thread, time::Duration};

use deadpool::managed::Object;
use futures_util::TryStreamExt;
use sea_orm::{Statement, Value, sea_query::Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Postgres,
    postgres::{PgQueryResult, PgRow},
    query::Query,
};
use tokio::{
    runtime::Handle,
    time::{self, Instant, error::Elapsed},
};
use tracing::Instrument;

use super::{
    errors,
    manager::Manager,
    server::{Pooling, Server},
    turn::Turn,
};

/// A connection that one caller uses exclusively for a while.
#[derive(Debug)]
pub(crate) struct PgSession {
    /// The connection; none after it was abandoned.
    connection: Option<Object<Manager>>,
    server: Arc<Server>,
    /// The deadline of the statement in progress.
    busy_until: Option<Instant>,
    in_transaction: bool,
    /// Whether the session was dropped, and a task finishes its statement.
    is_ending: bool,
    /// The turn among writers, which lasts until the session ends.
    turn: Option<Turn>,
    /// The permit of the session's request.
    permit: Option<Permit>,
}

type Permit = Arc<dyn Any + Send + Sync>;

impl PgSession {
    pub(crate) fn new(connection: Object<Manager>, server: Arc<Server>) -> Self {
        Self {
            connection: Some(connection),
            server,
            busy_until: None,
            in_transaction: false,
            is_ending: false,
            turn: None,
            permit: None,
        }
    }

    /// Holds the writers' turn until the session is dropped and its transaction has ended.
    pub(crate) fn hold(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Holds a request's permit until the statement in progress has ended.
    pub(crate) fn work_for(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// Returns the server's version, as `server_version_num`.
    pub(crate) fn version(&self) -> Option<u32> {
        self.connection
            .as_ref()
            .and_then(|connection| connection.server_version_num())
    }

    /// Begins a transaction; the statements start with BEGIN.
    pub(crate) async fn begin(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.in_transaction = true;
        let end = self.server.limits.begin_end();
        self.run(sql, end).await.map(drop)
    }

    /// Ends the transaction with COMMIT or ROLLBACK.
    pub(crate) async fn finish(
        &mut self,
        sql: &str,
        end: Duration,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let done = self.run(sql.to_owned(), end).await?;
        self.in_transaction = false;
        Ok(done)
    }

    /// Runs statements without parameters.
    pub(crate) async fn run(
        &mut self,
        sql: String,
        end: Duration,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let connection = self.start(end).await?;
        let done = time::timeout(end, connection.execute(AssertSqlSafe(sql))).await;
        self.ended(end, done)
    }

    pub(crate) async fn execute(
        &mut self,
        mut statement: Statement,
        end: Duration,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let is_prepared = self.prepares();
        let connection = self.start(end).await?;
        let query = query(&mut statement).persistent(is_prepared);
        let done = time::timeout(end, query.execute(connection)).await;
        self.ended(end, done)
    }

    /// Runs a statement and reads each row as it arrives. If `read` fails, the connection is dropped, and no more rows
    /// are received.
    pub(crate) async fn fetch<T, E>(
        &mut self,
        sql: Arc<str>,
        values: Vec<Value>,
        end: Duration,
        mut read: impl FnMut(PgRow) -> Result<T, E>,
    ) -> Result<Result<Vec<T>, E>, sqlx::Error> {
        let is_prepared = self.prepares();
        let connection = self.start(end).await?;
        let values = SqlxValues(Values(values));
        let query = sqlx::query_with(AssertSqlSafe(sql), values).persistent(is_prepared);
        let all = async {
            let mut rows = query.fetch(connection);
            let mut all = Vec::new();
            while let Some(row) = rows.try_next().await? {
                match read(row) {
                    Ok(one) => all.push(one),
                    Err(refused) => return Ok(Err(refused)),
                }
            }
            Ok(Ok(all))
        };
        let rows = time::timeout(end, all).await;
        let rows = self.ended(end, rows)?;
        if rows.is_err() {
            self.give_up();
        }
        Ok(rows)
    }

    /// Records that the session is read-only, so that new ones replace the open ones.
    pub(crate) fn is_read_only(&mut self) {
        self.server.found_read_only();
        self.give_up();
    }

    /// Drops the connection and frees its slot of the pool.
    pub(crate) fn give_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }

    /// Finishes the statement in progress, and returns the connection.
    async fn end(mut self) {
        let end = self.server.limits.begin_end();
        let settled = self.settle().await;
        if settled.is_err() || self.in_transaction && self.finish("ROLLBACK", end).await.is_err() {
            self.give_up();
        }
    }

    /// Returns whether statements are prepared by name for reuse.
    fn prepares(&self) -> bool {
        self.server.pooling == Pooling::None
    }

    /// Returns the connection for a statement with this time limit.
    async fn start(&mut self, end: Duration) -> Result<&mut PgConnection, sqlx::Error> {
        self.settle().await?;
        let connection = self.connection.as_mut().ok_or_else(errors::given_up)?;
        self.busy_until = Some(Instant::now() + end);
        Ok(connection)
    }

    /// Reads the result of a statement whose future was dropped.
    async fn settle(&mut self) -> Result<(), sqlx::Error> {
        let (Some(until), Some(connection)) = (self.busy_until, &mut self.connection) else {
            return Ok(());
        };
        let answered = async {
            // The statement's own error counts as its result.
            while let Err(error) = connection.ping().await {
                if errors::breaks_session(&error) {
                    return Err(error);
                }
            }
            Ok(())
        };
        let end = until.saturating_duration_since(Instant::now());
        let answered = time::timeout(end, answered).await;
        self.ended(end, answered)
    }

    fn ended<T>(
        &mut self,
        end: Duration,
        done: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, sqlx::Error> {
        let is_late = done.is_err();
        let done = done.unwrap_or_else(|_| {
            tracing::warn!(after = ?end, "PostgreSQL or its pooler did not answer in time: the connection is dropped");
            Err(errors::timed_out())
        });
        if let Err(error) = &done
            && errors::breaks_session(error)
        {
            if !is_late {
                tracing::warn!(%error, "a connection to PostgreSQL broke");
            }
            // A pooler may only have delayed the statement. Even so, reopening idle connections costs little, and each
            // dead one would fail a request.
            self.server.found_broken();
            self.give_up();
        }
        self.busy_until = None;
        done
    }
}

impl Drop for PgSession {
    fn drop(&mut self) {
        let is_busy = self.busy_until.is_some();
        if !(is_busy || self.in_transaction) {
            return;
        }
        let Some(connection) = self.connection.take() else {
            return;
        };
        let mut session = Self {
            connection: Some(connection),
            server: Arc::clone(&self.server),
            busy_until: self.busy_until,
            in_transaction: self.in_transaction,
            is_ending: true,
            turn: self.turn.take(),
            permit: self.permit.take(),
        };
        // A runtime that ends drops the task without running it. After a panic, the statement's state is unknown.
        match Handle::try_current() {
            Ok(runtime) if !(self.is_ending || is_busy && thread::panicking()) => {
                runtime.spawn(session.end().in_current_span());
            }
            _ => session.give_up(),
        }
    }
}

/// Binds a statement's parameters.
fn query(statement: &mut Statement) -> Query<'_, Postgres, SqlxValues> {
    let values = mem::take(&mut statement.values).unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}
