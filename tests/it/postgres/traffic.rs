//! Clients that write continuously, and record the time of each acknowledgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{
    harness::rows,
    process::{Serving, token},
};

pub const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    done: createCustomConnector(input: $input) { personalConnector { id } userErrors { message } }
}";

pub const LIST: &str = "query($from: DateTime!) {
    personalConnectors(first: 5, filter: { createdAt: { gte: $from } }) { totalCount nodes { id name } }
}";

/// The time after which a client retries without a response.
const CLIENTS_WAIT: Duration = Duration::from_secs(8);

/// Flags of a service with many writes.
pub const FLAGS: [&str; 2] = ["--max-per-user", "1000000"];

/// The clients of one server.
pub struct Traffic {
    pub server: Arc<Serving>,
    seen: Arc<Seen>,
    running: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// Each acknowledged name, with the time.
    made: Mutex<Vec<(Instant, String)>>,
    read: Mutex<Vec<Instant>>,
    /// The codes of errors, and a few responses without a documented code.
    errors: Mutex<BTreeMap<String, usize>>,
    wrong: Mutex<Vec<Value>>,
}

impl Traffic {
    /// Starts writers, and one reader.
    pub fn start(name: &str, server: Serving, writers: usize) -> Self {
        let server = Arc::new(server);
        let seen = Arc::new(Seen::default());
        let mut running = JoinSet::new();
        for writer in 0..writers {
            let name = format!("{name}{writer}");
            running.spawn(write(name, Arc::clone(&server), Arc::clone(&seen)));
        }
        running.spawn(read(Arc::clone(&server), Arc::clone(&seen)));
        Self {
            server,
            seen,
            running: Mutex::new(running),
        }
    }

    /// Returns whether a write was acknowledged since.
    pub fn has_written_since(&self, since: Instant) -> bool {
        let made = self.seen.made.lock().unwrap();
        made.last().is_some_and(|(at, _)| *at > since)
    }

    pub fn has_read_since(&self, since: Instant) -> bool {
        let read = self.seen.read.lock().unwrap();
        read.last().is_some_and(|at| *at > since)
    }

    pub fn written(&self) -> usize {
        self.seen.made.lock().unwrap().len()
    }

    /// Returns the longest time without an acknowledged write between two moments.
    pub fn largest_gap(&self, from: Instant, to: Instant) -> Duration {
        let made = self.seen.made.lock().unwrap();
        let inside = made.iter().map(|(at, _)| *at);
        let inside = inside.filter(|at| *at > from && *at < to).chain([to]);
        let mut last = from;
        let mut largest = Duration::ZERO;
        for at in inside {
            largest = largest.max(at - last);
            last = at;
        }
        largest
    }

    /// Returns the codes of the errors so far.
    pub fn errors(&self) -> BTreeMap<String, usize> {
        self.seen.errors.lock().unwrap().clone()
    }

    /// Stops the clients. Each error had a code that allows a retry.
    pub async fn stop(&self) {
        self.seen.over.store(true, Ordering::SeqCst);
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        running.join_all().await;
        assert_eq!(*self.seen.wrong.lock().unwrap(), Vec::<Value>::new());
    }

    /// Returns the acknowledged names.
    pub fn names(&self) -> BTreeSet<String> {
        let made = self.seen.made.lock().unwrap();
        made.iter().map(|(_, name)| name.clone()).collect()
    }

    /// Checks that all acknowledged connectors are stored once.
    pub async fn assert_kept(all: &[&Self], url: &str) {
        let stored = stored(url).await;
        let unique: BTreeSet<_> = stored.iter().cloned().collect();
        assert_eq!(unique.len(), stored.len(), "a connector is stored twice");
        for traffic in all {
            let names = traffic.names();
            let lost: Vec<_> = names.difference(&unique).collect();
            assert!(lost.is_empty(), "{lost:?}");
        }
    }
}

/// Returns the names of the stored custom connectors.
pub async fn stored(url: &str) -> Vec<String> {
    let custom = "SELECT name FROM personal_connector WHERE type = 'custom'";
    let stored = rows(url, custom).await;
    stored.lines().map(ToOwned::to_owned).collect()
}

/// Creates connectors one by one, repeating each until it is acknowledged.
async fn write(client: String, server: Arc<Serving>, seen: Arc<Seen>) {
    let token = token(&format!("{client}@acme"), "connectors:write");
    for number in 0.. {
        let name = format!("{client} {number}");
        let input =
            json!({ "name": name, "serverUrl": "https://x.example.com", "idempotencyKey": name });
        loop {
            if seen.over.load(Ordering::SeqCst) {
                return;
            }
            let variables = json!({ "input": input });
            if let Some(done) = seen.ask(&server, &token, CREATE, variables).await {
                if done["done"]["userErrors"] == json!([]) {
                    break;
                }
                seen.wrong.lock().unwrap().push(done);
                return;
            }
        }
        seen.made.lock().unwrap().push((Instant::now(), name));
    }
}

async fn read(server: Arc<Serving>, seen: Arc<Seen>) {
    let mut number = 0;
    while !seen.over.load(Ordering::SeqCst) {
        // A cached response would need no database.
        number += 1;
        let from = json!({ "from": format!("1970-01-01T00:00:00.{number:06}Z") });
        if seen.ask(&server, "", LIST, from).await.is_some() {
            seen.read.lock().unwrap().push(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Seen {
    /// Returns the data of a response; none for an error, or without a response.
    async fn ask(
        &self,
        server: &Serving,
        token: &str,
        query: &str,
        variables: Value,
    ) -> Option<Value> {
        let answer = timeout(CLIENTS_WAIT, server.ask(token, query, variables)).await;
        let error = match answer {
            Ok(Some(mut answer)) if answer.get("errors").is_none() => {
                return Some(answer["data"].take());
            }
            Ok(Some(answer)) => {
                let code = answer["errors"][0]["extensions"]["code"].as_str();
                let code = code.unwrap_or_default().to_owned();
                let mut wrong = self.wrong.lock().unwrap();
                if !["UNAVAILABLE", "TIMEOUT"].contains(&code.as_str()) && wrong.len() < 5 {
                    wrong.push(answer);
                }
                code
            }
            Ok(None) => "no answer".to_owned(),
            Err(_) => "late".to_owned(),
        };
        *self.errors.lock().unwrap().entry(error).or_default() += 1;
        // The delay that clients are asked for.
        tokio::time::sleep(Duration::from_millis(50)).await;
        None
    }
}
