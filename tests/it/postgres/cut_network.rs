//! A network that drops or resets connections between the service and PostgreSQL.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    connections, is_ready, listen,
    proxy::{Fault, Proxy},
    run_in, session,
    traffic::{CREATE, FLAGS, LIST, Traffic},
};
use crate::support::{
    harness::{TestDatabase, rows},
    invariants::assert_whole,
    process::{Serving, program_on, token},
    waiting::within,
};

/// The longest time until everything works again.
const AGAIN: Duration = Duration::from_secs(30);

const WAITING: &str = "SELECT COUNT(*) AS n FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'";

/// A subscription that does not select the connector, because an unreachable database cannot return it.
const HEARD: &str = "subscription($after: String) {
    personalConnectorChanged(after: $after) { personalConnectorId }
}";

/// A failure of the network, and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Open connections are dropped silently for ever; new ones work.
    Old,
    /// New ones hang too, for a while.
    All,
    Reset,
}

/// A list that is never cached.
fn list(number: usize) -> Value {
    json!({ "from": format!("1970-01-01T00:00:01.{number:06}Z") })
}

async fn recovers(cut: Cut) {
    let storage = TestDatabase::postgres().await;
    let proxy = Proxy::to(&storage.url).await;
    let server = Serving::start(program_on(&TestDatabase::at(proxy.url.clone()), &FLAGS));
    let ann = token("ann@acme", "connectors:admin");
    let mut socket = listen(&server, &ann, HEARD).await;
    let began = Instant::now();
    let traffic = Traffic::start("bob", server, 2);
    within(AGAIN, "it is read and written", async || {
        traffic.written() > 3 && traffic.has_read_since(began)
    })
    .await;
    let server = Arc::clone(&traffic.server);

    // Statements in progress occupy all connections.
    let mut blocking = session(&storage.url).await;
    let lock = "BEGIN; LOCK TABLE personal_connector IN ACCESS EXCLUSIVE MODE";
    run_in(&mut blocking, lock).await;
    for number in 0..16 {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.ask("", LIST, list(number)).await });
    }
    within(AGAIN, "all connections are in use", async || {
        rows(&storage.url, WAITING)
            .await
            .trim()
            .parse::<usize>()
            .unwrap()
            >= 8
    })
    .await;
    match cut {
        Cut::Old => proxy.swallow(),
        Cut::All => proxy.cut(),
        Cut::Reset => proxy.reset(),
    }
    run_in(&mut blocking, "ROLLBACK").await;
    if cut == Cut::All {
        within(AGAIN, "it is not ready", async || !is_ready(&server).await).await;
        proxy.return_to_work();
    }

    let returned = Instant::now();
    let left = || AGAIN.saturating_sub(returned.elapsed());
    within(left(), "it is ready", async || is_ready(&server).await).await;
    let ready = returned.elapsed();
    within(left(), "it reads", async || {
        traffic.has_read_since(returned)
    })
    .await;
    let read_after = returned.elapsed();
    within(left(), "it writes", async || {
        traffic.has_written_since(returned)
    })
    .await;
    let written_after = returned.elapsed();
    println!(
        "{cut:?}: ready after {ready:.1?}, reads after {read_after:.1?}, writes after {written_after:.1?}"
    );
    traffic.stop().await;
    within(AGAIN, "no place in the pool is lost", async || {
        let open = connections(&server, "database_connections", "all").await;
        let idle = connections(&server, "database_connections_idle", "all").await;
        (1..=8).contains(&open) && open == idle
    })
    .await;
    // The subscriber receives all changes, in order.
    let expected = rows(
        &storage.url,
        "SELECT personal_connector_id FROM connector_event WHERE type = 'custom' ORDER BY number",
    );
    let expected = expected.await;
    for id in expected.lines() {
        assert_eq!(socket.change().await["personalConnectorId"], id);
    }
    drop(socket);
    assert_whole(&storage).await;
    Traffic::assert_kept(&[&traffic], &storage.url).await;
    drop(traffic);
    let done = Arc::into_inner(server).unwrap().stop();
    let lines = done.err.lines().filter(|line| line.contains("WARN"));
    let lines: Vec<_> = lines.collect();
    assert!(!lines.is_empty(), "{}", done.err);
    if cut == Cut::Old {
        let says = |line: &&str| line.contains("did not answer in time");
        assert!(lines.iter().any(says), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn that_swallows_old_connections() {
    recovers(Cut::Old).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn that_swallows_all_for_a_while() {
    recovers(Cut::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn that_resets_connections() {
    recovers(Cut::Reset).await;
}

/// Checks that a client learns nothing about its write if COMMIT was sent and not answered.
async fn says_that_nothing_is_known(fault: Fault) {
    let storage = TestDatabase::postgres().await;
    // The proxy must be able to read the protocol.
    let proxy = Proxy::to(&format!("{}?sslmode=disable", storage.url)).await;
    let mut command = program_on(
        &TestDatabase::at(proxy.url.clone()),
        &["--database-wait", "1s"],
    );
    command.args(["--request-timeout", "40s"]);
    let server = Serving::start(command);
    let ann = token("ann@acme", "connectors:write");
    let input =
        json!({ "name": "one", "serverUrl": "https://x.example.com", "idempotencyKey": "k" });
    let variables = json!({ "input": input });
    proxy.trap(b"COMMIT\0", fault);
    let asked = Instant::now();
    let answer = server.ask(&ann, CREATE, variables.clone()).await.unwrap();
    assert!(!proxy.is_trap_set(), "{answer}");
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{answer}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("it may have been made or not"),
        "{message}"
    );
    println!("{fault:?}: said after {:.1?}", asked.elapsed());
    // PostgreSQL has committed it, and the key shows that.
    let again = server.ask(&ann, CREATE, variables).await.unwrap();
    assert_eq!(again.get("errors"), None, "{again}");
    let count = "SELECT COUNT(*) AS n FROM personal_connector WHERE type = 'custom'";
    assert_eq!(rows(&storage.url, count).await, "1\n");
    server.stop().ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn that_swallows_the_answer_to_a_commit() {
    says_that_nothing_is_known(Fault::Swallow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn that_is_reset_at_a_commit() {
    says_that_nothing_is_known(Fault::Reset).await;
}
