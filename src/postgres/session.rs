//! A session of PostgreSQL: statements, each with an end.
//!
//! Invariant: where a statement's end strikes, or its future is dropped, the connection is dropped too and its place in the
//! pool is free at once. A session that is dropped in a transaction rolls it back first.

use std::{mem, sync::Arc, time::Duration};

use deadpool::managed::Object;
use futures_util::TryStreamExt;
use sea_orm::{Statement, sea_query::Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, Executor, PgConnection, Postgres,
    postgres::{PgQueryResult, PgRow},
    query::Query,
};
use tokio::{runtime::Handle, time, time::error::Elapsed};

use super::{
    errors,
    manager::Manager,
    server::{Pooling, Server},
    turn::Turn,
};

/// A connection that is one caller's for a while.
#[derive(Debug)]
pub(crate) struct PgSession {
    /// None once it was given up.
    connection: Option<Object<Manager>>,
    server: Arc<Server>,
    /// A statement is under way, so that nothing else can be said on the connection.
    is_busy: bool,
    in_transaction: bool,
    /// Others that write wait for its end.
    turn: Option<Turn>,
}

impl PgSession {
    pub(crate) fn new(connection: Object<Manager>, server: Arc<Server>) -> Self {
        Self {
            connection: Some(connection),
            server,
            is_busy: false,
            in_transaction: false,
            turn: None,
        }
    }

    /// Has others that write wait until the session is dropped, and its transaction ended.
    pub(crate) fn hold(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// The version of the server, as `server_version_num`.
    pub(crate) fn version(&self) -> Option<u32> {
        self.connection
            .as_ref()
            .and_then(|connection| connection.server_version_num())
    }

    /// Begins a transaction by statements that begin with BEGIN.
    pub(crate) async fn begin(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.in_transaction = true;
        let end = self.server.limits.begin_end();
        self.run(sql, end).await.map(drop)
    }

    /// Ends the transaction by COMMIT or ROLLBACK.
    pub(crate) async fn finish(
        &mut self,
        sql: &str,
        end: Duration,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let done = self.run(sql.to_owned(), end).await?;
        self.in_transaction = false;
        Ok(done)
    }

    /// Runs statements without values.
    pub(crate) async fn run(
        &mut self,
        sql: String,
        end: Duration,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let connection = self.start()?;
        let done = time::timeout(end, connection.execute(AssertSqlSafe(sql))).await;
        self.ended(end, done)
    }

    pub(crate) async fn execute(
        &mut self,
        mut statement: Statement,
        end: Duration,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let is_prepared = self.prepares();
        let connection = self.start()?;
        let query = query(&mut statement).persistent(is_prepared);
        let done = time::timeout(end, query.execute(connection)).await;
        self.ended(end, done)
    }

    /// The rows of a statement, each read as it arrives. Where `read` refuses one, the others are not received, and the connection
    /// is dropped.
    pub(crate) async fn fetch<T, E>(
        &mut self,
        mut statement: Statement,
        end: Duration,
        mut read: impl FnMut(PgRow) -> Result<T, E>,
    ) -> Result<Result<Vec<T>, E>, sqlx::Error> {
        let is_prepared = self.prepares();
        let connection = self.start()?;
        let query = query(&mut statement).persistent(is_prepared);
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

    /// Notes that the session is read-only, so that new ones take the place of those that are open.
    pub(crate) fn is_read_only(&mut self) {
        self.server.found_read_only();
        self.give_up();
    }

    /// Drops the connection, and frees its place.
    pub(crate) fn give_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }

    /// Whether statements are prepared under names, for the next time.
    fn prepares(&self) -> bool {
        self.server.pooling == Pooling::None
    }

    fn start(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.is_busy {
            // A statement was abandoned half-way.
            self.give_up();
        }
        let connection = self.connection.as_mut().ok_or_else(errors::given_up)?;
        self.is_busy = true;
        Ok(connection)
    }

    fn ended<T>(
        &mut self,
        end: Duration,
        done: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, sqlx::Error> {
        let is_late = done.is_err();
        let done = done.unwrap_or_else(|_| {
            tracing::warn!(after = ?end, "no answer from PostgreSQL or its pooler: the connection is dropped");
            Err(errors::timed_out())
        });
        if let Err(error) = &done
            && errors::breaks_session(error)
        {
            if !is_late {
                tracing::warn!(%error, "a connection to PostgreSQL broke");
            }
            // Also where a pooler may have had it wait for a session: connections that nobody uses are opened again at little cost,
            // and each dead one would fail a request.
            self.server.found_broken();
            self.give_up();
        }
        self.is_busy = false;
        done
    }
}

impl Drop for PgSession {
    fn drop(&mut self) {
        if self.is_busy {
            self.give_up();
        }
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !self.in_transaction {
            return;
        }
        // Until the rollback has succeeded, it is not to be used again. A runtime that ends drops the task without a run.
        let mut session = Self {
            connection: Some(connection),
            server: Arc::clone(&self.server),
            is_busy: true,
            in_transaction: false,
            turn: self.turn.take(),
        };
        let Ok(runtime) = Handle::try_current() else {
            session.give_up();
            return;
        };
        runtime.spawn(async move {
            session.is_busy = false;
            let end = session.server.limits.begin_end();
            if session.finish("ROLLBACK", end).await.is_err() {
                session.give_up();
            }
        });
    }
}

/// A statement with its values.
fn query(statement: &mut Statement) -> Query<'_, Postgres, SqlxValues> {
    let values = mem::take(&mut statement.values).unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}
