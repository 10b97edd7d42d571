//! More load than the machine serves: what is too much is turned away, and the rest answered.
//!
//! `cargo test --release --test it storm -- --ignored --nocapture --test-threads 1` measures what this machine serves, asks ten
//! times as much of it for a minute, and prints what became of it.

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::Instant,
};

use crate::{
    harness::{TestDatabase, client},
    on_both_databases,
    process::{Serving, program_on, run, token},
    torture::objects,
};

/// Of all, and each time of another list: what is asked twice is counted once.
const QUERY: &str = "query($from: DateTime!) {
    personalConnectors(first: 20, filter: {createdAt: {gte: $from}}, orderBy: {field: CREATED_AT}) { totalCount
    nodes { id name description category status statusMessage replacedBy { id name } iconUrl }
    pageInfo { hasNextPage endCursor } facets { category { value count } status { value count } type { value count } } } }";

/// Stands for as many digits.
const COUNTER: &str = "NNNNNN";

/// An answer as it came.
struct Answer {
    status: u16,
    retry_after: bool,
    body: Vec<u8>,
}

/// A request that is sent again and again, by connections that are kept.
pub struct Load {
    address: String,
    /// With [`COUNTER`] somewhere.
    request: String,
    asked: AtomicU64,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
    /// As many as a client's system gladly opens.
    connections: Semaphore,
}

impl Load {
    pub fn on(server: &Serving, token: &str) -> Arc<Self> {
        let address = server.url.strip_prefix("http://").unwrap();
        let address = address.strip_suffix("/graphql").unwrap().to_owned();
        let from = format!("1970-01-01T00:00:00.{COUNTER}Z");
        let body = json!({ "query": QUERY, "variables": { "from": from } }).to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Arc::new(Self {
            address,
            request,
            asked: AtomicU64::new(0),
            idle: Mutex::default(),
            connections: Semaphore::new(2000),
        })
    }

    async fn ask(&self) -> io::Result<Answer> {
        let _connection = self.connections.acquire().await.unwrap();
        let idle = self.idle.lock().unwrap().pop();
        if let Some(mut stream) = idle
            && let Ok(answer) = self.ask_by(&mut stream).await
        {
            self.idle.lock().unwrap().push(stream);
            return Ok(answer);
        }
        // There was none, or it was idle for so long that it was closed.
        let mut stream = BufReader::new(TcpStream::connect(&self.address).await?);
        stream.get_ref().set_nodelay(true)?;
        let answer = self.ask_by(&mut stream).await?;
        self.idle.lock().unwrap().push(stream);
        Ok(answer)
    }

    async fn ask_by(&self, stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) % 1_000_000;
        let request = self.request.replace(COUNTER, &format!("{asked:06}"));
        stream.write_all(request.as_bytes()).await?;
        let (mut status, mut length, mut retry_after) = (0, 0, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once(": ") {
                None if line == "\r\n" => break,
                None => status = line.split(' ').nth(1).unwrap().parse().unwrap(),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("retry-after", value)) => retry_after = value == "1",
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        Ok(Answer {
            status,
            retry_after,
            body,
        })
    }
}

/// What became of requests: how many had each status, and how long those took.
#[derive(Default)]
pub struct Outcome(BTreeMap<u16, Vec<Duration>>);

impl Outcome {
    /// Counts an answer, which must be whole, or a refusal in the form that is promised.
    fn add(&mut self, answer: &Answer, took: Duration) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        if answer.status == 200 {
            assert_eq!(body.get("errors"), None, "{body}");
            assert!(body["data"]["personalConnectors"]["totalCount"].is_u64());
        } else {
            assert_eq!((answer.status, answer.retry_after), (503, true), "{body}");
            assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
            assert_eq!(body.get("data"), None, "{body}");
        }
        self.0.entry(answer.status).or_default().push(took);
    }

    pub fn count(&self, status: u16) -> usize {
        self.0.get(&status).map_or(0, Vec::len)
    }

    pub fn merge(&mut self, other: Self) {
        for (status, mut took) in other.0 {
            self.0.entry(status).or_default().append(&mut took);
        }
    }

    /// Times that so many per cent of a status's requests took at most.
    pub fn percentiles<const N: usize>(
        &mut self,
        status: u16,
        percents: [usize; N],
    ) -> [Duration; N] {
        let took = self.0.entry(status).or_default();
        took.sort_unstable();
        percents.map(|percent| {
            let at = (took.len() * percent / 100).min(took.len().saturating_sub(1));
            took.get(at).copied().unwrap_or_default()
        })
    }
}

/// As many clients, each of which asks again as soon as it is answered, while this holds of what they were answered.
pub async fn closed(
    load: &Arc<Load>,
    clients: usize,
    go_on: fn(&Outcome, Instant) -> bool,
) -> Outcome {
    let began = Instant::now();
    let all = Arc::new(Mutex::new(Outcome::default()));
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (load, all) = (load.clone(), all.clone());
        running.spawn(async move {
            while go_on(&all.lock().unwrap(), began) {
                let asked = Instant::now();
                let answer = load.ask().await.unwrap();
                all.lock().unwrap().add(&answer, asked.elapsed());
            }
        });
    }
    running.join_all().await;
    Arc::into_inner(all).unwrap().into_inner().unwrap()
}

pub async fn get(server: &Serving, path: &str) -> (u16, String) {
    let url = server.url.replace("/graphql", path);
    let response = client().get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A server with a catalogue in which a list is some work.
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
        let server = server(&storage, 500, &["--max-concurrency", "2", "--answer-cache-mb", "0"]);
        let load = Load::on(&server, &token("ann@acme", "connectors:write"));
        let mut outcome = Outcome::default();
        for _ in 0..20 {
            outcome.add(&load.ask().await.unwrap(), Duration::ZERO);
        }
        assert_eq!(outcome.count(200), 20, "nothing is turned away that comes in turn");
        let before = server.process.resident();
        let storm = closed(&load, 60, |outcome, began| {
            let took = began.elapsed();
            let both = outcome.count(200) > 50 && outcome.count(503) > 500;
            took < Duration::from_secs(2) || !both && took < Duration::from_mins(1)
        });
        let watch = async {
            let mut ready = false;
            for _ in 0..10 {
                // Whoever watches the service is let in.
                for path in ["/health/live", "/metrics"] {
                    assert_eq!(get(&server, path).await.0, 200, "{path}");
                }
                ready |= get(&server, "/health/ready").await.0 == 200;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(ready, "it is not ready because it is asked much");
        };
        let (storm, ()) = tokio::join!(storm, watch);
        outcome.merge(storm);
        assert!(outcome.count(200) > 50 && outcome.count(503) > 500, "{} {}", outcome.count(200), outcome.count(503));
        let after = server.process.resident();
        if let (Some(before), Some(after)) = (before, after) {
            assert!(after < before + 64 * 1024, "{before} KiB became {after}");
        }
        // At once as before.
        outcome.add(&load.ask().await.unwrap(), Duration::ZERO);
        let turned_away = outcome.count(503);
        let told = format!("graphql_errors_total{{code=\"UNAVAILABLE\"}} {turned_away}\n");
        let began = Instant::now();
        while !get(&server, "/metrics").await.1.contains(&told) {
            assert!(began.elapsed() < Duration::from_secs(10), "{told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // They have no line each.
        let log = server.stop().err;
        assert!(log.contains("turned away: too much is asked at once"), "{log}");
        assert!(log.lines().filter(|line| line.contains("turned away")).count() < turned_away / 10, "{log}");
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
    // Warm, and then as it serves one after the other, and as much as it can.
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
            // So much could not be even of clients: there are not so many ports.
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
    // Who was not answered yet hangs up.
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
