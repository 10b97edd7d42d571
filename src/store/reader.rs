//! Reading: a statement in, its rows out.
//!
//! Invariant: no statement begins when nobody waits for its rows.

use std::sync::Arc;

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend,
    IsolationLevel, TransactionTrait, sea_query::SelectStatement,
};
use tokio::sync::Mutex;

use crate::error::{Error, Result};

use super::{
    errors::failed,
    rows::Row,
    sqlite::{self, Lease, Pace, Readers},
    state::Pool,
    wanted,
};

/// What reads go through, each statement for itself.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    Sqlite(Arc<Readers>),
    Postgres {
        pool: DatabaseConnection,
        /// What a transaction is told at its beginning.
        limits: Arc<str>,
    },
}

/// A transaction in which every statement sees the same state.
#[derive(Debug)]
pub(super) enum Snapshot {
    Sqlite(Arc<Mutex<Lease>>),
    Postgres(DatabaseTransaction),
}

impl Reader {
    pub(super) fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres { .. } => DbBackend::Postgres,
        }
    }

    /// The rows of a statement, each as `read` has it. A statement may be begun again: only the rows that are given count.
    pub(super) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Vec<T>> {
        wanted::check()?;
        match self {
            Self::Sqlite(readers) => {
                let lease = Box::new(readers.lease().await?);
                sqlite::rows(lease, select, pace, read).await
            }
            Self::Postgres { pool, .. } => postgres_rows(pool, select, read).await,
        }
    }

    pub(super) async fn snapshot(&self) -> Result<Snapshot> {
        wanted::check()?;
        match self {
            Self::Sqlite(readers) => {
                let lease = readers.lease().await?;
                lease.begin()?;
                Ok(Snapshot::Sqlite(Arc::new(Mutex::new(lease))))
            }
            Self::Postgres { pool, limits } => {
                let begin = postgres_snapshot(pool, limits);
                begin.await.map(Snapshot::Postgres).map_err(failed)
            }
        }
    }

    pub(super) fn pool(&self) -> Pool {
        match self {
            Self::Sqlite(readers) => readers.pool(),
            Self::Postgres { pool, .. } => {
                let pool = pool.get_postgres_connection_pool();
                Pool::new(pool.size(), pool.num_idle())
            }
        }
    }
}

impl Snapshot {
    /// [`Reader::rows`], as the state was when the first statement ran.
    pub(super) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Vec<T>> {
        wanted::check()?;
        match self {
            Self::Sqlite(lease) => {
                let lease = lease.clone().lock_owned().await;
                sqlite::rows(lease, select, pace, read).await
            }
            Self::Postgres(tx) => postgres_rows(tx, select, read).await,
        }
    }
}

pub(super) async fn postgres_snapshot(
    pool: &DatabaseConnection,
    limits: &str,
) -> Result<DatabaseTransaction, sea_orm::DbErr> {
    let level = Some(IsolationLevel::RepeatableRead);
    let tx = pool
        .begin_with_config(level, Some(AccessMode::ReadOnly))
        .await?;
    tx.execute_unprepared(&format!("SET LOCAL {limits}"))
        .await?;
    Ok(tx)
}

async fn postgres_rows<T>(
    connection: &impl ConnectionTrait,
    select: &SelectStatement,
    read: impl Fn(Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let rows = connection.query_all(select).await.map_err(failed)?;
    let read = |row: &sea_orm::QueryResult| {
        let row = row.try_as_pg_row();
        read(Row::Postgres(
            row.ok_or_else(|| Error::internal("a row of another driver"))?,
        ))
    };
    rows.iter().map(read).collect()
}
