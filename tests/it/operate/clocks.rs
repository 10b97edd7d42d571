//! Wall clocks that are set back, ahead, ahead and back, and to the limits of dates.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use chrono::DateTime;
use entity::{Outcome, Timestamp};
use personal_connectors::{
    clock::Clock,
    config::{CheckBounds, InspectionLimits},
    domain::inspection::{Inspection, Schedule},
    mcp::{guard::Guard, handshake::Inspector, memory::Memory},
    monitor::{Monitor, Settings},
    store::{Actor, Candidate, Retention, Tx},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    on_both, on_both_databases,
    support::{
        checks::{after, found},
        clients::subscribers::{CHANGED, Socket},
        connectors::{imports, official},
        harness::{NOW, TestDatabase, client, direct, rows, timestamp},
        mcp::{Plain, allowing, well_behaved},
        mutations::{CREATE, WRITE, draft, text, with},
        objects::{import, object},
        process::{Serving, program_on, run, token},
        waiting::within,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(8766);

/// Returns the path of libfaketime, on any of Debian's architectures.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let found = folders.map(library).find(|path| path.exists());
    found.expect("this test needs libfaketime: install it (Debian: apt-get install faketime)")
}

/// A wall clock for one test. Monotonic time is the system's.
struct Wall {
    library: PathBuf,
    folder: TempDir,
}

impl Wall {
    /// Starts with the system's time.
    fn new() -> Self {
        let wall = Self {
            library: library(),
            folder: TempDir::new().unwrap(),
        };
        wall.ahead(0);
        wall
    }

    /// Sets it this many seconds ahead of the system's.
    fn ahead(&self, seconds: i64) {
        // The file is replaced as a whole, because programs read it at any time.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// Sets it to a moment, in seconds since 1970.
    fn at(&self, seconds: i64) {
        self.ahead(seconds - Clock::system().now().0.div_euclid(1_000_000));
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("wall")
    }

    /// Makes a program use this time.
    fn tell(&self, mut command: Command) -> Command {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        command
    }
}

#[track_caller]
fn assert_calm(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

/// Runs a command under a clock to its end.
#[track_caller]
fn command(wall: &Wall, storage: &TestDatabase, arguments: &[&str]) -> String {
    let done = run(wall.tell(program_on(storage, arguments)));
    assert_calm(&done.err);
    done.ok()
}

/// Collects all texts of a response that are moments.
fn moments(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| moments(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            if name.ends_with("At") {
                found.push(text(value).to_owned());
            }
            moments(value, found);
        }),
        _ => {}
    }
}

async fn until(what: &str, is_so: impl AsyncFnMut() -> bool) {
    within(20 * SECOND, what, is_so).await;
}

/// Starts a service that checks its connectors each second, with a catalogue of one.
async fn checking(wall: &Wall, storage: &TestDatabase, flags: &[&str]) -> (Serving, Plain) {
    let plain = Plain::new(well_behaved).await;
    import(
        storage,
        &[object("checked", &json!({ "serverUrl": plain.url }))],
    );
    let catalog = wall.folder.path().join("catalog.json");
    fs::write(&catalog, "[]").unwrap();
    let mut command = program_on(storage, &["--mcp-allow", "127.0.0.0/8"]);
    command
        .args(["--check-interval", "1s"])
        .args(flags)
        .env("CONNECTORS_MONITOR", "true")
        .env("CONNECTORS_CATALOG", &catalog);
    (Serving::start(wall.tell(command)), plain)
}

fn looks(plain: &Plain) -> usize {
    let asked = plain.asked();
    asked.iter().filter(|asked| *asked == "initialize").count()
}

const EVERYTHING: &str = "{
    personalConnectors { nodes { id createdAt updatedAt health { outcome checkedAt uptime history { nodes { checkedAt \
    } } } } totalCount }
    personalConnectorChanges { nodes { occurredAt kind } }
}";

/// Makes a service run all of its functions.
async fn ask_everything(server: &Serving, token: &str, name: &str) {
    let made = server
        .data(
            token,
            "mutation($input: CreateCustomConnectorInput!) {
                createCustomConnector(input: $input) { personalConnector { id createdAt } userErrors { message } }
            }",
            json!({ "input": { "name": name, "serverUrl": "https://mcp.example.com", "idempotencyKey": name } }),
        )
        .await;
    assert_eq!(
        made["createCustomConnector"]["userErrors"],
        json!([]),
        "{made}"
    );
    let data = server.data(token, EVERYTHING, json!({})).await;
    let mut told = Vec::new();
    moments(&data, &mut told);
    assert!(told.len() > 2, "{data}");
    for moment in &told {
        assert!(DateTime::parse_from_rfc3339(moment).is_ok(), "{moment}");
    }
    // A time that was read is valid as an argument.
    let filter = "query($at: DateTime!) { personalConnectors(filter: { createdAt: { gte: $at } }) { totalCount } }";
    let asked = server.data(token, filter, json!({ "at": told[0] })).await;
    assert_eq!(asked.get("errors"), None, "{asked}");

    let mut socket = Socket::at(&server.url, token).await;
    socket.subscribe("1", CHANGED, json!({})).await;
    let events = client()
        .post(&server.url)
        .bearer_auth(token)
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .body(json!({ "query": CHANGED }).to_string());
    let events = events.send().await.unwrap();
    assert_eq!(events.status(), 200);
    for path in ["/metrics", "/health/ready", "/health/live", "/graphiql"] {
        let url = server.url.replace("/graphql", path);
        let response = client().get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
}

on_both_databases! {
    #![ignore = "needs libfaketime (Debian: faketime)"]

    /// The first and the last year that libraries can write.
    async fn dates_from_1970_to_9999_are_served(storage: TestDatabase) {
        let wall = Wall::new();
        for seconds in [-315_619_200, -1000, 253_402_300_800, 316_516_204_800] {
            wall.at(seconds);
            for arguments in [
                &["serve"][..],
                &["migrate"],
                &["token", "--user", "ann"],
                &["export"],
                &["import"],
                &["check"],
                &["check-database"],
            ] {
                let refused = run(wall.tell(program_on(&storage, arguments)));
                assert_calm(&refused.err);
                let told = refused.failed(1);
                assert!(
                    told.contains("the system's clock is before 1970 or after 9999: set it"),
                    "{told}"
                );
            }
        }
        for (name, seconds) in [("1970", 10), ("9999", 253_402_300_800 - 3600)] {
            wall.at(seconds);
            let secret = [
                "token",
                "--user",
                "ann",
                "--organization",
                "acme",
                "--scope",
                "connectors:write",
            ];
            let token = command(&wall, &storage, &secret);
            let (mut server, plain) = checking(&wall, &storage, &[]).await;
            ask_everything(&server, token.trim(), name).await;
            until(name, async || looks(&plain) > 2).await;
            server.process.signal("TERM");
            let done = server.process.wait();
            assert_calm(&done.err);
            done.ok();
            let exported = command(&wall, &storage, &["export", "--organization", "acme"]);
            let file = wall.folder.path().join("exported.jsonl");
            fs::write(&file, exported).unwrap();
            command(
                &wall,
                &storage,
                &["import", "--organization", "acme", file.to_str().unwrap()],
            );
            let checked = run(wall.tell(program_on(
                &storage,
                &["check", "--mcp-allow", "127.0.0.0/8"],
            )));
            assert_calm(&checked.err);
            assert!(checked.out.contains("checked"), "{}", checked.out);
        }
    }

    /// Setting the clock while the service runs affects only its timestamps.
    async fn a_clock_may_be_set_at_any_time(storage: TestDatabase) {
        let wall = Wall::new();
        let (mut server, plain) = checking(&wall, &storage, &["--rate-limit", "50"]).await;
        let checked_at = async || {
            rows(
                &storage.url,
                "SELECT checked_at FROM connector_health WHERE checked_at IS NOT NULL",
            )
            .await
        };
        until("the first check", async || looks(&plain) > 0).await;
        let hours = |hours: i64| hours * 3600;
        for (name, ahead) in [
            ("back an hour", hours(-1)),
            ("on a year", hours(8766)),
            ("and back", 0),
            ("before 1970", hours(-70 * 8766)),
            ("after 9999", hours(8000 * 8766)),
            ("and here", 0),
        ] {
            wall.ahead(ahead);
            if ahead.abs() > hours(9000) {
                // The service does not respond until the clock is right, and keeps running.
                let asked = server.ask("", "{ viewer { scopes } }", json!({})).await;
                assert_eq!(asked, None, "{name}");
                continue;
            }
            let secret = [
                "token",
                "--user",
                "ann",
                "--organization",
                "acme",
                "--scope",
                "connectors:write",
            ];
            let token = command(&wall, &storage, &secret);
            // The whole rate limit is available, whatever was used before.
            for _ in 0..20 {
                server
                    .data(token.trim(), "{ viewer { scopes } }", json!({}))
                    .await;
            }
            let (before, stamped) = (looks(&plain), checked_at().await);
            ask_everything(&server, token.trim(), name).await;
            until(name, async || {
                looks(&plain) > before + 1 && checked_at().await != stamped
            })
            .await;
        }
        server.process.signal("TERM");
        let done = server.process.wait();
        assert_calm(&done.err);
        done.ok();
    }
}

/// A token also ends by the wall clock, because timers stop while a machine sleeps.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime (Debian: faketime)"]
async fn what_is_open_ends_with_its_token_across_a_suspend() {
    let wall = Wall::new();
    let storage = TestDatabase::sqlite();
    let mut server = Serving::start(wall.tell(program_on(&storage, &[])));
    let mut socket = Socket::at(&server.url, &token("ann@acme", "connectors:write")).await;
    socket.subscribe("1", CHANGED, json!({})).await;
    let events = client()
        .post(&server.url)
        .bearer_auth(token("ann@acme", "connectors:write"))
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .body(json!({ "query": CHANGED }).to_string());
    let events = events.send().await.unwrap();
    wall.ahead(-3600);
    let closed = timeout(2 * SECOND, socket.closed()).await;
    assert!(closed.is_err(), "the token is still valid: {closed:?}");
    wall.ahead(2 * 3600);
    let (code, reason, _) = timeout(5 * SECOND, socket.closed()).await.unwrap();
    assert_eq!((code, reason.as_str()), (4403, "the token has expired"));
    assert!(timeout(5 * SECOND, events.bytes()).await.unwrap().is_ok());
    server.process.signal("TERM");
    let done = server.process.wait();
    assert_calm(&done.err);
    done.ok();
}

fn set(clock: &Clock, step: impl Fn(Timestamp, Duration) -> Timestamp, by: Duration) {
    clock.step(step(clock.now(), by));
}

on_both! {
    /// A dead holder's lease is taken over, whatever its end.
    async fn a_dead_holders_lease_is_taken_over(server: Server) {
        let ttl = SECOND * 6 / 10;
        let clock = Clock::fixed(timestamp(NOW));
        let pass = |time: Duration| clock.set(clock.now().saturating_add(time));
        let [mut dead, mut heir] = [(); 2].map(|()| Candidate::new(ttl, clock.clone()));
        let database = &server.database;
        let old = database.take_lease(&mut dead).await.unwrap().unwrap();
        // The database's clock was a year ahead.
        let on_a_year = format!(
            "UPDATE check_lease SET expires_at = expires_at + {}",
            YEAR.as_micros()
        );
        server.rows(&on_a_year).await;
        assert_eq!(database.take_lease(&mut heir).await.unwrap(), None);
        pass(ttl * 2 / 3);
        assert_eq!(database.take_lease(&mut heir).await.unwrap(), None);
        // A renewed lease is alive.
        assert_eq!(
            database.take_lease(&mut dead).await.unwrap(),
            Some(old.clone())
        );
        server.rows(&on_a_year).await;
        pass(ttl * 2 / 3);
        assert_eq!(database.take_lease(&mut heir).await.unwrap(), None);
        pass(ttl.saturating_sub(Duration::from_micros(1)));
        assert_eq!(database.take_lease(&mut heir).await.unwrap(), None);
        pass(Duration::from_micros(1));
        let new = database.take_lease(&mut heir).await.unwrap().unwrap();
        // The dead holder's results are dropped.
        let tx = Tx::begin(database, Actor::default(), timestamp(NOW))
            .await
            .unwrap();
        assert!(!tx.holds(&old).await.unwrap() && tx.holds(&new).await.unwrap());
        tx.rollback().await;
        assert_eq!(database.take_lease(&mut dead).await.unwrap(), None);
    }

    /// No check is later than its interval allows, although a clock was set, or another process's was.
    async fn checks_go_on_whatever_the_clock_says(server: Server) {
        let plain = Plain::new(well_behaved).await;
        server
            .rows("UPDATE connector_health SET next_check_at = NULL")
            .await;
        let row = entity::personal_connector::Model {
            server_url: Some(plain.url.clone()),
            ..official("a", "A")
        };
        server.insert(vec![row]).await;
        let clock = server.clock.clone();
        let guard = Guard::new(allowing(&["127.0.0.0/8"]));
        let limits = InspectionLimits::within(SECOND);
        let inspector = Inspector::new(guard, direct(), Memory::default(), limits, clock.clone());
        let schedule = Schedule {
            interval: HOUR,
            history: 100,
        };
        let bounds = CheckBounds {
            at_once: 8,
            by_host: 8,
        };
        let settings = Settings {
            bounds,
            schedule,
            lease: SECOND * 3,
        };
        let monitor = Monitor::start(server.database.clone(), inspector, settings, clock.clone());
        let sql = "SELECT checked_at AS n FROM connector_health WHERE next_check_at IS NOT NULL";
        let checked = async || server.rows(sql).await == format!("{}\n", clock.now().0);
        until("the first check", checked).await;
        let asked = looks(&plain);
        for (what, step) in [
            ("back an hour", -1),
            ("on a year", 8766),
            ("back a year", -8766),
        ] {
            clock.step(Timestamp(
                clock.now().0 + step * i64::try_from(HOUR.as_micros()).unwrap(),
            ));
            until(what, checked).await;
        }
        // Each change of the clock causes one check, and no more.
        tokio::time::sleep(3 * SECOND).await;
        assert_eq!(looks(&plain), asked + 3);
        // The next holder of the lease finds a check that another process postponed.
        monitor.stop().await;
        let far = clock.now().saturating_add(HOUR * 2);
        server
            .rows(&format!(
                "UPDATE connector_health SET next_check_at = {} WHERE next_check_at IS NOT NULL",
                far.0
            ))
            .await;
        let postponed = async |after| {
            server
                .database
                .postponed(clock.now(), schedule, after, 10)
                .await
                .unwrap()
        };
        assert_eq!(postponed(clock.now()).await.len(), 1);
        assert_eq!(postponed(schedule.latest(clock.now(), 0)).await.len(), 1);
        // A longer delay is allowed after failures.
        server
            .rows("UPDATE connector_health SET failures = 1 WHERE next_check_at IS NOT NULL")
            .await;
        assert_eq!(postponed(clock.now()).await, Vec::<i64>::new());
    }

    /// A check with a time in the future gives way to a check now.
    async fn a_check_from_the_future_is_not_believed(server: Server) {
        server.clear().await;
        let row = entity::personal_connector::Model {
            server_url: Some("https://mcp.example.com".to_owned()),
            ..official("a", "A")
        };
        let row = server.insert(vec![row]).await.remove(0);
        let at = |outcome, seconds| {
            (
                row.id.clone(),
                Inspection {
                    checked_at: after(seconds),
                    ..found(outcome)
                },
            )
        };
        assert_eq!(server.record(vec![at(Outcome::Open, 1)]).await, 1);
        for seconds in [1000, 1001, 1002, 1003] {
            assert_eq!(server.record(vec![at(Outcome::Open, seconds)]).await, 1);
        }
        let kept = async || {
            server
                .rows("SELECT checked_at FROM connector_check ORDER BY checked_at")
                .await
        };
        let stamps = |seconds: &[i64]| {
            let stamps: Vec<_> = seconds.iter().map(|s| after(*s).0.to_string()).collect();
            stamps.join("\n") + "\n"
        };
        assert_eq!(kept().await, stamps(&[1001, 1002, 1003]));
        server.clock.set(after(5));
        assert_eq!(server.record(vec![at(Outcome::Timeout, 4)]).await, 1);
        let query = "query($id: ID!) { personalConnector(id: $id) { health { outcome checkedAt uptime history { nodes \
                     { outcome } } } } }";
        let seen = server.fresh("", query, json!({ "id": row.id })).await;
        let health = json!({
            "outcome": "TIMEOUT", "checkedAt": after(4).to_string(), "uptime": 0.0,
            "history": { "nodes": [{ "outcome": "TIMEOUT" }] },
        });
        assert_eq!(seen["personalConnector"]["health"], health);
        // Later checks are stored as usual.
        for (seconds, kept) in [(3, 0), (4, 1), (5, 1)] {
            assert_eq!(
                server.record(vec![at(Outcome::Open, seconds)]).await,
                kept,
                "{seconds}"
            );
        }
        assert_eq!(kept().await, stamps(&[4, 5]));
        // The clock was set back during an inspection.
        let mut tx = Tx::begin(&server.database, Actor::default(), after(6))
            .await
            .unwrap();
        let (_, found) = at(Outcome::Timeout, 60);
        let check = personal_connectors::store::Check {
            target: personal_connectors::store::Target::of(&row),
            found,
        };
        assert_eq!(
            tx.record(
                &[check],
                Schedule {
                    interval: HOUR,
                    history: 3
                }
            )
            .await
            .unwrap(),
            1
        );
        tx.commit().await.unwrap();
        let last = server
            .rows("SELECT MAX(checked_at) AS at FROM connector_check")
            .await;
        let last: i64 = last.trim().parse().unwrap();
        assert!((after(6).0..after(7).0).contains(&last), "{last}");
    }

    /// An event in the future gets the age of the next one that is not.
    async fn an_event_from_the_future_keeps_nothing_behind_it(server: Server) {
        let now = timestamp(NOW).saturating_add(HOUR);
        server
            .rows("UPDATE connector_event SET occurred_at = 0")
            .await;
        let stamped = async |name: &str, count: usize, at: Timestamp| {
            let mut tx = Tx::begin(&server.database, Actor::default(), at)
                .await
                .unwrap();
            let rows = (0..count).map(|n| official(&format!("{name}{n}"), &format!("{name}{n}")));
            tx.insert_imports(imports(&rows.collect::<Vec<_>>()))
                .await
                .unwrap()
                .unwrap();
            tx.commit().await.unwrap();
        };
        let (future, old) = (now.saturating_add(YEAR), now.saturating_sub(3 * HOUR));
        let until = now.saturating_sub(2 * HOUR);
        let left = async || {
            while server.database.forget_events(until, now).await.unwrap() > 0 {}
            server
                .rows("SELECT COUNT(*) AS n FROM connector_event")
                .await
                .trim()
                .parse::<usize>()
                .unwrap()
        };
        // More than one pruning step, before any other event.
        stamped("a", 1500, future).await;
        stamped("b", 1, old).await;
        stamped("c", 2, future).await;
        assert_eq!(left().await, 2, "events without a later one count as new");
        stamped("d", 1, now.saturating_sub(HOUR)).await;
        stamped("e", 1, old).await;
        stamped("f", 1, future).await;
        assert_eq!(left().await, 5, "a stored event keeps all later ones");
        assert_eq!(server.database.forget_events(now, now).await.unwrap(), 4);
        assert_eq!(
            server.rows("SELECT forgotten FROM catalog_state").await,
            format!("{}\n", server.state().await - 1)
        );
    }

    /// A temporarily wrong clock expires no event.
    async fn a_moment_a_year_ahead_forgets_no_event(server: Server) {
        let events = async || {
            server
                .rows("SELECT COUNT(*) AS n FROM connector_event")
                .await
        };
        let clock = server.clock.clone();
        let (all, pass) = (events().await, |time| {
            clock.set(clock.now().saturating_add(time));
        });
        server
            .rows(&format!(
                "UPDATE connector_event SET occurred_at = {}",
                clock.now().saturating_add(2 * SECOND).0
            ))
            .await;
        let retention = Retention::start(server.database.clone(), SECOND, clock.clone());
        tokio::time::sleep(SECOND / 2).await;
        // The retention task has seen the clock run correctly by now.
        pass(2 * SECOND);
        tokio::time::sleep(SECOND * 3 / 2).await;
        assert_eq!(events().await, all);
        set(&clock, Timestamp::saturating_add, YEAR);
        tokio::time::sleep(SECOND * 5 / 2).await;
        assert_eq!(events().await, all);
        set(&clock, Timestamp::saturating_sub, YEAR);
        tokio::time::sleep(SECOND * 5 / 2).await;
        assert_eq!(events().await, all);
        pass(2 * SECOND);
        until("they are old", async || events().await == "0\n").await;
        drop(retention);
    }

    async fn a_moment_a_year_ahead_forgets_no_key(server: Server) {
        let (clock, begin) = (&server.clock, server.clock.now());
        let ann = server.short_token("ann@acme", WRITE, 3 * YEAR);
        let create = async |key: &str| {
            let input = with(draft(key, json!({})), json!({ "idempotencyKey": key }));
            server.change(&ann, CREATE, input).await["id"].clone()
        };
        let keys = async || {
            server
                .rows("SELECT key FROM idempotency_key ORDER BY key")
                .await
        };
        let first = create("first").await;
        // A wrong clock removes no key, even before the clock was seen to run correctly.
        set(clock, Timestamp::saturating_add, YEAR);
        assert_eq!(create("first").await, first);
        let ahead = create("ahead").await;
        set(clock, Timestamp::saturating_sub, YEAR);
        assert_eq!(create("first").await, first);
        clock.set(begin.saturating_add(HOUR));
        create("an hour later").await;
        set(clock, Timestamp::saturating_add, YEAR);
        assert_eq!(
            (create("first").await, create("ahead").await),
            (first.clone(), ahead.clone())
        );
        let later = create("later").await;
        set(clock, Timestamp::saturating_sub, YEAR);
        assert_eq!(create("first").await, first);
        // A key that was stamped a year ahead lives for a day after the correction was noticed.
        clock.set(begin.saturating_add(24 * HOUR));
        create("a day later").await;
        assert_eq!(
            (create("ahead").await, create("later").await),
            (ahead, later)
        );
        assert_eq!(keys().await, "a day later\nahead\nan hour later\nlater\n");
        clock.set(begin.saturating_add(25 * HOUR));
        create("the last").await;
        assert_eq!(keys().await, "a day later\nthe last\n");
    }
}
