//! Reads: runs statements and returns their rows.
//!
//! Invariant: dropping the future cancels a read, for any caller and at any point. No further statement begins. SQLite
//! interrupts its statement; a PostgreSQL session returns to the pool after its result is read ([`PgSession`]). On
//! PostgreSQL, a statement runs again if another session hindered it, or if its connection had died before.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use sea_orm::{DbBackend, DbErr, RuntimeErr, Statement, sea_query::SelectStatement};
use sqlx::postgres::PgRow;
use tokio::sync::Mutex;

use crate::{
    answer_budget::{AnswerBudget, Permit},
    error::Result,
    postgres::{limits::Limits, pool::PgPool, server::Pooling, session::PgSession},
    store::{
        database::{
            pool::Pool,
            row::{Driver, Row},
            sqlite_readers::{self, Lease, Pace, Readers},
        },
        errors::{self, failed},
        query::Query,
    },
};

/// The settings of PostgreSQL's planner for a statement, where they differ from those of the one before.
///
/// A long statement is planned for its values, which is worth the time and another message. A walk sorts nothing: in a
/// catalogue of some 20,000 rows, PostgreSQL would rather sort all of them than visit 2,000 in their order.
const fn planner(pace: Pace) -> &'static str {
    match pace {
        Pace::Brief => {
            "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_sort = DEFAULT"
        }
        Pace::Walk => "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_sort = off",
        Pace::Long => "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_sort = DEFAULT",
    }
}

/// The most runs of a statement.
const TRIES: usize = 3;

type Observer = Box<dyn Fn(&Statement) + Send + Sync>;

/// A source of reads outside transactions. Each statement runs alone.
#[derive(Clone, Debug)]
pub(in crate::store) enum Reader {
    Sqlite(Arc<Readers>),
    Postgres(PgReader),
}

/// A transaction in which every statement sees the same state.
#[derive(Debug)]
pub(in crate::store) enum Snapshot {
    Sqlite(Arc<Mutex<Lease>>),
    Postgres(PgSnapshot),
}

impl Reader {
    pub(in crate::store) fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// Returns the rows of a statement, mapped by `read`, without a limit of bytes. A statement may run again; only the
    /// returned rows count.
    pub(in crate::store) async fn rows<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let budget = AnswerBudget::unbounded();
        let query = Query::build(select, self.backend());
        self.rows_within(&budget, query, pace, read).await
    }

    /// Like [`Self::rows`], with the bytes of each row counted as it is read.
    pub(in crate::store) async fn rows_within<T: Send + 'static>(
        &self,
        budget: &Arc<AnswerBudget>,
        query: Query,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        budget.check()?;
        match self {
            Self::Sqlite(readers) => {
                let lease = Box::new(readers.lease().await?);
                sqlite_readers::rows(lease, query, pace, budget, read).await
            }
            Self::Postgres(reader) => Box::pin(reader.rows(budget, query, pace, read)).await,
        }
    }

    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot> {
        match self {
            Self::Sqlite(readers) => {
                let lease = readers.lease().await?;
                lease.begin()?;
                Ok(Snapshot::Sqlite(Arc::new(Mutex::new(lease))))
            }
            Self::Postgres(reader) => Box::pin(reader.snapshot()).await.map(Snapshot::Postgres),
        }
    }

    /// Returns whether its connections were closed, because the process stops.
    pub(in crate::store) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(readers) => readers.is_closed(),
            Self::Postgres(reader) => reader.pool.is_closed(),
        }
    }

    /// Closes idle connections, and opens no more.
    pub(in crate::store) async fn close(&self) {
        match self {
            Self::Sqlite(readers) => readers.close(),
            Self::Postgres(reader) => reader.pool.close().await,
        }
    }

    pub(in crate::store) fn pool(&self) -> Pool {
        match self {
            Self::Sqlite(readers) => readers.pool(),
            Self::Postgres(reader) => reader.pool.status().into(),
        }
    }
}

impl Snapshot {
    /// Like [`Reader::rows_within`], in the state of the first statement.
    pub(in crate::store) async fn rows_within<T: Send + 'static>(
        &self,
        budget: &Arc<AnswerBudget>,
        query: Query,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        budget.check()?;
        match self {
            Self::Sqlite(lease) => {
                let lease = lease.clone().lock_owned().await;
                sqlite_readers::rows(lease, query, pace, budget, read).await
            }
            Self::Postgres(snapshot) => Box::pin(snapshot.rows(budget, query, pace, read)).await,
        }
    }
}

/// Reads from a pool of sessions.
#[derive(Clone)]
pub(in crate::store) struct PgReader {
    pub(in crate::store) pool: PgPool,
    limits: Limits,
    observer: Arc<OnceLock<Observer>>,
}

/// A transaction in which every statement sees the same state.
#[derive(Clone, Debug)]
pub(in crate::store) struct PgSnapshot {
    session: Arc<Mutex<Planned>>,
    reader: PgReader,
}

/// A session, and the pace that its planner is set for.
#[derive(Debug)]
struct Planned {
    session: PgSession,
    pace: Pace,
}

impl PgReader {
    /// Creates a reader with the limits of the pool's server, or narrower ones.
    pub(in crate::store) fn new(pool: PgPool, limits: Limits) -> Self {
        Self {
            pool,
            limits,
            observer: Arc::default(),
        }
    }

    /// Calls `observe` with every statement from now on.
    pub(in crate::store) fn observe(&self, observe: impl Fn(&Statement) + Send + Sync + 'static) {
        let _ = self.observer.set(Box::new(observe));
    }

    /// Returns the rows of a statement, mapped by `read`.
    pub(in crate::store) async fn rows<T: Send>(
        &self,
        budget: &AnswerBudget,
        query: Query,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync,
    ) -> Result<Vec<T>> {
        self.observed(&query);
        let mut tries = 1;
        loop {
            let mut counting = Counting::new(budget, &read);
            match self
                .fetch(budget.permit(), &query, pace, &mut counting)
                .await
            {
                Err(error) if tries < TRIES && errors::may_run_again(&error) => {
                    counting.undo();
                    tries += 1;
                }
                rows => return rows.map_err(failed)??.into_iter().collect(),
            }
        }
    }

    async fn fetch<T: Send>(
        &self,
        permit: Option<Permit>,
        query: &Query,
        pace: Pace,
        counting: &mut Counting<'_, impl Fn(Row<'_>) -> Result<T> + Send + Sync>,
    ) -> Result<Result<Vec<Result<T>>>, DbErr> {
        let mut session = self.pool.get().await?;
        session.work_for(permit);
        let is_direct = self.pool.server.pooling == Pooling::None;
        let end = self.limits.read_end();
        let read = |row: PgRow| counting.read(&row);
        if is_direct && pace == Pace::Brief {
            let rows = session
                .fetch(query.sql.clone(), query.values.clone(), end, read)
                .await;
            return rows.map_err(of_query);
        }
        let mut begin = self.limits.begin_read(false, session.version());
        if pace != Pace::Brief {
            begin = format!("{begin}; {}", planner(pace));
        }
        session.begin(begin).await.map_err(of_query)?;
        let rows = session
            .fetch(query.sql.clone(), query.values.clone(), end, read)
            .await;
        let rows = rows.map_err(of_query)?;
        if rows.is_ok() {
            // The rows count, even if the transaction's end fails.
            let _ = session.finish("COMMIT", end).await;
        }
        Ok(rows)
    }

    pub(in crate::store) async fn snapshot(&self) -> Result<PgSnapshot> {
        let mut tries = 1;
        let session = loop {
            match self.begin().await {
                Err(error) if tries < TRIES && errors::may_run_again(&error) => tries += 1,
                session => break session.map_err(failed)?,
            }
        };
        let planned = Planned {
            session,
            pace: Pace::Brief,
        };
        Ok(PgSnapshot {
            session: Arc::new(Mutex::new(planned)),
            reader: self.clone(),
        })
    }

    async fn begin(&self) -> Result<PgSession, DbErr> {
        let mut session = self.pool.get().await?;
        let begin = self.limits.begin_read(true, session.version());
        session.begin(begin).await.map_err(of_query)?;
        Ok(session)
    }

    fn observed(&self, query: &Query) {
        if let Some(observe) = self.observer.get() {
            observe(&query.statement(DbBackend::Postgres));
        }
    }
}

impl PgSnapshot {
    /// Like [`PgReader::rows`], in the state of the first statement.
    pub(in crate::store) async fn rows<T: Send>(
        &self,
        budget: &AnswerBudget,
        query: Query,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync,
    ) -> Result<Vec<T>> {
        self.reader.observed(&query);
        let end = self.reader.limits.read_end();
        let mut planned = self.session.lock().await;
        let Planned { session, pace: set } = &mut *planned;
        // Another statement may have used up the response's bytes, and ended the session.
        budget.check()?;
        session.work_for(budget.permit());
        // A brief statement is planned for its values sooner than another message is answered.
        if *set != pace && (*set, pace) != (Pace::Long, Pace::Brief) {
            let settings = session.run(planner(pace).to_owned(), end).await;
            settings.map_err(|error| failed(of_query(error)))?;
            *set = pace;
        }
        let mut counting = Counting::new(budget, &read);
        let rows = session.fetch(query.sql, query.values, end, |row| counting.read(&row));
        let rows = rows.await.map_err(|error| failed(of_query(error)))?;
        rows?.into_iter().collect()
    }
}

/// Counts the rows of a statement as they are read.
struct Counting<'a, F> {
    budget: &'a AnswerBudget,
    read: &'a F,
    rows: usize,
    bytes: usize,
}

impl<'a, T, F: Fn(Row<'_>) -> Result<T>> Counting<'a, F> {
    fn new(budget: &'a AnswerBudget, read: &'a F) -> Self {
        Self {
            budget,
            read,
            rows: 0,
            bytes: 0,
        }
    }

    /// Reads a row. The inner error concerns its values, and the other rows are still received. The outer error
    /// concerns the budget, and they are not.
    fn read(&mut self, row: &PgRow) -> Result<Result<T>> {
        let (one, bytes) = match Row::read(Driver::Postgres(row), self.read) {
            Ok(one) => one,
            Err(error) => return Ok(Err(error)),
        };
        self.rows += 1;
        self.bytes += bytes;
        self.budget.read(bytes).map(|()| Ok(one))
    }

    /// Reverts the count, because the statement runs again.
    fn undo(self) {
        self.budget.unread(self.rows, self.bytes);
    }
}

fn of_query(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

impl fmt::Debug for PgReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgReader")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
