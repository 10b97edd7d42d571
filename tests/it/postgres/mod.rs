//! PostgreSQL in operation: behind a pooler, with several hosts, frozen replicas and network failures.

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

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{clients::subscribers::Socket, process::Serving};

/// Opens a session for the test.
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

/// Runs statements in a new session, as a script.
async fn run_sql(url: &str, sql: &str) {
    run_in(&mut session(url).await, sql).await;
}

/// Subscribes to all changes from now on. Without a cursor, the first one may come before it listens.
async fn listen(server: &Serving, token: &str, subscription: &str) -> Socket {
    let asked = "{ personalConnectors(first: 0) { changesCursor } }";
    let now = server.data(token, asked, json!({})).await;
    let after = &now["personalConnectors"]["changesCursor"];
    let mut socket = Socket::at(&server.url, token).await;
    let variables = json!({ "after": after });
    socket.subscribe("1", subscription, variables).await;
    socket
}

/// Returns whether `/health/ready` answers 200.
pub async fn is_ready(server: &Serving) -> bool {
    server.get("/health/ready").await.0 == 200
}

/// Returns the value of a pool's gauge in `/metrics`.
async fn connections(server: &Serving, gauge: &str, pool: &str) -> i64 {
    let (_, text) = server.get("/metrics").await;
    let name = format!("{gauge}{{pool=\"{pool}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .parse()
        .unwrap()
}
