//! Requests that occupy all their connections do not affect probes, the state poll and cached responses.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{is_ready, run_in, session, traffic::LIST};
use crate::support::{
    harness::{TestDatabase, rows},
    process::{Serving, program_on, token},
    waiting::within,
};

const LONG: Duration = Duration::from_secs(20);

/// Several statements in one snapshot each.
const DEAR: &str = "query($from: DateTime!) {
    personalConnectors(first: 20, filter: { createdAt: { gte: $from } }) {
        totalCount nodes { id name tools { totalCount } health { outcome } replacedBy { id } }
        facets { category { value count } type { value count } }
    }
}";

fn list(number: usize) -> Value {
    json!({ "from": format!("1970-01-01T00:00:02.{number:06}Z") })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn goes_on_while_all_connections_are_in_use() {
    const CACHED: &str = "{ personalConnectors(first: 1) { nodes { id } } }";
    const CLIENTS: usize = 24;
    let storage = TestDatabase::postgres().await;
    let flags = ["--answer-cache-mb", "8"];
    let server = Arc::new(Serving::start(program_on(&storage, &flags)));
    // The response is cached now.
    within(LONG, "it is cached", async || {
        server.data("", CACHED, json!({})).await;
        let before = Instant::now();
        server.data("", CACHED, json!({})).await;
        before.elapsed() < Duration::from_secs(1)
    })
    .await;

    let mut blocking = session(&storage.url).await;
    let lock = "BEGIN; LOCK TABLE personal_connector IN ACCESS EXCLUSIVE MODE";
    run_in(&mut blocking, lock).await;
    let asking: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.ask("", LIST, list(number)).await })
        })
        .collect();
    let waiting = "SELECT COUNT(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    within(LONG, "all connections are in use", async || {
        rows(&storage.url, waiting).await.trim() == "8"
    })
    .await;
    // Longer than the known state is valid.
    let began = Instant::now();
    let (mut looks, mut slowest) = (0, Duration::ZERO);
    while began.elapsed() < Duration::from_secs(4) {
        let (status, told) = server.get("/health/ready").await;
        assert_eq!(status, 200, "{told}");
        let asked = Instant::now();
        server.data("", CACHED, json!({})).await;
        slowest = slowest.max(asked.elapsed());
        looks += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    println!("{looks} looks, the slowest cached answer after {slowest:.1?}");
    run_in(&mut blocking, "ROLLBACK").await;
    for answer in join_all(asking).await {
        let answer = answer.unwrap().unwrap();
        let code = &answer["errors"][0]["extensions"]["code"];
        // These waited too long for a connection.
        assert!(
            code.is_null() || code == "UNAVAILABLE" || code == "TIMEOUT",
            "{answer}"
        );
    }
    assert!(is_ready(&server).await);
}

/// Requests that each hold a snapshot do not wait for each other's connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn snapshots_need_one_connection_each() {
    let storage = TestDatabase::postgres().await;
    let flags = ["--database-connections", "2", "--max-concurrency", "60"];
    let server = Serving::start(program_on(&storage, &flags));
    let answers = (0..60).map(|number| server.ask("", DEAR, list(number)));
    for answer in join_all(answers).await {
        let answer = answer.unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
    }
    assert!(is_ready(&server).await);
    server.stop().ok();
}

/// Snapshots and writes return their sessions after a rollback, so that no new ones are opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn sessions_are_used_again() {
    let storage = TestDatabase::postgres().await;
    let server = Serving::start(program_on(&storage, &["--database-connections", "2"]));
    let sessions = async || {
        let pids = "SELECT string_agg(pid::text, ' ') AS pids FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'personal-connectors'";
        let pids = rows(&storage.url, pids).await;
        pids.split_whitespace()
            .map(ToOwned::to_owned)
            .collect::<HashSet<_>>()
    };
    let write =
        "mutation { deleteCustomConnector(input: { id: \"pcon_01jd00000000000000000000zz\" }) {
        userErrors { code } } }";
    let token = token("ann@acme", "connectors:write");
    let ask = async |number| {
        server.data("", DEAR, list(number)).await;
        // The write is refused and rolled back.
        server.data(&token, write, json!({})).await;
    };
    let mut seen = HashSet::new();
    for number in 0..20 {
        ask(number).await;
        seen.extend(sessions().await);
    }
    // Two for requests and two for the service, each opened on first use.
    assert!(seen.len() <= 4, "{seen:?}");
    server.stop().ok();
}
