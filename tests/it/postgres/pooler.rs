//! The service behind `PgBouncer`.

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    is_ready, listen,
    pgbouncer::PgBouncer,
    traffic::{CREATE, FLAGS, Traffic},
};
use crate::support::{
    clients::subscribers::CHANGED,
    harness::{TestDatabase, rows},
    invariants::assert_whole,
    objects::objects,
    process::{Process, Serving, program_on, run, token},
    waiting::within,
};

/// A time limit that is much longer than anything here takes.
const SOON: Duration = Duration::from_secs(30);

/// The log line of a service that detected a pooler.
const FOUND: &str = "a pooler is in front of PostgreSQL";

/// Returns a different list each time, so that no response is cached.
fn list(number: usize) -> (&'static str, Value) {
    const LIST: &str = "query($from: DateTime!, $first: Int!) {
        personalConnectors(first: $first, filter: { createdAt: { gte: $from } }) {
            totalCount nodes { id name tools { totalCount } health { outcome } replacedBy { id } }
            facets { type { value count } }
        }
    }";
    let from = format!("1970-01-01T00:00:00.{number:06}Z");
    (LIST, json!({ "from": from, "first": number % 5 + 1 }))
}

fn search(number: usize) -> (&'static str, Value) {
    const SEARCH: &str = "query($search: String!, $first: Int!) {
        personalConnectors(search: $search, first: $first) { totalCount nodes { id name } }
    }";
    let word = ["git", "click", "custom", "google", "tool"][number % 5];
    (SEARCH, json!({ "search": word, "first": number % 90 + 1 }))
}

fn create(number: usize) -> (&'static str, Value) {
    let name = format!("connector {number}");
    let input = json!({ "name": name, "serverUrl": "https://x.example.com" });
    (CREATE, json!({ "input": input }))
}

/// Two processes start at once on an empty database, and answer 300 concurrent clients with three sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn few_sessions_answer_many_requests() {
    const REQUESTS: usize = 300;
    let direct = TestDatabase::postgres().await;
    let pooler = PgBouncer::start(&direct, "transaction", 3, "").await;
    let behind = pooler.database();
    // A slow machine needs longer for all of them.
    let flags = [
        "--max-concurrency",
        "300",
        "--database-wait",
        "25s",
        "--request-timeout",
        "30s",
    ];
    let starts = [(); 2].map(|()| {
        let mut command = program_on(&behind, &flags);
        Process::spawn(command.env("CONNECTORS_LISTEN", "127.0.0.1:0"))
    });
    let servers = starts.map(Serving::up);
    let ann = token("ann@acme", "connectors:write");
    let mut sockets =
        join_all((0..10).map(async |number| listen(&servers[number % 2], &ann, CHANGED).await))
            .await;
    let began = Instant::now();
    let kinds = [list, search, create];
    let answers = join_all((0..REQUESTS).map(async |number| {
        let (query, variables) = kinds[number % kinds.len()](number);
        servers[number % 2].ask(&ann, query, variables).await
    }))
    .await;
    println!("{REQUESTS} requests: {:.1?}", began.elapsed());
    let is_answer = |answer: &&Option<Value>| {
        !answer.as_ref().is_some_and(|answer| {
            answer.get("errors").is_none() && answer["data"]["done"]["userErrors"].get(0).is_none()
        })
    };
    let wrong: Vec<_> = answers.iter().filter(is_answer).take(3).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    // Statement and parameters of each response match.
    for (number, answer) in answers.iter().enumerate() {
        let connectors = &answer.as_ref().unwrap()["data"]["personalConnectors"];
        if number % 3 == 0 {
            let nodes = connectors["nodes"].as_array().unwrap();
            assert_eq!(nodes.len(), number % 5 + 1, "{connectors}");
        }
    }
    for socket in &mut sockets {
        let heard = socket.change().await;
        assert_eq!(heard["kind"], "CREATED");
    }
    let created = "SELECT COUNT(*) AS n FROM personal_connector WHERE type = 'custom'";
    assert_eq!(
        rows(&direct.url, created).await,
        format!("{}\n", REQUESTS / 3)
    );
    for server in servers {
        assert!(is_ready(&server).await);
        let done = server.stop();
        assert!(done.err.contains(FOUND), "{}", done.err);
        assert!(!done.err.contains("ERROR"), "{}", done.err);
    }
    assert_whole(&direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn commands_work() {
    const OBJECTS: usize = 1200;
    let direct = TestDatabase::postgres().await;
    let pooler = PgBouncer::start(&direct, "transaction", 3, "").await;
    let behind = pooler.database();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("objects.jsonl");
    fs::write(&file, objects(OBJECTS)).unwrap();
    let command = |arguments: &[&str]| run(program_on(&behind, arguments));
    command(&["migrate"]).ok();
    let server = Serving::start(program_on(&behind, &[]));
    let import = ["import", "--organization", "acme", file.to_str().unwrap()];
    let mut both = [(); 2].map(|()| Process::spawn(&mut program_on(&behind, &import)));
    for import in &mut both {
        import.wait().ok();
    }
    let exported = command(&["export"]).ok();
    assert!(exported.lines().count() >= OBJECTS);
    let direct_export = run(program_on(&direct, &["export"])).ok();
    assert!(exported == direct_export, "the exports differ");
    command(&["check-database"]).ok();
    command(&["check", "--help"]).ok();
    server.stop().ok();

    let names = rows(
        &direct.url,
        "SELECT version FROM seaql_migrations ORDER BY version",
    )
    .await;
    let first = names.lines().next().unwrap();
    command(&["migrate", "--to", first]).ok();
    assert_eq!(
        rows(&direct.url, "SELECT COUNT(*) AS n FROM seaql_migrations").await,
        "1\n"
    );
    command(&["migrate"]).ok();
    command(&["check-database"]).ok();
    assert_whole(&direct).await;
}

/// A pooler that silently drops settings is detected too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn is_found_where_it_drops_settings() {
    let direct = TestDatabase::postgres().await;
    let ignored = "ignore_startup_parameters = extra_float_digits, options";
    let pooler = PgBouncer::start(&direct, "transaction", 2, ignored).await;
    let traffic = Traffic::start(
        "ann",
        Serving::start(program_on(&pooler.database(), &FLAGS)),
        4,
    );
    within(SOON, "it writes", async || traffic.written() > 20).await;
    traffic.stop().await;
    assert_eq!(traffic.errors(), BTreeMap::default());
    let server = Arc::into_inner(traffic.server).unwrap();
    let done = server.stop();
    assert!(done.err.contains(FOUND), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn sessions_of_ones_own_work_as_without_it() {
    let direct = TestDatabase::postgres().await;
    let pooler = PgBouncer::start(&direct, "session", 20, "").await;
    let flags = [&FLAGS[..], &["--database-pooler", "none"]].concat();
    let server = Serving::start(program_on(&pooler.database(), &flags));
    let traffic = Traffic::start("ann", server, 4);
    within(SOON, "it writes", async || traffic.written() > 20).await;
    traffic.stop().await;
    assert_eq!(traffic.errors(), BTreeMap::default());
    let done = Arc::into_inner(traffic.server).unwrap().stop();
    assert!(!done.err.contains(FOUND), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn one_that_has_no_transactions_is_refused() {
    let direct = TestDatabase::postgres().await;
    for more in [
        "",
        "ignore_startup_parameters = extra_float_digits, options",
    ] {
        let pooler = PgBouncer::start(&direct, "statement", 3, more).await;
        for mode in ["auto", "none", "transaction"] {
            let flags = ["serve", "--database-pooler", mode];
            let told = run(program_on(&pooler.database(), &flags)).failed(1);
            let lines: Vec<_> = told.lines().filter(|line| !line.contains("INFO")).collect();
            let [line] = lines.as_slice() else {
                panic!("{mode}: {told}");
            };
            assert!(line.contains("pool_mode"), "{mode}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn a_restart_under_load_is_over_soon() {
    let direct = TestDatabase::postgres().await;
    let mut pooler = PgBouncer::start(&direct, "transaction", 3, "").await;
    let start = |name| {
        let server = Serving::start(program_on(&pooler.database(), &FLAGS));
        Traffic::start(name, server, 4)
    };
    let all = ["one", "two"].map(start);
    let ann = token("ann@acme", "connectors:admin");
    let mut socket = listen(&all[0].server, &ann, CHANGED).await;
    for _ in 0..3 {
        let before = Instant::now();
        within(SOON, "all write and read", async || {
            all.iter()
                .all(|traffic| traffic.has_written_since(before) && traffic.has_read_since(before))
        })
        .await;
        pooler.kill();
        pooler.go_on().await;
        let again = Instant::now();
        within(SOON, "all write and read again", async || {
            all.iter()
                .all(|traffic| traffic.has_written_since(again) && traffic.has_read_since(again))
        })
        .await;
        for traffic in &all {
            within(SOON, "it is ready", async || {
                is_ready(&traffic.server).await
            })
            .await;
        }
        println!("served again after {:.1?}", again.elapsed());
    }
    socket.change().await;
    for traffic in &all {
        traffic.stop().await;
    }
    Traffic::assert_kept(&[&all[0], &all[1]], &direct.url).await;
    assert_whole(&direct).await;
}
