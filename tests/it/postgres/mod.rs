//! PostgreSQL as operators run it: behind a pooler, as several hosts, with replicas that hang, and with networks that are cut.

mod conflicts;
mod control_plane;
mod cut_network;
mod failover;
mod frozen_replica;
mod pgbouncer;
mod pooler;
pub mod proxy;
mod session_defaults;
pub mod traffic;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::process::Serving;

/// A session of the test's own.
async fn session(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Runs statements in a session, as a script.
async fn run_in(session: &mut PgConnection, sql: &str) {
    session
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap();
}

/// Runs statements in a session of their own, as a script.
async fn run_sql(url: &str, sql: &str) {
    run_in(&mut session(url).await, sql).await;
}

/// Whether `/health/ready` answers 200.
pub async fn is_ready(server: &Serving) -> bool {
    server.get("/health/ready").await.0 == 200
}

/// The value of a gauge of a pool in `/metrics`.
async fn connections(server: &Serving, gauge: &str, pool: &str) -> i64 {
    let (_, text) = server.get("/metrics").await;
    let name = format!("{gauge}{{pool=\"{pool}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .parse()
        .unwrap()
}
