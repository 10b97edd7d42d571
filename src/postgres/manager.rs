//! Opens connections of a pool, and decides which ones can be reused.
//!
//! Invariant: a connection that may be dead is pinged before it is reused, within a time limit. After one was dead,
//! older ones are dropped without a ping.

use std::{sync::Arc, time::Duration};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::{Connection, PgConnection};
use tokio::time;

use super::server::{Pooling, Server};

/// The longest idle time after which a connection is reused without a ping.
const UNTESTED: Duration = Duration::from_secs(1);

/// The longest time for a ping.
const PING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) server: Arc<Server>,
}

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        Box::pin(self.server.connect()).await
    }

    async fn recycle(
        &self,
        connection: &mut PgConnection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if self.server.may_be_read_only(metrics.age()) {
            return Err(RecycleError::message("another session was read-only"));
        }
        let unused_for = metrics.last_used();
        if self.server.may_be_broken(unused_for) {
            return Err(RecycleError::message("another connection broke"));
        }
        // A pooler would delay the ping until a session is free.
        if self.server.pooling == Pooling::Transaction || unused_for < UNTESTED {
            return Ok(());
        }
        if let Ok(answer) = time::timeout(PING, connection.ping()).await {
            return answer.map_err(RecycleError::Backend);
        }
        self.server.found_broken();
        Err(RecycleError::message("it does not answer"))
    }
}
