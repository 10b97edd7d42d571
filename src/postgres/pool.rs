//! A pool of PostgreSQL sessions.
//!
//! Invariant: an unanswered request to a server occupies no slot of the pool, because returning a connection sends
//! nothing. If the waiting caller is dropped, opening its connection continues; otherwise a slow server would never get
//! one.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{self, PoolError, QueueMode, TimeoutType, Timeouts},
};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::Connection;
use tokio::{runtime::Handle, time};
use tracing::Instrument;

use super::{
    errors,
    manager::Manager,
    server::{RETRY, Server, may_pass},
    session::PgSession,
    turn::Turns,
};

/// The longest time to close a connection.
const GOODBYE: Duration = Duration::from_secs(1);

/// The interval at which a closing pool looks for returned connections.
const RETURNED: Duration = Duration::from_millis(10);

/// A limited number of sessions, each opened on first use.
#[derive(Clone, Debug)]
pub(crate) struct PgPool {
    pool: managed::Pool<Manager>,
    pub(crate) server: Arc<Server>,
    /// Turns of write sessions.
    pub(crate) turns: Turns,
}

impl PgPool {
    pub(crate) fn new(server: Arc<Server>, connections: u32) -> Result<Self, managed::BuildError> {
        let manager = Manager {
            server: Arc::clone(&server),
        };
        let pool = managed::Pool::builder(manager)
            .max_size(connections as usize)
            // The most recently used session is likely alive, and has statements prepared.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self {
            pool,
            server,
            turns: Turns::new(),
        })
    }

    /// Waits for a free session.
    pub(crate) async fn get(&self) -> Result<PgSession, DbErr> {
        let pool = self.clone();
        Continued(Some(Box::pin(async move { pool.acquire().await }))).await
    }

    async fn acquire(&self) -> Result<PgSession, DbErr> {
        let of_connecting = |error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into()));
        let until = Instant::now() + self.server.limits.wait;
        let connection = loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeouts = Timeouts {
                wait: Some(left),
                create: Some(left),
                recycle: None,
            };
            match self.pool.timeout_get(&timeouts).await {
                Ok(connection) => break connection,
                Err(PoolError::Backend(error)) if may_pass(&error) && left > RETRY => {
                    time::sleep(RETRY).await;
                }
                Err(PoolError::Backend(error)) => return Err(of_connecting(error)),
                Err(PoolError::Timeout(TimeoutType::Create)) => {
                    return Err(of_connecting(errors::timed_out()));
                }
                Err(PoolError::Closed) => {
                    return Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed));
                }
                Err(_) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
            }
        };
        Ok(PgSession::new(connection, Arc::clone(&self.server)))
    }

    /// Returns the number of open connections, and of idle ones.
    pub(crate) fn status(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available.min(status.size))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Opens no more connections, closes the idle ones, and waits until the others are returned.
    pub(crate) async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for connection in idle {
            let _ = time::timeout(GOODBYE, connection.close()).await;
        }
        while self.pool.status().size > 0 {
            time::sleep(RETURNED).await;
        }
    }
}

/// A future that continues in a task if it is dropped before its end. The task drops its output.
struct Continued<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F> Future for Continued<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // The future is taken out while it runs, so that it is not polled again after a panic.
        let Some(mut future) = self.0.take() else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<F> Drop for Continued<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future.in_current_span());
        }
    }
}
