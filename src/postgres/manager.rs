//! Connections of a pool: how they are opened, and which can be used again.
//!
//! Invariant: a connection that may be dead is asked before it is used again, and the question has an end. Where one was dead,
//! those that were last used before are not asked, but dropped.

use std::{sync::Arc, time::Duration};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::{Connection, PgConnection};
use tokio::time;

use super::server::{Pooling, Server};

/// How long a connection may have been unused to be used without a question whether it is still there.
const UNTESTED: Duration = Duration::from_secs(1);

/// How long a server may take to say that a connection is still there.
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
        // A pooler would have the question wait for a session.
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
