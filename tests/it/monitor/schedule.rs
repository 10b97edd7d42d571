//! Periodic checks: which process runs them, how often, and how many at once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entity::{ConnectorVisibility, ServerType, Timestamp, personal_connector::Model};
use personal_connectors::{
    clock::Clock,
    config::{CheckBounds, InspectionLimits},
    domain::inspection::Schedule,
    mcp::{guard::Guard, handshake::Inspector, memory::Memory},
    monitor::{Monitor, Settings},
    store::{Actor, Candidate, Check, Database, Target, Tx},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpListener, time::Instant};

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

/// Returns the checks with an outcome.
fn counted(metrics: &str, outcome: &str) -> u64 {
    let begin = format!("connector_checks_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap().parse().unwrap()
}

/// Counts concurrent requests, in total and by host.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A server that delays each response, and does not speak MCP.
async fn slow(address: &str, crowds: [Arc<Crowd>; 2]) -> String {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let crowds = crowds.clone();
            tokio::spawn(async move {
                for crowd in &crowds {
                    crowd.enter();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                // The end is counted before the client can continue.
                for crowd in &crowds {
                    crowd.leave();
                }
                let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_at_once_than_the_bounds_say() {
    let server = Server::on_sqlite(&[]).await;
    let all = Arc::new(Crowd::default());
    let hosts = [(); 3].map(|()| Arc::new(Crowd::default()));
    let mut connectors = Vec::new();
    for (n, host) in hosts.iter().enumerate() {
        // Two ports belong to one host.
        for port in ["a", "b"] {
            let address = format!("127.0.0.{}", n + 2);
            let url = slow(&address, [all.clone(), host.clone()]).await;
            connectors.extend((0..6).map(|i| at(&format!("{n}{port}{i}"), &url)));
        }
    }
    let count = connectors.len() as u64;
    server.put_alone(connectors).await;
    let settings = Settings {
        bounds: CheckBounds {
            at_once: 5,
            by_host: 2,
        },
        ..settings()
    };
    let monitor = monitor(&server.database, settings);
    until("all are checked", async || made(&server.database) >= count).await;
    assert_eq!(all.most(), 5);
    for host in &hosts {
        assert_eq!(host.most(), 2);
    }
    monitor.stop().await;
    // Each connector was due once.
    let checked = server.rows("SELECT COUNT(*) AS n FROM connector_check");
    assert_eq!(checked.await, format!("{count}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_of_thousands_keeps_nobody_out() {
    let server = Server::on_sqlite(&[]).await;
    let hanging = Plain::at("127.0.0.2:0", |_| Reaction::Hang).await;
    let many = (0..2000).map(|n| at(&format!("many{n}"), &hanging.url));
    server.put_alone(many.collect()).await;
    let plain = Plain::new(well_behaved).await;
    server.insert(vec![at("one", &plain.url)]).await;
    let settings = Settings {
        bounds: CheckBounds {
            at_once: 4,
            by_host: 2,
        },
        ..settings()
    };
    let monitor = monitor(&server.database, settings);
    let outcome = "SELECT outcome FROM connector_health JOIN personal_connector USING (seq) WHERE \
                   personal_connector.id = 'pcon_one'";
    let began = Instant::now();
    until("the other host's turn", async || {
        server.rows(outcome).await == "open\n"
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    // A connector that is added meanwhile is checked soon.
    server.insert(vec![at("two", &plain.url)]).await;
    let outcome = outcome.replace("pcon_one", "pcon_two");
    until("the turn of a new connector", async || {
        server.rows(&outcome).await == "open\n"
    })
    .await;
    drop(monitor);
}

on_both! {
    async fn a_lease_has_one_holder(server: Server) {
        let (ours, theirs) = (server.database.clone(), another(&server.storage).await);
        let ttl = Duration::from_millis(500);
        let (mut we, mut they) = (candidate(ttl), candidate(ttl));
        let first = ours.take_lease(&mut we).await.unwrap().unwrap();
        assert!(ours.check_counters().holds_lease());
        assert_eq!(theirs.take_lease(&mut they).await.unwrap(), None);
        assert!(!theirs.check_counters().holds_lease());
        // After a renewal, it is the same lease.
        tokio::time::sleep(ttl * 2 / 3).await;
        assert_eq!(ours.take_lease(&mut we).await.unwrap().unwrap(), first);
        tokio::time::sleep(ttl * 2 / 3).await;
        assert_eq!(theirs.take_lease(&mut they).await.unwrap(), None);
        tokio::time::sleep(ttl).await;
        let second = theirs.take_lease(&mut they).await.unwrap().unwrap();
        assert_eq!(ours.take_lease(&mut we).await.unwrap(), None);
        // A lease that is taken again after its release has a new epoch, even for the same process.
        theirs.give_up_lease(&second).await.unwrap();
        let third = theirs.take_lease(&mut they).await.unwrap().unwrap();
        assert_ne!(third, second);
        // Releasing a lost lease has no effect.
        ours.give_up_lease(&first).await.unwrap();
        theirs.give_up_lease(&second).await.unwrap();
        assert_eq!(ours.take_lease(&mut we).await.unwrap(), None);
        assert_eq!(server.rows("SELECT epoch FROM check_lease").await, "3\n");
    }

    /// The lease was lost, for example because an earlier backup was restored, and its epoch repeats.
    async fn a_lease_that_was_lost_is_not_the_next_one(server: Server) {
        let (ours, mut we) = (server.database.clone(), candidate(SECOND * 60));
        let lost = ours.take_lease(&mut we).await.unwrap().unwrap();
        server
            .rows("UPDATE check_lease SET holder = NULL, epoch = epoch - 1, expires_at = 0")
            .await;
        let next = ours.take_lease(&mut we).await.unwrap().unwrap();
        assert_eq!(server.rows("SELECT epoch FROM check_lease").await, "1\n");
        assert_ne!(next, lost);
        let tx = Tx::begin(&ours, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert_eq!(
            (
                tx.holds(&lost).await.unwrap(),
                tx.holds(&next).await.unwrap()
            ),
            (false, true)
        );
        tx.rollback().await;
    }

    async fn what_an_old_holder_found_is_dropped(server: Server) {
        let (ours, theirs) = (server.database.clone(), another(&server.storage).await);
        let connector = server
            .insert(vec![at("x", "http://127.0.0.1:9")])
            .await
            .pop()
            .unwrap();
        let mut found = inspector(SECOND)
            .inspect(None, Some(ServerType::Stdio), SECOND)
            .await
            .unwrap();
        found.checked_at = timestamp(NOW);
        let check = Check {
            target: Target::of(&connector),
            found,
        };
        let old = ours
            .take_lease(&mut candidate(Duration::from_millis(1)))
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        // The lease is over, but no other process took it, so the results are still valid.
        let tx = Tx::begin(&ours, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(tx.holds(&old).await.unwrap());
        // No process takes over until they are stored.
        let taking = {
            let theirs = theirs.clone();
            async move { theirs.take_lease(&mut candidate(SECOND * 60)).await }
        };
        let mut taking = tokio::spawn(taking);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut taking).await;
        assert!(early.is_err(), "{early:?}");
        tx.commit().await.unwrap();
        let new = taking.await.unwrap().unwrap().unwrap();
        let tx = Tx::begin(&ours, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(!tx.holds(&old).await.unwrap());
        tx.rollback().await;
        let mut tx = Tx::begin(&theirs, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(tx.holds(&new).await.unwrap());
        assert_eq!(tx.record(&[check], settings().schedule).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }

    /// A monitor drops its results if another process takes the lease before the check ends.
    async fn a_monitor_that_lost_its_lease_keeps_nothing(server: Server) {
        server
            .put_alone(vec![at("x", &Plain::new(|_| Reaction::Hang).await.url)])
            .await;
        let patient = Settings {
            lease: SECOND * 60,
            ..settings()
        };
        let monitor = monitor(&server.database, patient);
        until("it is checked", async || {
            server.database.check_counters().under_way() > 0
        })
        .await;
        server
            .rows("UPDATE check_lease SET holder = 'they', epoch = epoch + 1")
            .await;
        until("it has no check in progress", async || {
            server.database.check_counters().under_way() == 0
        })
        .await;
        assert_eq!(
            server
                .rows("SELECT COUNT(*) AS n FROM connector_check")
                .await,
            "0\n"
        );
        assert_eq!(made(&server.database), 0);
        // The monitor does not try to get the lease back, and does not release another's.
        monitor.stop().await;
        assert_eq!(
            server.rows("SELECT holder FROM check_lease").await,
            "they\n"
        );
    }

    /// Queued checks run before they are due, within the limits. No other checks do.
    async fn queued_checks_are_made_at_once(server: Server) {
        let all = Arc::new(Crowd::default());
        let hosts = [(); 2].map(|()| Arc::new(Crowd::default()));
        let mut rows = Vec::new();
        for (n, host) in hosts.iter().enumerate() {
            let url = slow(&format!("127.0.0.{}", n + 2), [all.clone(), host.clone()]).await;
            rows.extend(["a", "b", "c", "d", "idle"].map(|id| at(&format!("{n}{id}"), &url)));
        }
        let rows = server.put_alone(rows).await;
        put_off(&server).await;
        let settings = Settings {
            bounds: CheckBounds {
                at_once: 3,
                by_host: 2,
            },
            lease: SECOND * 60,
            ..settings()
        };
        let monitor = monitor(&server.database, settings);
        until("it may check", async || {
            server.database.check_counters().holds_lease()
        })
        .await;
        let mut ids: Vec<_> = rows
            .into_iter()
            .map(|row| row.id)
            .filter(|id| !id.contains("idle"))
            .collect();
        queue(&server, &ids).await;
        until("all are checked", async || {
            made(&server.database) >= ids.len() as u64
        })
        .await;
        assert_eq!(all.most(), 3);
        for host in &hosts {
            assert_eq!(host.most(), 2);
        }
        monitor.stop().await;
        ids.sort();
        assert_eq!(checked_since(&server, "h.id").await, ids);
    }

    /// Queued checks become due when they are queued, so connectors that are overdue for longer come first.
    async fn queued_checks_are_made_after_what_waits_for_longer(server: Server) {
        let plain = Plain::new(well_behaved).await;
        server
            .put_alone(
                ["queued", "overdue", "idle"]
                    .map(|id| at(id, &plain.url))
                    .into(),
            )
            .await;
        put_off(&server).await;
        server
            .rows("UPDATE connector_health SET next_check_at = 1 WHERE id = 'pcon_overdue'")
            .await;
        // The process with the monitor continues after they are queued.
        let lease = server
            .database
            .take_lease(&mut candidate(SECOND * 60))
            .await
            .unwrap()
            .unwrap();
        queue(&server, &["pcon_queued".to_owned()]).await;
        server.database.give_up_lease(&lease).await.unwrap();
        let settings = Settings {
            bounds: CheckBounds {
                at_once: 1,
                by_host: 1,
            },
            ..settings()
        };
        let monitor = monitor(&server.database, settings);
        until("both are checked", async || made(&server.database) >= 2).await;
        monitor.stop().await;
        assert_eq!(
            checked_since(&server, "c.checked_at").await,
            ["pcon_overdue", "pcon_queued"]
        );
    }

    async fn of_two_processes_one_checks_until_it_is_gone(server: Server) {
        let plain = Plain::new(well_behaved).await;
        let connectors = (0..20).map(|n| at(&format!("x{n}"), &plain.url));
        server.put_alone(connectors.collect()).await;
        let (ours, theirs) = (server.database.clone(), another(&server.storage).await);
        let often = Settings {
            schedule: Schedule {
                interval: SECOND,
                history: 10,
            },
            ..settings()
        };
        let first = monitor(&ours, often);
        until("the first one checks", async || made(&ours) > 0).await;
        let second = monitor(&theirs, often);
        until("all are checked twice", async || made(&ours) > 50).await;
        assert_eq!(made(&theirs), 0);
        assert!(ours.check_counters().holds_lease() && !theirs.check_counters().holds_lease());
        // No connector was checked by two processes at once, or too early.
        let checks = server
            .rows("SELECT seq, checked_at FROM connector_check ORDER BY seq, checked_at")
            .await;
        let mut last = BTreeMap::new();
        for check in checks.lines() {
            let (seq, at) = check.split_once('|').unwrap();
            let at: i64 = at.parse().unwrap();
            if let Some(before) = last.insert(seq.to_owned(), at) {
                assert!(at - before >= 900_000, "{seq} after {} µs", at - before);
            }
        }
        first.stop().await;
        let (before, began) = (made(&ours), Instant::now());
        until("the second one continues", async || made(&theirs) > 20).await;
        assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
        assert_eq!(made(&ours), before);
        second.stop().await;
        // A lease whose holder died expires, and not later than its term.
        let third = another(&server.storage).await;
        third
            .take_lease(&mut candidate(often.lease))
            .await
            .unwrap()
            .unwrap();
        let (before, began) = (made(&theirs), Instant::now());
        let heir = monitor(&theirs, often);
        until("the heir checks", async || made(&theirs) > before).await;
        assert!(
            began.elapsed() > often.lease * 9 / 10,
            "{:?}",
            began.elapsed()
        );
        assert!(began.elapsed() < 6 * SECOND, "{:?}", began.elapsed());
        heir.stop().await;
    }

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
