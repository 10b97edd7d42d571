//! Acknowledged writes are kept: through kills, full disks, failing statements, power failures, lost files and frozen
//! replicas.
//!
//! The normal test run has few rounds, and `script/torture` has long ones.

mod disks;
mod full_disk;
mod kills;
mod lost_file;
mod power_cuts;
mod replicas;
mod rollbacks;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    clients::writer::{CREATE, DELETE, Recording, SET_STATUS, Sent, UPDATE, Writer, sent},
    harness::{TestDatabase, rows, timestamp},
    invariants::assert_whole,
    mcp::{Plain, json_answer, response, well_behaved},
    objects::{import, object, objects},
    process::{Serving, program_on, token},
    random::{noise, random},
    waiting::within,
};

/// The number of rounds of a long run.
const ROUNDS: &str = "TORTURE_ROUNDS";

fn rounds(short: usize) -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests have no other configuration"
    )]
    std::env::var(ROUNDS).map_or(short, |rounds| rounds.parse().unwrap())
}

/// A client that checks one connector, and remembers the last acknowledged check.
struct Checker {
    token: String,
    id: &'static str,
    acknowledged: usize,
    last: Option<String>,
    recording: Option<Recording>,
    history: Vec<(u64, String)>,
}

const CHECK: &str = "mutation($id: ID!) {
    done: checkConnector(input: { id: $id }) { inspection { checkedAt outcome } userErrors { code } }
}";

impl Checker {
    async fn work(&mut self, server: &Serving, going: &AtomicBool) {
        while going.load(Ordering::Relaxed)
            && self.check(server).await != Sent::Unanswered
            && send_taken(server, &self.token).await != Sent::Unanswered
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn check(&mut self, server: &Serving) -> Sent {
        let answer = server.ask(&self.token, CHECK, json!({ "id": self.id }));
        let answer = match sent(answer.await) {
            Ok(answer) => answer,
            Err(sent) => return sent,
        };
        let found = &answer["done"]["inspection"];
        assert_eq!(found["outcome"], "OPEN", "{answer}");
        let at = found["checkedAt"].as_str().unwrap().to_owned();
        self.acknowledged += 1;
        if let Some(recording) = &self.recording {
            let length = std::fs::metadata(recording).unwrap().len();
            self.history.push((length, at.clone()));
        }
        self.last = Some(at);
        Sent::Acknowledged
    }

    async fn settle(&self, storage: &TestDatabase) {
        if let Some(last) = &self.last {
            self.assert_kept(storage, last).await;
        }
    }

    /// Checks that the check at this time, or a later one, is stored.
    async fn assert_kept(&self, storage: &TestDatabase, at: &str) {
        let kept = format!(
            "SELECT checked_at FROM connector_health JOIN personal_connector USING (seq) WHERE personal_connector.id = \
             '{}'",
            self.id
        );
        let kept = rows(&storage.url, &kept).await;
        let kept: i64 = kept.trim().parse().unwrap();
        assert!(
            kept >= timestamp(at).0,
            "the check at {at} was acknowledged and not stored"
        );
    }
}

/// Several clients: writers, a checker, and a reader.
struct Crew {
    writers: Vec<Writer>,
    checker: Checker,
    reads: usize,
}

impl Crew {
    /// Imports connectors with a server: one for the checker, and some for the monitor.
    fn new(storage: &TestDatabase, mcp: &Plain) -> Self {
        let checked = |id| object(id, &json!({ "serverUrl": mcp.url }));
        import(storage, &["checked", "m1", "m2", "m3"].map(checked));
        Self {
            writers: ["bob", "cat", "eve"].map(Writer::new).into(),
            checker: Checker {
                token: token("dan@acme", "connectors:write"),
                id: "pcon_checked",
                acknowledged: 0,
                last: None,
                recording: None,
                history: Vec::new(),
            },
            reads: 0,
        }
    }

    /// Runs all clients until `until` is done, and lets them finish their requests.
    async fn work<T>(&mut self, server: &Serving, until: impl Future<Output = T>) -> T {
        let going = AtomicBool::new(true);
        let writers = join_all(
            self.writers
                .iter_mut()
                .map(|writer| writer.work(server, &going)),
        );
        let end = async {
            let done = until.await;
            going.store(false, Ordering::Relaxed);
            done
        };
        let reads = read(server, &going);
        let (_, (), reads, done) =
            tokio::join!(writers, self.checker.work(server, &going), reads, end);
        self.reads += reads;
        done
    }

    async fn settle(&mut self, storage: &TestDatabase) {
        assert_whole(storage).await;
        for writer in &mut self.writers {
            writer.settle(storage).await;
        }
        self.checker.settle(storage).await;
    }

    fn acknowledged(&self) -> usize {
        let writes: usize = self.writers.iter().map(|writer| writer.acknowledged).sum();
        writes + self.checker.acknowledged
    }

    fn refused(&self) -> usize {
        self.writers.iter().map(|writer| writer.refused).sum()
    }
}

/// Creates a connector with a taken name, so that the service rolls its transaction back.
async fn send_taken(server: &Serving, token: &str) -> Sent {
    let input = json!({ "name": "checked", "visibility": "ORGANIZATION", "serverUrl": "http://127.0.0.1:1" });
    let answer = server.ask(token, CREATE, json!({ "input": input }));
    match sent(answer.await) {
        Ok(answer) => {
            assert_eq!(answer["done"]["userErrors"], json!([{ "code": "TAKEN" }]));
            Sent::Acknowledged
        }
        Err(sent) => sent,
    }
}

/// Reads until `going` is false or the server is gone. No read fails.
async fn read(server: &Serving, going: &AtomicBool) -> usize {
    const LIST: &str = "{ personalConnectors(first: 3) { totalCount nodes { id } } }";
    let mut reads = 0;
    while going.load(Ordering::Relaxed) {
        let Some(answer) = server.ask("", LIST, json!({})).await else {
            break;
        };
        assert_eq!(answer.get("errors"), None, "a read failed: {answer}");
        reads += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reads
}

/// An MCP server whose tools change with each request.
async fn changing_tools() -> Plain {
    Plain::new(|request| {
        if request.asks() != "tools/list" {
            return well_behaved(request);
        }
        let version = random(1_000_000_000);
        let tool = |n| {
            json!({ "name": format!("tool{version}x{n}"), "description": format!("Tool of version{version}."),
                "inputSchema": { "type": "object" } })
        };
        let tools: Vec<_> = (0..=random(5)).map(tool).collect();
        json_answer(&response(request, &json!({ "tools": tools })))
    })
    .await
}

/// Returns the service with a monitor that checks every second.
fn checking(storage: &TestDatabase) -> Command {
    let mut command = program_on(storage, &[]);
    command
        .args(["--check-interval", "1s", "--mcp-allow", "127.0.0.0/8"])
        .args(["--inspection-rate", "0", "--answer-cache-mb", "0"])
        .env("CONNECTORS_MONITOR", "true");
    command
}

async fn is_ready(server: &Serving) -> bool {
    server.get("/health/ready").await.0 == 200
}
