//! Reading: a statement in, its rows out.
//!
//! Invariant: no statement begins when nobody waits for its rows.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement,
    TransactionTrait, Value, sea_query::SelectStatement,
};
use tokio::sync::Mutex;

use crate::{
    error::{Error, Result},
    store::{
        cancellation,
        database::{
            pool::Pool,
            row::Row,
            sqlite_readers::{self, Lease, Pace, Readers},
        },
        errors::failed,
    },
};

/// What a transaction on PostgreSQL is told before a statement that takes long: to find the best plan for its values is worth
/// the time, and another message.
const PLANNED_FOR_VALUES: &str = "SET LOCAL plan_cache_mode = auto";

/// Has all statements of a PostgreSQL transaction see what the first of them sees.
pub(in crate::store) const SNAPSHOT: &str =
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What reads go through, each statement for itself.
#[derive(Clone, Debug)]
pub(in crate::store) enum Reader {
    Sqlite(Arc<Readers>),
    Postgres {
        pool: DatabaseConnection,
        /// What a transaction is told at its beginning.
        limits: Arc<str>,
    },
}

/// A transaction in which every statement sees the same state.
#[derive(Debug)]
pub(in crate::store) enum Snapshot {
    Sqlite(Arc<Mutex<Lease>>),
    Postgres(DatabaseTransaction),
}

impl Reader {
    pub(in crate::store) fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres { .. } => DbBackend::Postgres,
        }
    }

    /// The rows of a statement, each as `read` has it. A statement may be begun again: only the rows that are given count.
    pub(in crate::store) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Vec<T>> {
        cancellation::check()?;
        match self {
            Self::Sqlite(readers) => {
                let lease = Box::new(readers.lease().await?);
                sqlite_readers::rows(lease, select, pace, read).await
            }
            Self::Postgres { pool, limits } if pace == Pace::Long => {
                let limits = format!("{limits}; {PLANNED_FOR_VALUES}");
                let tx = postgres_snapshot(pool, &limits).await.map_err(failed)?;
                postgres_rows(&tx, select, read).await
            }
            Self::Postgres { pool, .. } => postgres_rows(pool, select, read).await,
        }
    }

    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot> {
        cancellation::check()?;
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

    /// Whether its connections were ended, as the process stops.
    pub(in crate::store) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(readers) => readers.is_closed(),
            Self::Postgres { pool, .. } => pool.get_postgres_connection_pool().is_closed(),
        }
    }

    pub(in crate::store) fn pool(&self) -> Pool {
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
    pub(in crate::store) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Vec<T>> {
        cancellation::check()?;
        match self {
            Self::Sqlite(lease) => {
                let lease = lease.clone().lock_owned().await;
                sqlite_readers::rows(lease, select, pace, read).await
            }
            Self::Postgres(tx) => {
                if pace == Pace::Long {
                    let planned = tx.execute_unprepared(PLANNED_FOR_VALUES).await;
                    planned.map_err(failed)?;
                }
                postgres_rows(tx, select, read).await
            }
        }
    }
}

async fn postgres_snapshot(
    pool: &DatabaseConnection,
    limits: &str,
) -> Result<DatabaseTransaction, sea_orm::DbErr> {
    let tx = pool.begin().await?;
    // All at once: each message is waited for.
    tx.execute_unprepared(&format!("{SNAPSHOT}; {limits}"))
        .await?;
    Ok(tx)
}

async fn postgres_rows<T>(
    connection: &impl ConnectionTrait,
    select: &SelectStatement,
    read: impl Fn(Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let rows = connection.query_all_raw(postgres_statement(select)).await;
    let rows = rows.map_err(failed)?;
    let read = |row: &sea_orm::QueryResult| {
        let row = row.try_as_pg_row();
        read(Row::Postgres(
            row.ok_or_else(|| Error::internal("a row of another driver"))?,
        ))
    };
    rows.iter().map(read).collect()
}

/// A statement with its LIMIT, which is the last of it, in the text: for one that is a parameter, PostgreSQL plans as if a tenth
/// of all rows were wanted.
fn postgres_statement(select: &SelectStatement) -> Statement {
    let mut statement = DbBackend::Postgres.build(select);
    if let Some((text, _)) = statement.sql.rsplit_once(" LIMIT $")
        && let Some(Value::BigUnsigned(Some(limit))) =
            statement.values.as_mut().and_then(|values| values.0.pop())
    {
        statement.sql = format!("{text} LIMIT {limit}");
    }
    statement
}
