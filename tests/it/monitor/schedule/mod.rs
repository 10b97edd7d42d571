//! Periodic checks: which process runs them, how often, and how many at once.

mod bounds;
mod lease;
mod queued;

use crate::{
    on_both, on_both_databases,
    support::{
        clients::load::{Load, Outcome, closed},
        connectors,
        harness::{NOW, Server, TestDatabase, direct, rows, timestamp},
        mcp::{Plain, Reaction, allowing, answer, well_behaved},
        mutations::WRITE,
        objects::{import, object},
        process::{Serving, program_on, token},
        waiting::within,
    },
};
use entity::{ConnectorVisibility, ServerType, Timestamp, personal_connector::Model};
use personal_connectors::{
    clock::Clock,
    config::{CheckBounds, InspectionLimits},
    domain::inspection::Schedule,
    mcp::{guard::Guard, handshake::Inspector, memory::Memory},
    monitor::{Monitor, Settings},
    store::{Candidate, Database, Target},
};
use serde_json::json;
use std::time::Duration;
use tokio::{net::TcpListener, time::Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Returns an inspector that may call this machine.
fn inspector(time: Duration) -> Inspector {
    let guard = Guard::new(allowing(&["127.0.0.0/8"]));
    let limits = InspectionLimits::within(time);
    Inspector::new(guard, direct(), Memory::default(), limits, Clock::system())
}

fn settings() -> Settings {
    Settings {
        bounds: CheckBounds {
            at_once: 8,
            by_host: 8,
        },
        schedule: Schedule {
            interval: Duration::from_hours(1),
            history: 10,
        },
        lease: Duration::from_millis(900),
    }
}

fn monitor(database: &Database, settings: Settings) -> Monitor {
    Monitor::start(
        database.clone(),
        inspector(SECOND),
        settings,
        Clock::system(),
    )
}

fn candidate(ttl: Duration) -> Candidate {
    Candidate::new(ttl, Clock::system())
}

fn at(id: &str, url: &str) -> Model {
    Model {
        server_url: Some(url.to_owned()),
        ..connectors::connector(id, id, "ann@acme", ConnectorVisibility::Public)
    }
}

/// Opens the database like another process.
async fn another(storage: &TestDatabase) -> Database {
    Database::open(&storage.settings()).await.unwrap()
}

impl Server {
    /// Adds connectors to be checked, and no others.
    async fn put_alone(&self, rows: Vec<Model>) -> Vec<Model> {
        self.rows("UPDATE connector_health SET next_check_at = NULL")
            .await;
        self.insert(rows).await
    }
}

/// Records a check of all servers half an hour ago, so that they are due in half an hour.
async fn put_off(server: &Server) {
    let (now, half_an_hour) = (Clock::system().now().0, 1_800_000_000);
    let put_off = format!(
        "UPDATE connector_health SET outcome = 'open', checked_at = {}, next_check_at = {} WHERE next_check_at IS NOT \
         NULL",
        now - half_an_hour,
        now + half_an_hour
    );
    server.rows(&put_off).await;
}

/// Returns the connectors checked since, in the order of checks or of ids.
async fn checked_since(server: &Server, order: &str) -> Vec<String> {
    let checks = format!(
        "SELECT h.id FROM connector_check AS c JOIN connector_health AS h ON h.seq = c.seq ORDER BY {order}"
    );
    let checks = server.rows(&checks).await;
    checks.lines().map(ToOwned::to_owned).collect()
}

/// Queues checks of connectors by `checkConnectors`.
async fn queue(server: &Server, ids: &[String]) {
    let document = "mutation($ids: [ID!]!) { checkConnectors(input: {ids: $ids}) { results { userErrors { code } } \
                    userErrors { code } } }";
    // Queued checks are due by the clock of the process with the monitor.
    server.clock.set(Clock::system().now());
    let token = server.token("bob@acme", WRITE);
    let data = server.data(&token, document, json!({ "ids": ids })).await;
    let results = vec![json!({ "userErrors": [] }); ids.len()];
    let queued = json!({ "results": results, "userErrors": [] });
    assert_eq!(data["checkConnectors"], queued);
}

/// Returns the number of checks by a process.
fn made(database: &Database) -> u64 {
    database
        .check_counters()
        .checks()
        .map(|(_, count)| count)
        .sum()
}

/// Waits for a condition, within a limit.
async fn until(what: &str, is_so: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(30), what, is_so).await;
}

/// Starts a service with a monitor that may call this machine, and without a catalogue.
fn service(storage: &TestDatabase, flags: &[&str]) -> Serving {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog.json");
    std::fs::write(&catalog, "[]").unwrap();
    let mut command = program_on(storage, &["--mcp-allow", "127.0.0.0/8"]);
    command
        .args(flags)
        .env("CONNECTORS_MONITOR", "true")
        .env("CONNECTORS_CATALOG", &catalog);
    Serving::start(command)
}

/// Returns the checks with an outcome.
fn counted(metrics: &str, outcome: &str) -> u64 {
    let begin = format!("connector_checks_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap().parse().unwrap()
}

on_both_databases! {
    async fn a_service_checks_again_and_again(storage: TestDatabase) {
        let good = Plain::new(well_behaved).await;
        let bad = Plain::new(|_| answer(404, "", "")).await;
        let objects = [
            object("good", &json!({ "serverUrl": good.url })),
            object("bad", &json!({ "serverUrl": bad.url })),
            object("program", &json!({ "serverType": "stdio" })),
        ];
        import(&storage, &objects);
        let server = service(
            &storage,
            &["--check-interval", "1s", "--check-history", "3"],
        );
        let looks = || {
            good.asked()
                .iter()
                .filter(|asked| *asked == "initialize")
                .count()
        };
        until("six looks", async || looks() >= 6).await;
        let health = |what: &str| {
            let sql = format!(
                "SELECT {what} AS n FROM connector_health JOIN personal_connector USING (seq)
                WHERE next_check_at IS NOT NULL ORDER BY personal_connector.id"
            );
            async { rows(&storage.url, &{ sql }).await }
        };
        assert_eq!(health("outcome").await, "not_mcp\nopen\n");
        // The delay doubles with each failure: checks after 0, 2, 6 and 14 seconds.
        let failures: usize = health("failures")
            .await
            .lines()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((2..=4).contains(&failures), "{failures}");
        let history = rows(
            &storage.url,
            "SELECT COUNT(*) AS n FROM connector_check GROUP BY seq ORDER BY n",
        )
        .await;
        assert!(
            history
                .lines()
                .all(|count| count.parse::<usize>().unwrap() <= 3),
            "{history}"
        );
        assert!(history.lines().any(|count| count == "3"), "{history}");
        let (_, metrics) = server.get("/metrics").await;
        assert!(metrics.contains("\nconnector_check_lease 1\n"), "{metrics}");
        let counted = |outcome| counted(&metrics, outcome);
        assert!(counted("OPEN") >= 5, "{metrics}");
        assert!((2..=4).contains(&counted("NOT_MCP")), "{metrics}");
        assert_eq!(counted("TIMEOUT"), 0);
        // The lease is released, so that the next process need not wait.
        server.stop().ok();
        let lease = "SELECT COALESCE(holder, 'nobody') AS holder, expires_at FROM check_lease";
        assert_eq!(rows(&storage.url, lease).await, "nobody|0\n");
    }
}

on_both! {
    /// Due connectors come in pages, the longest overdue first.
    async fn what_is_due(server: Server) {
        let database = &server.database;
        let now = timestamp(NOW);
        let built_in = database.due(now, None, 100).await.unwrap();
        let later = |micros| Timestamp(now.0 + micros);
        let made = |n: i64| at(&format!("x{n}"), "https://mcp.example.com");
        let program = Model {
            server_type: Some(ServerType::Stdio),
            ..made(10)
        };
        let put = server
            .insert((0..10).map(made).chain([program]).collect())
            .await;
        // Two connectors share each time.
        let first = put[0].seq;
        server
            .rows(&format!(
                "UPDATE connector_health SET next_check_at = {} + (seq - {first}) / 2
                 WHERE seq >= {first} AND next_check_at IS NOT NULL",
                now.0
            ))
            .await;
        let all = database.due(later(100), None, 100).await.unwrap();
        assert_eq!(all.len(), built_in.len() + 10);
        assert_eq!(all[..built_in.len()], built_in);
        for (due, row) in all[built_in.len()..].iter().zip(&put) {
            assert_eq!(
                *due,
                (
                    (later((row.seq - first) / 2), row.seq),
                    Some(Target::of(row))
                )
            );
        }
        // A page may end between them.
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = database.due(later(100), after, 3).await.unwrap();
            let Some((place, _)) = page.last() else { break };
            after = Some(*place);
            paged.extend(page);
        }
        assert_eq!(paged, all);
        assert_eq!(
            database.due(later(1), None, 100).await.unwrap().len(),
            built_in.len() + 4
        );
        assert_eq!(database.next_due(later(1)).await.unwrap(), Some(later(2)));
        assert_eq!(database.next_due(later(4)).await.unwrap(), None);
        // A server with a type of a newer version is skipped, and the others are not.
        server
            .rows(&format!(
                "UPDATE personal_connector SET server_type = 'newer' WHERE seq = {first}"
            ))
            .await;
        let all = database.due(later(100), None, 100).await.unwrap();
        let unknown = all.iter().filter(|(_, target)| target.is_none());
        assert_eq!(
            unknown.map(|((_, seq), _)| *seq).collect::<Vec<_>>(),
            [first]
        );
        assert_eq!(all.len(), built_in.len() + 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and measures"]
async fn a_round_of_ten_thousand_sqlite() {
    a_round_of_ten_thousand("SQLite", TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and measures"]
async fn a_round_of_ten_thousand_postgres() {
    a_round_of_ten_thousand("PostgreSQL", TestDatabase::postgres().await).await;
}

/// Measures a round in which a third of the hosts hang, a third refuse, and a third work: time, memory, and the effect
/// on queries.
async fn a_round_of_ten_thousand(name: &str, storage: TestDatabase) {
    const CONNECTORS: u32 = 10_000;
    const AT_ONCE: u32 = 64;
    const CLIENTS: usize = 4;
    let port = |server: &Plain| server.url.rsplit_once(':').unwrap().1.to_owned();
    let hanging = port(&Plain::at("0.0.0.0:0", |_| Reaction::Hang).await);
    let good = port(&Plain::at("0.0.0.0:0", well_behaved).await);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let connector = |n: u32| {
        let port = [&hanging, &refusing, &good][n as usize % 3];
        let url = format!("http://127.1.{}.{}:{port}/mcp", n / 250, n % 250 + 1);
        object(&format!("x{n}"), &json!({ "serverUrl": url }))
    };
    import(
        &storage,
        &(0..CONNECTORS).map(connector).collect::<Vec<_>>(),
    );
    // No process checks until this lease is released.
    let other = another(&storage).await;
    let lease = other
        .take_lease(&mut candidate(SECOND * 600))
        .await
        .unwrap();
    let at_once = AT_ONCE.to_string();
    let flags = [
        "--check-timeout",
        "1s",
        "--max-checks",
        &at_once,
        "--answer-cache-mb",
        "0",
    ];
    let server = service(&storage, &flags);
    let load = Load::on(&server, &token("ann@acme", "connectors:write"));
    closed(&load, CLIENTS, |_, began| began.elapsed() < 5 * SECOND).await;
    let resident = || server.process.resident().unwrap_or_default();
    let (quiet, memory) = (
        closed(&load, CLIENTS, |_, began| began.elapsed() < 15 * SECOND),
        resident(),
    );
    let mut quiet = quiet.await;
    other.give_up_lease(&lease.unwrap()).await.unwrap();

    let metrics = async || server.get("/metrics").await.1;
    until("the round begins", async || {
        metrics().await.contains("connector_check_lease 1")
    })
    .await;
    let began = Instant::now();
    let (mut busy, mut most) = (Outcome::default(), 0);
    let (took, outcomes) = loop {
        let (asked, window) = (Instant::now(), 2 * SECOND);
        busy.merge(closed(&load, CLIENTS, |_, began| began.elapsed() < 2 * SECOND).await);
        most = most.max(resident());
        let told = metrics().await;
        let outcomes = ["TIMEOUT", "UNREACHABLE", "OPEN"].map(|outcome| counted(&told, outcome));
        if outcomes.iter().sum::<u64>() >= CONNECTORS.into() {
            break (began.elapsed(), outcomes);
        }
        assert!(asked.elapsed() < 10 * window, "queries stand still");
        assert!(began.elapsed() < 600 * SECOND, "{told}");
    };
    tokio::time::sleep(5 * SECOND).await;
    let after = resident();
    let hung = f64::from(CONNECTORS / 3) / f64::from(AT_ONCE);
    let bound = Duration::from_secs_f64(f64::from(CONNECTORS) / f64::from(AT_ONCE));
    println!(
        "{name}: {CONNECTORS} connectors by {AT_ONCE} in {took:.1?}: those that hang take {hung:.1} s, the bound is \
         {bound:.1?}"
    );
    println!("TIMEOUT, UNREACHABLE, OPEN: {outcomes:?}");
    println!("VmRSS before {memory} KiB, at most {most} KiB, after {after} KiB");
    let rate = |outcome: &Outcome, time: Duration| {
        f64::from(u32::try_from(outcome.count(200)).unwrap()) / time.as_secs_f64()
    };
    let rates = [rate(&quiet, 15 * SECOND), rate(&busy, took)];
    let [before, during] =
        [&mut quiet, &mut busy].map(|outcome| outcome.percentiles(200, [50, 99]));
    println!(
        "{CLIENTS} clients: {:.0} requests/s {before:.1?} before, {:.0} requests/s {during:.1?} during it: {:.2}",
        rates[0],
        rates[1],
        rates[1] / rates[0]
    );
    assert_eq!(quiet.count(503) + busy.count(503), 0);
    assert!(took < bound, "{took:?}");
    server.stop().ok();
}
