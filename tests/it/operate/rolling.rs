//! Rolling restarts behind a load balancer.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    on_both_databases,
    support::{
        clients::subscribers::LONG,
        harness::{TestDatabase, client, rows},
        mutations::{CREATE, draft, mutation},
        process::{Process, Serving, program_on, token},
        waiting::within,
    },
};

/// The configuration file for operators, in which the test replaces the addresses.
const CONFIGURATION: &str = include_str!("../../../deploy/haproxy.cfg");
const REPLICAS: [(&str, &str); 3] = [
    ("one", "127.0.0.1:8081"),
    ("two", "127.0.0.1:8082"),
    ("three", "127.0.0.1:8083"),
];
const CLIENTS: usize = 3;

/// Returns an address that stays free until a process restarts: outside the system's range of ephemeral ports.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() % 10_000).unwrap();
    let ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).take(1000);
    let mut addresses = ports.map(|port| format!("127.0.0.1:{}", 20_000 + (base + port) % 10_000));
    let free = addresses.find(|address| TcpListener::bind(address).is_ok());
    free.unwrap()
}

/// A haproxy in front of the replicas, killed on drop.
struct Haproxy {
    child: Child,
    url: String,
    statistics: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Haproxy {
    async fn start(replicas: &[String; 3], option: &str) -> Self {
        let (address, statistics) = (free_address(), free_address());
        let mut text = CONFIGURATION.replace("127.0.0.1:8000", &address);
        for ((_, named), replica) in REPLICAS.iter().zip(replicas) {
            text = text.replace(named, replica);
        }
        let text = format!(
            "{text}    {option}\nlisten statistics\n    bind {statistics}\n    stats enable\n    stats uri /\n"
        );
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("haproxy.cfg");
        let log = folder.path().join("log");
        fs::write(&file, text).unwrap();
        let child = ["haproxy", "/usr/sbin/haproxy"].iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-db").arg("-f").arg(&file);
            let command = command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(fs::File::create(&log).unwrap()).spawn().ok()
        });
        let child = child.expect(
            "this test needs haproxy: install it (Debian: haproxy), or leave out the tests that need it with \
             --skip rolling_restarts",
        );
        let mut this = Self {
            child,
            url: format!("http://{address}/graphql"),
            statistics: format!("http://{statistics}/;csv"),
            log,
            _folder: folder,
        };
        for (name, _) in REPLICAS {
            this.until(name, "UP").await;
        }
        this
    }

    /// Waits until a replica has this status.
    async fn until(&mut self, name: &str, status: &str) {
        let has = async || {
            let has_ended = self.child.try_wait().unwrap().is_some();
            assert!(!has_ended, "{}", fs::read_to_string(&self.log).unwrap());
            let row = self.row(name).await;
            row.is_some_and(|row| row[17] == status)
        };
        within(LONG, &format!("{name} is {status}"), has).await;
    }

    /// Returns the statistics of a replica, or of all (haproxy's management guide, section 9.1).
    async fn row(&self, name: &str) -> Option<Vec<String>> {
        let response = client().get(&self.statistics).send().await.ok()?;
        let table = response.text().await.unwrap();
        let start = format!("replicas,{name},");
        let line = table.lines().find(|line| line.starts_with(&start))?;
        Some(line.split(',').map(ToOwned::to_owned).collect())
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a replica that haproxy reaches at an address or a Unix socket, and the test at another port.
fn replica(storage: &TestDatabase, address: &str) -> Serving {
    let mut command = program_on(storage, &["--max-per-user", "1000000"]);
    command.env_remove("CONNECTORS_DRAIN_DELAY");
    command.env("CONNECTORS_LISTEN", format!("127.0.0.1:0,{address}"));
    Serving::up(Process::spawn(&mut command))
}

/// Sends an operation, and fails with the error.
async fn ask(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    body: Value,
) -> Result<Value, String> {
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .bearer_auth(token)
        .body(body.to_string());
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let text = response.text().await;
    let text = text.map_err(|error| format!("{error:?}"))?;
    let answer = serde_json::from_str::<Value>(&text).unwrap_or_default();
    if status != 200 || answer.get("errors").is_some() || answer.get("data").is_none() {
        return Err(format!("{status} {text}"));
    }
    Ok(answer)
}

/// Reads and writes repeatedly. Returns the number of acknowledged changes, or the first failure.
async fn load(
    url: String,
    token: String,
    name: String,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
) -> Result<usize, String> {
    // Each has its own client, so that it reuses connections if possible.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut made = 0;
    while !over.load(Ordering::Relaxed) {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let query =
            format!("query Q{number} {{ personalConnectors(first: 3) {{ nodes {{ id }} }} }}");
        ask(&client, &url, &token, json!({ "query": query })).await?;
        let input = draft(&format!("Roll {name} {made}"), json!({}));
        let change = json!({ "query": mutation(CREATE), "variables": { "input": input } });
        let answer = ask(&client, &url, &token, change).await?;
        let refused = &answer["data"][CREATE]["userErrors"];
        if *refused != json!([]) {
            return Err(refused.to_string());
        }
        made += 1;
    }
    Ok(made)
}

/// Restarts all replicas one after another under load, and checks that no request fails.
async fn restart_all(storage: &TestDatabase, addresses: [String; 3]) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut replicas = Vec::new();
    for address in &addresses {
        replicas.push(replica(storage, address));
    }
    let mut kept = Haproxy::start(&addresses, "option http-keep-alive").await;
    let mut closed = Haproxy::start(&addresses, "option httpclose").await;
    let ann = token("ann@acme", "connectors:write");
    let (asked, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        for (mode, haproxy) in [("kept", &kept), ("closed", &closed)] {
            let name = format!("{mode} {number}");
            clients.spawn(load(
                haproxy.url.clone(),
                ann.clone(),
                name,
                asked.clone(),
                over.clone(),
            ));
        }
    }
    for ((name, _), (address, serving)) in REPLICAS.iter().zip(addresses.iter().zip(&mut replicas))
    {
        let began = Instant::now();
        serving.process.signal("TERM");
        let done = tokio::task::block_in_place(|| serving.process.wait());
        assert!(
            began.elapsed() >= Duration::from_secs(5),
            "it stops without a drain delay"
        );
        done.ok();
        *serving = replica(storage, address);
        for haproxy in [&mut kept, &mut closed] {
            haproxy.until(name, "UP").await;
        }
        // The new replica gets requests.
        let served = async || {
            serving
                .get("/metrics")
                .await
                .1
                .contains("graphql_requests_total{")
        };
        within(LONG, "the new process serves", served).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut made = 0;
    for result in clients.join_all().await {
        made += result.unwrap();
    }
    assert!(made > 100, "{made} changes are no load");
    // Haproxy had to correct nothing either: no connection or response failed, and nothing was sent twice.
    for haproxy in [&kept, &closed] {
        let row = haproxy.row("BACKEND").await.unwrap();
        assert_eq!(row[13..17], ["0", "0", "0", "0"], "{row:?}");
    }
    let count = "SELECT COUNT(*) FROM personal_connector WHERE name LIKE 'Roll %'";
    assert_eq!(rows(&storage.url, count).await, format!("{made}\n"));
}

on_both_databases! {
    #![ignore = "needs haproxy"]

    async fn rolling_restarts_fail_no_request(storage: TestDatabase) {
        restart_all(&storage, REPLICAS.map(|_| free_address())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy"]
async fn rolling_restarts_over_unix_sockets_fail_no_request() {
    let folder = TempDir::new().unwrap();
    let path = |(name, _)| format!("{}/{name}.sock", folder.path().display());
    restart_all(&TestDatabase::sqlite(), REPLICAS.map(path)).await;
}
