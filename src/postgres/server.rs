//! Connects to PostgreSQL: to the first host of the URL that answers and is of the wanted kind.
//!
//! Invariant: a host that does not answer delays a connection for a bounded time, and is tried last for a while.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use tokio::time;

use crate::{
    config::{
        DatabaseSettings, DatabaseUrlError, Pooler, PostgresUrl, TargetSessionAttrs, host_and_port,
    },
    error::chain,
};

use super::{errors, limits::Limits};

/// The time for which a failed host is tried after the others.
const SHUNNED: Duration = Duration::from_secs(10);

/// The least time for a connection to each of several hosts.
const LEAST: Duration = Duration::from_secs(1);

/// The time between two attempts to connect.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// A setting that reaches the session over a direct connection, and that a pooler refuses or drops.
const MARKER: (&str, &str) = ("connectors.direct", "on");

/// The relation of connections to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// One session for each connection.
    None,
    /// Another session for each transaction. No setting and no prepared statement outlasts it.
    Transaction,
}

/// The hosts of one URL.
#[derive(Debug)]
pub(crate) struct Server {
    url: PostgresUrl,
    /// The time of each host's last failure.
    failed_at: Vec<Mutex<Option<Instant>>>,
    pub(crate) limits: Limits,
    pub(crate) pooling: Pooling,
    /// The time at which a session last turned out to be read-only. Older sessions may be read-only too.
    read_only_at: Mutex<Option<Instant>>,
    was_reached: AtomicBool,
    /// Whether the last attempt to connect failed.
    is_refused: AtomicBool,
    /// The time at which a connection last broke. Connections that were idle then may be dead too.
    broken_at: Mutex<Option<Instant>>,
}

/// The errors of all hosts, after none could be connected to.
#[derive(Debug)]
pub(crate) struct NoHost(Vec<(String, sqlx::Error)>);

impl fmt::Display for NoHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, error)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "; " } else { "" };
            write!(f, "{comma}{host}: {}", describe(error))?;
        }
        Ok(())
    }
}

impl std::error::Error for NoHost {}

impl NoHost {
    /// Returns whether a server refused the user or the password.
    pub(crate) fn refuses_user(&self) -> bool {
        let refused = |error| errors::code(error).is_some_and(|code| code.starts_with("28"));
        self.0.iter().any(|(_, error)| refused(error))
    }
}

/// Returns the text of an error without the driver's words around it.
fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::AnyDriverError(error) => error.to_string(),
        error => chain(error),
    }
}

/// The server's kind is not that of `target_session_attrs`.
#[derive(Debug)]
pub(crate) struct WrongServer {
    wanted: TargetSessionAttrs,
    found: &'static str,
}

impl fmt::Display for WrongServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, found } = self;
        write!(
            f,
            "it is {found}, and target_session_attrs={} is asked for",
            wanted.as_str()
        )
    }
}

impl std::error::Error for WrongServer {}

/// Sessions are shared, although the settings deny it.
#[derive(Debug)]
pub(crate) struct SharedSessions;

impl fmt::Display for SharedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pooler gives each transaction another session")
    }
}

impl std::error::Error for SharedSessions {}

impl Server {
    pub(crate) fn new(settings: &DatabaseSettings) -> Result<Self, DatabaseUrlError> {
        let mut url = PostgresUrl::parse(&settings.url)?;
        for host in &mut url.hosts {
            let named = host.clone().application_name(env!("CARGO_PKG_NAME"));
            // Numbers are read in binary, and a pooler refuses this setting.
            *host = named.extra_float_digits(None);
        }
        Ok(Self {
            failed_at: url.hosts.iter().map(|_| Mutex::default()).collect(),
            url,
            limits: Limits::new(settings),
            pooling: match settings.pooler {
                Pooler::Transaction => Pooling::Transaction,
                Pooler::Auto | Pooler::None => Pooling::None,
            },
            read_only_at: Mutex::default(),
            was_reached: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            broken_at: Mutex::default(),
        })
    }

    /// Records that a session is read-only, so that new ones are opened.
    pub(crate) fn found_read_only(&self) {
        *locked(&self.read_only_at) = Some(Instant::now());
    }

    /// Returns whether a session of this age may be read-only although a new one is not.
    pub(crate) fn may_be_read_only(&self, age: Duration) -> bool {
        locked(&self.read_only_at).is_some_and(|at| at.elapsed() < age)
    }

    /// Records that a connection broke or did not answer.
    pub(crate) fn found_broken(&self) {
        *locked(&self.broken_at) = Some(Instant::now());
    }

    /// Returns whether a connection with this idle time may be dead.
    pub(crate) fn may_be_broken(&self, unused_for: Duration) -> bool {
        locked(&self.broken_at).is_some_and(|at| at.elapsed() < unused_for)
    }

    /// Connects for the first time, and retries for a while if the cause may pass; a pool would only report a timeout.
    /// Detects a pooler, unless the settings decide it.
    pub(crate) async fn reach(
        &mut self,
        settings: &DatabaseSettings,
    ) -> Result<PgConnection, sqlx::Error> {
        let until = Instant::now() + settings.wait;
        let mut last = sqlx::Error::PoolTimedOut;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let connect = self.connect_first(settings.pooler);
            match time::timeout(left, connect).await {
                Ok(Ok(connection)) => {
                    self.was_reached.store(true, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(error)) if may_pass(&error) && left > RETRY => last = error,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(last),
            }
            time::sleep(RETRY).await;
        }
    }

    async fn connect_first(&mut self, pooler: Pooler) -> Result<PgConnection, sqlx::Error> {
        match pooler {
            Pooler::Auto if self.finds_pooler().await? => {
                tracing::info!(
                    "a pooler is in front of PostgreSQL: each statement runs in a transaction. If its pool_mode is \
                     session, give --database-pooler none"
                );
                self.pooling = Pooling::Transaction;
            }
            Pooler::None => self.refuse_shared_sessions().await?,
            Pooler::Auto | Pooler::Transaction => {}
        }
        let mut connection = self.connect().await?;
        // A pooler may refuse transactions.
        connection.execute("BEGIN").await?;
        connection.execute("COMMIT").await?;
        Ok(connection)
    }

    /// Returns whether a pooler refuses or drops the startup options.
    async fn finds_pooler(&self) -> Result<bool, sqlx::Error> {
        let marked = |options: &PgConnectOptions| options.clone().options([MARKER]);
        let mut connection = match self.connect_to_any(marked, false).await {
            Ok((connection, _)) => connection,
            Err(error) if errors::refuses_startup_options(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        let ask = format!("SELECT current_setting('{}', true)", MARKER.0);
        let row = connection.fetch_one(AssertSqlSafe(ask)).await?;
        let is_direct = row.try_get::<Option<&str>, _>(0)? == Some(MARKER.1);
        close(connection).await;
        Ok(!is_direct)
    }

    /// Fails if a connection's transactions have different sessions. A connection outside a transaction would lose its
    /// session to one that begins one.
    async fn refuse_shared_sessions(&self) -> Result<(), sqlx::Error> {
        let (mut one, mut other) = (self.connect().await?, self.connect().await?);
        let before = session_id(&mut one).await?;
        other.execute("BEGIN").await?;
        let again = async {
            session_id(&mut other).await?;
            session_id(&mut one).await
        };
        let keeps_its_own = match time::timeout(LEAST, again).await {
            Ok(after) => after? == before,
            // The pooler has no free session for it, and delays it.
            Err(_) => false,
        };
        close(other).await;
        if !keeps_its_own {
            return Err(sqlx::Error::AnyDriverError(Box::new(SharedSessions)));
        }
        close(one).await;
        Ok(())
    }

    /// Opens a connection; an unshared session gets its settings.
    pub(crate) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let is_session = self.pooling == Pooling::None;
        let connected = self
            .connect_to_any(PgConnectOptions::clone, is_session)
            .await?;
        Ok(connected.0)
    }

    /// Returns the options of a host that accepts connections now.
    pub(crate) async fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let (connection, host) = self.connect_to_any(PgConnectOptions::clone, false).await?;
        close(connection).await;
        Ok(self.url.hosts[host].clone())
    }

    async fn connect_to_any(
        &self,
        options: impl Fn(&PgConnectOptions) -> PgConnectOptions + Copy,
        is_session: bool,
    ) -> Result<(PgConnection, usize), sqlx::Error> {
        let order = self.order();
        let targets = match self.url.target {
            TargetSessionAttrs::PreferStandby => {
                &[TargetSessionAttrs::Standby, TargetSessionAttrs::Any][..]
            }
            target => &[target][..],
        };
        let mut failures = Vec::new();
        for target in targets {
            failures.clear();
            for host in &order {
                let connected = self.connect_to(*host, options, is_session, *target);
                match connected.await {
                    Ok(connection) => return Ok((connection, *host)),
                    // Every host would refuse it.
                    Err(error) if errors::refuses_startup_options(&error) => return Err(error),
                    Err(error) => failures.push((host_and_port(&self.url.hosts[*host]), error)),
                }
            }
        }
        if failures.len() == 1 {
            return Err(failures.remove(0).1);
        }
        let error = NoHost(failures);
        self.log_refusal(&error.to_string());
        Err(sqlx::Error::AnyDriverError(Box::new(error)))
    }

    /// Logs that no connection can be opened, once until one succeeds.
    fn log_refusal(&self, cause: &str) {
        if self.has_connected() && !self.is_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                cause,
                "cannot open another connection to PostgreSQL: requests wait for the open ones"
            );
        }
    }

    /// Returns whether the server was reached before. The start reports its own failure.
    fn has_connected(&self) -> bool {
        self.was_reached.load(Ordering::Relaxed)
    }

    async fn connect_to(
        &self,
        host: usize,
        options: impl Fn(&PgConnectOptions) -> PgConnectOptions,
        is_session: bool,
        target: TargetSessionAttrs,
    ) -> Result<PgConnection, sqlx::Error> {
        let options = options(&self.url.hosts[host]);
        let connect = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let mut sql = String::new();
            if is_session {
                sql = self.limits.of_session(connection.server_version_num());
            }
            if target == TargetSessionAttrs::Any {
                if !sql.is_empty() {
                    connection.execute(AssertSqlSafe(sql)).await?;
                }
                return Ok(connection);
            }
            if !sql.is_empty() {
                sql += "; ";
            }
            sql += "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean";
            let row = connection.fetch_one(AssertSqlSafe(sql)).await?;
            check_target(target, row.try_get(0)?, row.try_get(1)?)?;
            Ok(connection)
        };
        let connected = time::timeout(self.patience(), connect).await;
        let connected = connected.unwrap_or_else(|_| Err(errors::timed_out()));
        let failed_at = connected.is_err().then(Instant::now);
        *locked(&self.failed_at[host]) = failed_at;
        match &connected {
            Ok(_) => {
                self.is_refused.store(false, Ordering::Relaxed);
            }
            Err(error) if self.url.hosts.len() == 1 => self.log_refusal(&describe(error)),
            Err(_) => {}
        }
        connected
    }

    /// Returns the longest time for one host.
    fn patience(&self) -> Duration {
        let hosts = u32::try_from(self.url.hosts.len()).unwrap_or(u32::MAX);
        let share = (self.limits.wait / hosts).max(LEAST);
        let configured = self.url.connect_timeout.unwrap_or(share);
        configured.min(self.limits.wait)
    }

    /// Returns the hosts in the URL's order, with those that failed lately at the end.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.url.hosts.len()).collect();
        order.sort_by_key(|host| {
            locked(&self.failed_at[*host]).is_some_and(|at| at.elapsed() < SHUNNED)
        });
        order
    }

    /// Returns advice for several hosts of which any kind is accepted.
    pub(crate) fn may_be_standby(&self) -> bool {
        self.url.hosts.len() > 1 && !self.url.names_target
    }
}

/// Returns the backend process of a connection's current session.
async fn session_id(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = connection.fetch_one("SELECT pg_backend_pid()").await?;
    row.try_get(0)
}

async fn close(connection: PgConnection) {
    let _ = time::timeout(LEAST, connection.close()).await;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_target(
    target: TargetSessionAttrs,
    in_recovery: bool,
    read_only: bool,
) -> Result<(), sqlx::Error> {
    let fits = match target {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => true,
        TargetSessionAttrs::ReadWrite => !read_only,
        TargetSessionAttrs::ReadOnly => read_only,
        TargetSessionAttrs::Primary => !in_recovery,
        TargetSessionAttrs::Standby => in_recovery,
    };
    if fits {
        return Ok(());
    }
    let found = match (in_recovery, read_only) {
        (true, _) => "a standby",
        (false, true) => "a primary whose sessions are read-only",
        (false, false) => "a primary",
    };
    Err(sqlx::Error::AnyDriverError(Box::new(WrongServer {
        wanted: target,
        found,
    })))
}

/// Returns whether a server that refuses a connection may soon accept one: it starts, other clients leave, or a standby
/// is promoted.
pub(crate) fn may_pass(error: &sqlx::Error) -> bool {
    /// PostgreSQL, appendix A: `too_many_connections` and `cannot_connect_now`.
    const STATES: [&str; 2] = ["53300", "57P03"];
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::AnyDriverError(error) => match error.downcast_ref::<NoHost>() {
            Some(NoHost(failures)) => failures.iter().any(|(_, error)| may_pass(error)),
            None => error.is::<WrongServer>(),
        },
        error if errors::refuses_startup_options(error) || errors::refuses_transactions(error) => {
            false
        }
        // Poolers use the class `connection_exception` for a server that they cannot reach.
        error => errors::code(error).is_some_and(|code| {
            STATES.contains(&&*code) || code.len() == 5 && code.starts_with("08")
        }),
    }
}
