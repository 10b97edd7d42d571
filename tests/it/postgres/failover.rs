//! Several hosts in the URL: the service finds the wanted one, and again after a failover.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    is_ready, listen, run_in, session,
    traffic::{FLAGS, LIST, Traffic},
};
use crate::{
    operate::outage::Cluster,
    support::{
        harness::{TestDatabase, rows},
        invariants::assert_whole,
        process::{Serving, program_on, run, token},
        waiting::within,
    },
};

/// The longest time until everything works again.
const AGAIN: Duration = Duration::from_secs(30);

const HEARD: &str = "subscription($after: String) {
    personalConnectorChanged(after: $after) { personalConnectorId }
}";

/// Returns the URL of several hosts, of which the first does not exist.
fn hosts(of: &[&Cluster], target: &str) -> TestDatabase {
    let hosts: Vec<_> = of.iter().map(|cluster| cluster.address()).collect();
    TestDatabase::at(format!(
        "postgres://postgres@127.0.0.1:1,{}/postgres?target_session_attrs={target}",
        hosts.join(",")
    ))
}

/// The way in which the old primary ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
    Frozen,
}

async fn goes_on_after_a_promotion(end: End, is_synchronous: bool) {
    let primary = Cluster::start();
    Serving::on(&primary.database()).stop().ok();
    let standby = primary.standby();
    if is_synchronous {
        primary.configure("synchronous_standby_names = '*'");
    }
    let storage = hosts(&[&primary, &standby], "read-write");
    let server = Serving::start(program_on(&storage, &FLAGS));
    let boss = token("boss@acme", "connectors:admin");
    let mut socket = listen(&server, &boss, HEARD).await;
    let traffic = Traffic::start("ann", server, 4);
    within(AGAIN, "it is written", async || traffic.written() > 30).await;
    match end {
        End::Stopped => primary.stop("fast"),
        End::Killed => primary.signal("KILL"),
        End::Frozen => primary.signal("STOP"),
    }
    standby.promote();
    let promoted = Instant::now();
    let left = || AGAIN.saturating_sub(promoted.elapsed());
    within(left(), "it writes", async || {
        traffic.has_written_since(promoted)
    })
    .await;
    let writes = promoted.elapsed();
    within(left(), "it reads", async || {
        traffic.has_read_since(promoted)
    })
    .await;
    within(left(), "it is ready", async || {
        is_ready(&traffic.server).await
    })
    .await;
    println!(
        "{end:?}, synchronous: {is_synchronous}: writes after {writes:.1?}, all after {:.1?}",
        promoted.elapsed()
    );
    traffic.stop().await;
    let now = standby.database();
    assert_whole(&now).await;
    if is_synchronous {
        Traffic::assert_kept(&[&traffic], &now.url).await;
        let events = "SELECT personal_connector_id FROM connector_event WHERE type = 'custom' ORDER BY number";
        for id in rows(&now.url, events).await.lines() {
            assert_eq!(socket.change().await["personalConnectorId"], id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn of_a_killed_primary_to_a_synchronous_standby() {
    goes_on_after_a_promotion(End::Killed, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn of_a_frozen_primary_to_a_synchronous_standby() {
    goes_on_after_a_promotion(End::Frozen, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn of_a_stopped_primary_to_an_asynchronous_standby() {
    goes_on_after_a_promotion(End::Stopped, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn of_a_frozen_primary_to_an_asynchronous_standby() {
    goes_on_after_a_promotion(End::Frozen, false).await;
}

/// Returns the member of `/health/ready`.
async fn writable(server: &Serving) -> Value {
    let (_, told) = server.get("/health/ready").await;
    serde_json::from_str::<Value>(&told).unwrap()["writable"].take()
}

/// Each kind of server is found, and reads that a standby's recovery cancels run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn each_kind_of_server_is_found() {
    let primary = Cluster::start();
    Serving::on(&primary.database()).stop().ok();
    let standby = primary.standby();
    for (target, is_writable) in [
        ("any", false),
        ("read-write", true),
        ("read-only", false),
        ("primary", true),
        ("standby", false),
        ("prefer-standby", false),
    ] {
        let storage = hosts(&[&standby, &primary], target);
        let server = Serving::start(program_on(&storage, &[]));
        within(AGAIN, target, async || {
            writable(&server).await == is_writable
        })
        .await;
        let done = server.stop();
        let warns = done.err.contains("target_session_attrs=read-write");
        assert!(!warns, "{}", done.err);
    }
    let storage = hosts(&[&primary], "standby");
    let flags = ["serve", "--read-only", "--database-wait", "1s"];
    let told = run(program_on(&storage, &flags)).failed(1);
    assert!(told.contains("it is a primary"), "{told}");
    let errors = told.lines().filter(|line| !line.contains(" INFO "));
    assert_eq!(errors.count(), 1, "{told}");
    let storage = hosts(&[&primary], "prefer-standby");
    let server = Serving::start(program_on(&storage, &[]));
    assert_eq!(writable(&server).await, true);
    server.stop().ok();

    standby.configure("max_standby_streaming_delay = 0");
    let server = Serving::start(program_on(&standby.database(), &["--read-only"]));
    let conflicts =
        "SELECT COALESCE(SUM(confl_lock), 0)::bigint AS n FROM pg_stat_database_conflicts";
    let mut locking = session(&primary.database().url).await;
    let began = Instant::now();
    let (mut number, mut cancelled) = (0, String::new());
    while began.elapsed() < AGAIN && cancelled.len() < 2 {
        let lock = async {
            run_in(
                &mut locking,
                "BEGIN; LOCK TABLE personal_connector IN ACCESS EXCLUSIVE MODE; COMMIT",
            )
            .await;
        };
        let asked = (0..8).map(|more| {
            let from = format!("1970-01-01T00:00:05.{:06}Z", number * 8 + more);
            server.ask("", LIST, json!({ "from": from }))
        });
        let (answers, ()) = tokio::join!(futures_util::future::join_all(asked), lock);
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.get("errors"), None, "{answer}");
        }
        number += 1;
        let found = rows(&standby.database().url, conflicts).await;
        // Enough of them to exclude chance.
        cancelled = if found.trim().parse::<u64>().unwrap() >= 10 {
            found
        } else {
            String::new()
        };
    }
    println!(
        "{} reads were cancelled in {number} rounds",
        cancelled.trim()
    );
    assert!(!cancelled.is_empty(), "no read was cancelled");
    server.stop().ok();
}
