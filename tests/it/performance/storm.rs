//! More load than the machine can serve: the surplus is rejected, and the rest is answered.
//!
//! `cargo test --release --test it storm -- --ignored --nocapture --test-threads 1` measures the capacity of this
//! machine, sends ten times as much for a minute, and prints the results.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    on_both_databases,
    support::{
        clients::load::{Load, Outcome, closed},
        harness::TestDatabase,
        objects::objects,
        process::{Serving, program_on, run, token},
    },
};

/// A server with a catalogue whose lists take some work.
fn server(storage: &TestDatabase, count: usize, flags: &[&str]) -> Serving {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("objects.jsonl");
    fs::write(&file, objects(count)).unwrap();
    let import = ["import", "--organization", "acme", file.to_str().unwrap()];
    run(program_on(storage, &import)).ok();
    Serving::start(program_on(storage, flags))
}

on_both_databases! {
    async fn what_is_too_much_is_turned_away(storage: TestDatabase) {
        let server = server(
            &storage,
            500,
            &["--max-concurrency", "2", "--answer-cache-mb", "0"],
        );
        let load = Load::on(&server, &token("ann@acme", "connectors:write"));
        let mut outcome = Outcome::default();
        for _ in 0..20 {
            outcome.add(&load.ask().await.unwrap(), Duration::ZERO);
        }
        assert_eq!(
            outcome.count(200),
            20,
            "nothing is turned away that comes in turn"
        );
        let before = server.process.resident();
        let storm = closed(&load, 60, |outcome, began| {
            let took = began.elapsed();
            let both = outcome.count(200) > 50 && outcome.count(503) > 500;
            took < Duration::from_secs(2) || !both && took < Duration::from_mins(1)
        });
        let watch = async {
            let mut ready = false;
            for _ in 0..10 {
                // Probes and metrics are always served.
                for path in ["/health/live", "/metrics"] {
                    assert_eq!(server.get(path).await.0, 200, "{path}");
                }
                ready |= server.get("/health/ready").await.0 == 200;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(ready, "it is not ready because it is asked much");
        };
        let (storm, ()) = tokio::join!(storm, watch);
        outcome.merge(storm);
        assert!(
            outcome.count(200) > 50 && outcome.count(503) > 500,
            "{} {}",
            outcome.count(200),
            outcome.count(503)
        );
        let after = server.process.resident();
        if let (Some(before), Some(after)) = (before, after) {
            assert!(after < before + 64 * 1024, "{before} KiB became {after}");
        }
        // Served at once, as before.
        outcome.add(&load.ask().await.unwrap(), Duration::ZERO);
        let turned_away = outcome.count(503);
        let told = format!("graphql_errors_total{{code=\"UNAVAILABLE\"}} {turned_away}\n");
        let began = Instant::now();
        while !server.get("/metrics").await.1.contains(&told) {
            assert!(began.elapsed() < Duration::from_secs(10), "{told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Rejections have no line each.
        let log = server.stop().err;
        assert!(
            log.contains("requests were rejected") && log.contains("the service is overloaded"),
            "{log}"
        );
        assert!(
            log.lines()
                .filter(|line| line.contains("requests were rejected"))
                .count()
                < turned_away / 10,
            "{log}"
        );
        assert_eq!(log.matches("status=503").count(), 0);
        assert_eq!(log.matches("status=200").count(), outcome.count(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and measures"]
async fn ten_times_too_much_sqlite() {
    ten_times_too_much("SQLite", TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and measures"]
async fn ten_times_too_much_postgres() {
    ten_times_too_much("PostgreSQL", TestDatabase::postgres().await).await;
}

async fn ten_times_too_much(name: &str, storage: TestDatabase) {
    const SERVED: Duration = Duration::from_secs(10);
    const STORM: Duration = Duration::from_mins(1);
    let server = server(&storage, 2000, &["--answer-cache-mb", "0"]);
    let load = Load::on(&server, &token("ann@acme", "connectors:write"));
    let for_ten_seconds = |_: &Outcome, began: Instant| began.elapsed() < SERVED;
    // After a warm-up: one request after the other, and then as many as it can.
    closed(&load, 32, |_, began| began.elapsed() < SERVED / 2).await;
    let mut alone = closed(&load, 1, for_ten_seconds).await;
    let mut most = closed(&load, 32, for_ten_seconds).await;
    let capacity = most.count(200) / usize::try_from(SERVED.as_secs()).unwrap();
    println!("{name}: a list with facets of 2,000 connectors");
    let quiet = alone.percentiles(200, [50, 99]);
    println!("one client: {:.1?} p50, {:.1?} p99", quiet[0], quiet[1]);
    let [p50, p99] = most.percentiles(200, [50, 99]);
    println!("32 clients: {capacity} requests/s, {p50:.1?} p50, {p99:.1?} p99");

    println!("  s      sent  200/s    503/s   p50 of 200   p99 of 200   p99 of 503     VmRSS");
    let all = Arc::new(Mutex::new(Outcome::default()));
    let mut under_way = JoinSet::new();
    let (mut sent, mut not_sent, mut total) = (0, 0, Outcome::default());
    let mut resident = Vec::new();
    let began = Instant::now();
    let mut told = 5;
    while began.elapsed() < STORM {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let micros = usize::try_from(began.elapsed().as_micros()).unwrap();
        for _ in sent + not_sent..10 * capacity * micros / 1_000_000 {
            // There are not enough ports for so many clients.
            if under_way.len() > 20_000 {
                not_sent += 1;
                continue;
            }
            sent += 1;
            let (load, all) = (load.clone(), all.clone());
            under_way.spawn(async move {
                let asked = Instant::now();
                let answer = load.ask().await.unwrap();
                all.lock().unwrap().add(&answer, asked.elapsed());
            });
        }
        while let Some(done) = under_way.try_join_next() {
            done.unwrap();
        }
        if began.elapsed().as_secs() >= told {
            let mut last = std::mem::take(&mut *all.lock().unwrap());
            let [p50, p99] = last.percentiles(200, [50, 99]);
            let [shed] = last.percentiles(503, [99]);
            let (done, away) = (last.count(200) / 5, last.count(503) / 5);
            let kib = server.process.resident().unwrap_or_default();
            println!(
                "{told:>3} {sent:>9} {done:>6} {away:>8} {p50:>12.1?} {p99:>12.1?} {shed:>12.1?} {kib:>5} KiB"
            );
            resident.push(kib);
            total.merge(last);
            told += 5;
        }
    }
    // Clients without an answer disconnect.
    let unanswered = under_way.len();
    under_way.shutdown().await;
    let stopped = Instant::now();
    let fresh = Load::on(&server, &token("ann@acme", "connectors:write"));
    let (mut after, mut back) = (Outcome::default(), None);
    while stopped.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        let answer = fresh.ask().await.unwrap();
        let took = asked.elapsed();
        if answer.status == 200 && took < 2 * quiet[1] {
            back.get_or_insert(stopped.elapsed());
        }
        if stopped.elapsed() > Duration::from_secs(1) {
            after.add(&answer, took);
        }
    }
    total.merge(std::mem::take(&mut *all.lock().unwrap()));
    let (done, away) = (total.count(200), total.count(503));
    println!(
        "sent {sent}, not sent {not_sent}; answered 200: {done}, 503: {away}, else 0; hung up {unanswered}"
    );
    let back = back.expect("it does not serve as before");
    let [p50, p99] = after.percentiles(200, [50, 99]);
    println!(
        "first answer as before {back:.1?} after the end; from a second on: {p50:.1?} p50, {p99:.1?} p99, {} 503",
        after.count(503)
    );
    assert!(done > 0 && away > done, "it was no storm");
    assert_eq!(after.count(503), 0);
    assert!(back < Duration::from_secs(1), "{back:?}");
    let (early, late) = (resident[1], *resident.last().unwrap());
    assert!(late < early * 5 / 4, "{early} KiB became {late}");
}
