//! Reads an SQLite file over separate connections.
//!
//! Invariant: the connections only read. A statement within [`BRIEF`] runs on the caller's thread. A longer one starts
//! over on a blocking thread, so that no runtime worker is blocked longer. A statement whose future was dropped is
//! interrupted.
//!
//! sqlx runs each SQLite connection on a thread and sends each row over a channel, at several times the cost of the
//! read. Writes and migrations still use it, because the disk dominates their cost.

use std::{
    fmt,
    ops::DerefMut,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, StatementStatus,
    config::DbConfig,
    types::{ToSqlOutput, Value as SqliteValue, ValueRef},
};
use sea_orm::{DbBackend, Statement, Value};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    answer_budget::AnswerBudget,
    error::{Error, Result},
    store::{
        database::{
            pool::Pool,
            row::{Driver, Row},
            sqlite_file::{self, SqliteFile},
        },
        errors::{no_connection, of_sqlite, unavailable},
        query::Query,
        tasks::joined,
    },
};

/// Instructions of SQLite's virtual machine that a statement may take on the caller's thread: well under a millisecond.
/// A page of a list takes a tenth of them.
const BRIEF: i32 = 10_000;

/// Instructions between two looks at whether the caller still waits: a few microseconds of work.
const INSTRUCTIONS: i32 = 1000;

/// Prepared statements of each connection.
const STATEMENTS: usize = 64;

/// The part of the file that is memory-mapped, so that its pages are not copied first.
const MAPPED_BYTES: i64 = 1 << 30;

type Observer = Box<dyn Fn(&Statement) + Send + Sync>;

/// The expected work of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Pace {
    /// It probably follows an index to a few rows.
    Brief,
    /// It visits rows in the order of an index, as many as its LIMIT. It is for PostgreSQL alone.
    Walk,
    /// It may visit all rows.
    Long,
}

/// The connections to one file.
pub(in crate::store) struct Readers {
    file: Arc<SqliteFile>,
    wait: Duration,
    most: usize,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    observer: OnceLock<Observer>,
}

impl Readers {
    /// Creates a pool of this many connections, each opened on first use. The file must exist.
    pub(in crate::store) fn new(file: Arc<SqliteFile>, most: usize, wait: Duration) -> Self {
        Self {
            file,
            wait,
            most,
            permits: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
            observer: OnceLock::new(),
        }
    }

    /// Calls `observe` with every statement from now on.
    pub(in crate::store) fn observe(&self, observe: impl Fn(&Statement) + Send + Sync + 'static) {
        let _ = self.observer.set(Box::new(observe));
    }

    pub(in crate::store) fn pool(&self) -> Pool {
        let idle = self.idle().len();
        let used = self.most - self.permits.available_permits().min(self.most);
        Pool::new(u32::try_from(idle + used).unwrap_or(u32::MAX), idle)
    }

    /// Closes idle connections, and opens no more.
    pub(in crate::store) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    pub(in crate::store) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Waits for a free connection.
    pub(in crate::store) async fn lease(self: &Arc<Self>) -> Result<Lease> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match timeout(self.wait, self.permits.clone().acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => return Err(no_connection("none was free in time")),
            },
        };
        let idle = self.idle().pop();
        let (connection, is_immutable) = if let Some(connection) = idle {
            (connection, false)
        } else {
            let opened = self.open().map_err(no_connection)?;
            // The path may lead to another file by now.
            self.file.check_identity().map_err(unavailable)?;
            opened
        };
        Ok(Lease {
            connection: Some(connection),
            is_immutable,
            readers: Arc::clone(self),
            _permit: permit,
        })
    }

    /// Opens a connection, and returns whether its file is treated as immutable.
    pub(in crate::store) fn open(&self) -> rusqlite::Result<(Connection, bool)> {
        let (connection, is_immutable) = sqlite_file::open(self.file.path(), self.wait)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Otherwise SQLite plans a statement again for each new parameter value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
        Ok((connection, is_immutable))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("file", &self.file.path())
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// A connection in use. On drop it is returned, outside any transaction.
#[derive(Debug)]
pub(in crate::store) struct Lease {
    /// The connection; none only during drop.
    connection: Option<Connection>,
    /// Whether it reads the file without regard to writers, so that the next user opens another.
    is_immutable: bool,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let is_free = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        if is_free && !self.is_immutable && !self.readers.permits.is_closed() {
            self.readers.idle().push(connection);
        }
    }
}

impl Lease {
    /// Begins a transaction, in which all statements see the state of the first one.
    pub(in crate::store) fn begin(&self) -> Result<()> {
        let begin = |connection: &Connection| connection.prepare_cached("BEGIN")?.execute([]);
        self.connection()
            .and_then(|connection| begin(connection).map_err(of_sqlite))
            .map(drop)
    }

    fn connection(&self) -> Result<&Connection> {
        self.connection
            .as_ref()
            .ok_or_else(|| Error::internal("a connection after its end"))
    }

    /// Returns the rows of a statement, unless it takes too long.
    fn run<T>(
        &self,
        (sql, values): &(Arc<str>, Vec<SqliteValue>),
        patience: Patience,
        budget: &AnswerBudget,
        read: &impl Fn(Row<'_>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let connection = self.connection()?;
        let is_brief = matches!(patience, Patience::Brief);
        let (mut count, mut bytes) = (0, 0);
        let run = || -> rusqlite::Result<Result<Vec<T>>> {
            match patience {
                Patience::Brief => {
                    connection.busy_timeout(Duration::ZERO)?;
                    connection.progress_handler(BRIEF, Some(|| true))?;
                }
                Patience::While(wanted) => {
                    connection.busy_timeout(self.readers.wait)?;
                    let is_over = move || wanted.strong_count() == 0;
                    connection.progress_handler(INSTRUCTIONS, Some(is_over))?;
                }
            }
            let mut statement = connection.prepare_cached(sql)?;
            // The counter continues from the previous execution.
            statement.reset_status(StatementStatus::VmStep);
            for (index, value) in values.iter().enumerate() {
                statement.raw_bind_parameter(index + 1, Borrowed(value))?;
            }
            let mut rows = statement.raw_query();
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let one = Row::read(Driver::Sqlite(row), read).and_then(|(one, read)| {
                    (count, bytes) = (count + 1, bytes + read);
                    budget.read(read).map(|()| one)
                });
                match one {
                    Ok(one) => all.push(one),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(all))
        };
        let rows = run();
        // The other statements of the connection, which begin and end transactions, have no time limit.
        connection
            .progress_handler(0, None::<fn() -> bool>)
            .map_err(of_sqlite)?;
        match rows {
            Ok(rows) => rows.map(Some),
            Err(error) if is_brief && is_too_long(&error) => {
                budget.unread(count, bytes);
                Ok(None)
            }
            Err(error) => Err(of_sqlite(error)),
        }
    }
}

/// The longest time of a statement.
enum Patience {
    Brief,
    /// As long as the caller waits.
    While(Weak<()>),
}

fn is_too_long(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::OperationInterrupted, ErrorCode::DatabaseBusy];
    error
        .sqlite_error_code()
        .is_some_and(|code| codes.contains(&code))
}

/// Returns the rows of a statement. A long one starts over from its first row.
pub(in crate::store) async fn rows<T, L>(
    lease: L,
    query: Query,
    pace: Pace,
    budget: &Arc<AnswerBudget>,
    read: impl Fn(Row<'_>) -> Result<T> + Send + 'static,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    L: DerefMut<Target = Lease> + Send + 'static,
{
    if let Some(observe) = lease.readers.observer.get() {
        observe(&query.statement(DbBackend::Sqlite));
    }
    let Query { sql, values } = query;
    let values = values
        .into_iter()
        .map(sqlite_value)
        .collect::<Result<_>>()?;
    let statement = (sql, values);
    if pace == Pace::Brief
        && let Some(rows) = lease.run(&statement, Patience::Brief, budget, &read)?
    {
        return Ok(rows);
    }
    // It is dropped with this future.
    let waiter = Arc::new(());
    let patience = Patience::While(Arc::downgrade(&waiter));
    let budget = Arc::clone(budget);
    let reading =
        tokio::task::spawn_blocking(move || lease.run(&statement, patience, &budget, &read));
    let rows = joined(reading).await;
    rows.map(Option::unwrap_or_default)
}

fn sqlite_value(value: Value) -> Result<SqliteValue> {
    Ok(match value {
        Value::String(Some(text)) => SqliteValue::Text(text),
        Value::BigInt(Some(number)) => SqliteValue::Integer(number),
        Value::Int(Some(number)) => SqliteValue::Integer(number.into()),
        Value::BigUnsigned(Some(number)) => {
            SqliteValue::Integer(i64::try_from(number).map_err(Error::internal)?)
        }
        value => {
            let message = format!("no statement that reads should have a value like {value:?}");
            return Err(Error::internal(message));
        }
    })
}

/// Binds a value by reference.
struct Borrowed<'a>(&'a SqliteValue);

impl rusqlite::ToSql for Borrowed<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::from(self.0)))
    }
}
