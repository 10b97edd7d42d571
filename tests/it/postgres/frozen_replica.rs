//! A replica that freezes during a write, while it holds the lock of all writes.

use std::{
    fs,
    str::FromStr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{
    is_ready,
    proxy::Proxy,
    traffic::{CREATE, FLAGS, Traffic},
};
use crate::support::{
    harness::{TestDatabase, rows},
    invariants::assert_whole,
    objects::objects,
    process::{Process, Serving, program_on, token},
    waiting::within,
};

/// The longest time in which others cannot write.
const AGAIN: Duration = Duration::from_secs(5);

/// The ports of sessions that are idle in a transaction with a write or lock.
const HOLDERS: &str = "SELECT client_port::bigint AS port FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction' AND backend_xid IS NOT NULL";

/// Returns whether a replica behind this proxy holds a lock, with no statement in progress.
async fn holds_lock(storage: &TestDatabase, proxy: &Proxy) -> bool {
    let ports = rows(&storage.url, HOLDERS).await;
    let mut ports = ports.lines().map(|port| port.parse().unwrap());
    ports.any(|port| proxy.has_port(port))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn others_write_again_while_it_holds_a_lock() {
    let storage = TestDatabase::postgres().await;
    let proxy = Proxy::to(&storage.url).await;
    let through_proxy = TestDatabase::at(proxy.url.clone());
    let start = |name, storage: &TestDatabase, writers| {
        Traffic::start(name, Serving::start(program_on(storage, &FLAGS)), writers)
    };
    let frozen = start("frozen", &through_proxy, 8);
    let others = ["one", "two"].map(|name| start(name, &storage, 2));
    let began = Instant::now();
    within(AGAIN * 4, "all write", async || {
        frozen.has_written_since(began) && others.iter().all(|other| other.has_written_since(began))
    })
    .await;

    let mut tries = 0;
    let stopped = loop {
        tries += 1;
        assert!(tries < 100, "it never held a lock");
        let stopped = Instant::now();
        frozen.server.process.signal("STOP");
        // A statement in progress ends first.
        let mut holds = false;
        for _ in 0..5 {
            holds = holds_lock(&storage, &proxy).await;
            if holds {
                break;
            }
        }
        if holds {
            break stopped;
        }
        frozen.server.process.signal("CONT");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let caught = Instant::now();
    for other in &others {
        let wait = AGAIN.saturating_sub(stopped.elapsed());
        within(wait, "another replica writes", async || {
            other.has_written_since(caught)
        })
        .await;
    }
    let others_wrote = stopped.elapsed();
    for other in &others {
        within(AGAIN, "it is ready", async || is_ready(&other.server).await).await;
    }
    assert!(!holds_lock(&storage, &proxy).await);
    // Other replicas wait only briefly for the lock.
    let read = Instant::now();
    within(AGAIN, "reads go on", async || {
        others.iter().all(|other| other.has_read_since(read))
    })
    .await;
    let gap = others
        .iter()
        .map(|other| other.largest_gap(began, Instant::now()));
    let gap = gap.max().unwrap();
    assert!(gap < AGAIN, "{gap:?}");

    frozen.server.process.signal("CONT");
    let continued = Instant::now();
    let served = within(AGAIN * 2, "it writes again", async || {
        frozen.has_written_since(continued)
    })
    .await;
    within(AGAIN, "it is ready", async || {
        is_ready(&frozen.server).await
    })
    .await;
    println!(
        "caught after {tries} tries; the others wrote after {others_wrote:.1?}, it served after {served:.1?}"
    );
    for traffic in others.iter().chain([&frozen]) {
        traffic.stop().await;
    }
    assert_whole(&storage).await;
    Traffic::assert_kept(&[&frozen, &others[0], &others[1]], &storage.url).await;
}

/// Returns whether another connection holds SQLite's lock.
async fn is_locked(url: &str) -> bool {
    let options = SqliteConnectOptions::from_str(url).unwrap();
    let options = options.busy_timeout(Duration::ZERO);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let begun = connection.execute("BEGIN IMMEDIATE").await;
    connection.close().await.unwrap();
    begun.is_err()
}

/// Creates a connector. Returns the error's code.
async fn create(server: &Serving, name: &str) -> Option<String> {
    let ann = token("ann@acme", "connectors:write");
    let input = json!({ "name": name, "serverUrl": "https://x.example.com" });
    let answer = server.ask(&ann, CREATE, json!({ "input": input })).await;
    let answer = answer.unwrap();
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    code.map(ToOwned::to_owned)
}

/// SQLite cannot end a frozen process that holds its lock, so the service reports it until the process continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_import_of_sqlite_is_told_and_waited_for() {
    let storage = TestDatabase::sqlite();
    let flags = ["--database-wait", "500ms"];
    let server = Serving::start(program_on(&storage, &flags));
    assert_eq!(create(&server, "before").await, None);

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("objects.jsonl");
    fs::write(&file, objects(4000)).unwrap();
    let arguments = ["import", "--organization", "acme", file.to_str().unwrap()];
    let mut import = Process::spawn(&mut program_on(&storage, &arguments));
    within(AGAIN * 4, "the import holds the lock", async || {
        if !is_locked(&storage.url).await {
            return false;
        }
        import.signal("STOP");
        let holds = is_locked(&storage.url).await;
        if !holds {
            import.signal("CONT");
        }
        holds
    })
    .await;

    assert_eq!(
        create(&server, "during").await.as_deref(),
        Some("UNAVAILABLE")
    );
    within(AGAIN, "it is not ready", async || !is_ready(&server).await).await;
    let (_, told) = server.get("/health/ready").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("lock"), "{told}");
    assert_eq!(told["writable"], false);
    let listed = server.ask("", "{ personalConnectors { totalCount } }", json!({}));
    assert_eq!(listed.await.unwrap().get("errors"), None);

    import.signal("CONT");
    within(AGAIN * 2, "it is ready", async || is_ready(&server).await).await;
    within(AGAIN * 4, "it writes", async || {
        create(&server, "after").await.is_none()
    })
    .await;
    assert_eq!(import.wait().code, Some(0));
    assert_whole(&storage).await;
    server.stop().ok();
}
