//! The service as a process: probes, metrics, logs, and its stop.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::{
    on_both,
    support::{
        harness::{SECRET, Server, TestDatabase, client, rows},
        mutations::{CREATE, WRITE, draft},
    },
};

/// A process of the service, killed with the test.
struct Process {
    child: Child,
    url: String,
    metrics: String,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Process {
    fn start(database: &TestDatabase, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_personal-connectors"))
            .env_clear()
            .env("CONNECTORS_MONITOR", "false")
            .env("CONNECTORS_DRAIN_DELAY", "0s")
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .args(["--database-url", &database.url, "--log-format", "json"])
            .args(["--jwt-secret", SECRET])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |what: &str| {
            let line = lines.find(|line| line.as_ref().unwrap().starts_with(what));
            line.unwrap().unwrap()[what.len()..].to_owned()
        };
        let url = after("GraphQL at ");
        let metrics = after("Metrics at ");
        Self {
            child,
            url,
            metrics,
            log: Some(log),
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Returns the lines of the log after the process has ended.
    fn log(&mut self) -> Vec<Value> {
        let text = self.log.take().unwrap().join().unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
        lines.collect()
    }

    async fn post(&self, body: Value) -> (u16, Value) {
        let request = client()
            .post(&self.url)
            .header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_str(&response.text().await.unwrap()).unwrap(),
        )
    }

    fn address(&self) -> &str {
        self.url
            .trim_start_matches("http://")
            .trim_end_matches("/graphql")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(url: &str) -> (u16, String) {
    let response = client().get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn readiness(server: &Server) -> (u16, Value) {
    let (status, text) = get(&format!("{}/health/ready", server.url)).await;
    (status, serde_json::from_str(&text).unwrap())
}

/// Waits up to ten seconds for the expected response.
async fn eventually(server: &Server, expected: (u16, Value)) {
    let began = Instant::now();
    while readiness(server).await != expected {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            readiness(server).await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn run(server: &Server, sql: &'static str) {
    if server.storage.url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(&server.storage.url)
            .await
            .unwrap();
        connection.execute(sql).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(&server.storage.url)
            .await
            .unwrap();
        connection.execute(sql).await.unwrap();
    }
}

on_both! {
    async fn ready_is_who_can_answer(server: Server) {
        let told = |differs: Value| {
            let mut told = json!({
                "ready": true, "database": true, "migrated": true, "state": true, "writable": true, "sound": true,
                "keys": true,
                "catalogue": true,
            });
            told.as_object_mut()
                .unwrap()
                .extend(differs.as_object().unwrap().clone());
            told
        };
        eventually(&server, (200, told(json!({})))).await;
        run(&server, "DELETE FROM seaql_migrations").await;
        let reason = "the schema is not up to date: run migrate";
        eventually(
            &server,
            (
                503,
                told(json!({ "ready": false, "migrated": false, "reason": reason })),
            ),
        )
        .await;
        run(&server, "ALTER TABLE catalog_state RENAME TO gone; ALTER TABLE seaql_migrations RENAME TO gone_too").await;
        let reason = "the database does not answer: see the service's log";
        let differs = json!({ "ready": false, "database": false, "migrated": false, "state": false, "reason": reason });
        eventually(&server, (503, told(differs))).await;
        assert_eq!(
            get(&format!("{}/health/live", server.url)).await.0,
            200,
            "the process is alive without a database"
        );
    }

    async fn metrics_tell_of_requests(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Wiki", "PRIVATE").await;
        let (_, refused) = server
            .post(&ann, json!({ "query": "query Wrong { nope }" }).to_string())
            .await;
        assert_eq!(
            refused["errors"][0]["extensions"]["code"],
            "GRAPHQL_VALIDATION_FAILED"
        );
        server.post("bad", "{}").await;
        let expected = [
            r#"graphql_requests_total{type="mutation",operation="",status="200"} 1"#,
            r#"graphql_requests_total{type="query",operation="Wrong",status="200"} 1"#,
            r#"graphql_requests_total{type="",operation="",status="401"} 1"#,
            r#"graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"} 1"#,
            r#"graphql_errors_total{code="UNAUTHENTICATED"} 1"#,
            r#"graphql_request_duration_seconds_count{type="query"} 1"#,
            "process_start_time_seconds 1795334400.0",
            "database_connections{pool=",
            "database_connections_idle{pool=",
            &format!("catalogue_state {}", server.state().await),
        ];
        let began = Instant::now();
        loop {
            let (status, text) = get(&format!("{}/metrics", server.url)).await;
            assert_eq!(status, 200);
            let missing: Vec<_> = expected
                .iter()
                .filter(|line| !text.contains(**line))
                .collect();
            if missing.is_empty() {
                break;
            }
            // An account is closed, and the state polled, a moment later.
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{missing:?} is not in {text}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_one_line_that_tells_no_secret() {
    let database = TestDatabase::sqlite();
    let mut process = Process::start(&database, &[]);
    assert_eq!(get(&process.metrics).await.0, 200);
    assert_eq!(
        get(&process.url.replace("graphql", "metrics")).await.0,
        404,
        "metrics have their own listener"
    );
    assert_eq!(
        get(&process.url.replace("graphql", "health/live")).await.0,
        200
    );
    let query = "query Look($id: ID!) { personalConnector(id: $id) { id } }";
    let (status, _) = process
        .post(json!({ "query": query, "variables": { "id": "pcon_hush" } }))
        .await;
    assert_eq!(status, 200);
    let request = client()
        .post(&process.url)
        .header("content-type", "application/json");
    let request = request
        .header("x-request-id", "mine-1")
        .bearer_auth("hush.hush.hush");
    assert_eq!(request.body("{}").send().await.unwrap().status(), 401);
    process
        .post(json!({ "query": "query Bad\u{1b} { hush }" }))
        .await;
    let known = client().get(format!("{}?query={{__typename}}", process.url));
    let response = known.header("if-none-match", "*").send().await;
    assert_eq!(response.unwrap().status(), 304);
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    let log = process.log();
    assert!(
        !serde_json::to_string(&log).unwrap().contains("hush"),
        "{log:?}"
    );
    let mut lines: Vec<_> = log
        .iter()
        .filter(|line| line["target"] == "access")
        .collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let told = |line: &Value| {
        assert!(
            line["ms"].is_u64() && line["bytes"].is_u64() && line["whole"] == json!(true),
            "{line}"
        );
        assert!(
            line["request_id"].as_str().is_some_and(|id| !id.is_empty()),
            "{line}"
        );
        json!([
            line["operation"],
            line["kind"],
            line["status"],
            line["code"]
        ])
    };
    assert_eq!(lines[1]["request_id"], "mine-1");
    let lines: Vec<_> = lines.drain(..).map(told).collect();
    assert_eq!(
        json!(lines),
        json!([
            ["Look", "query", 200, null],
            ["", "", 401, "UNAUTHENTICATED"],
            ["", "", 200, "GRAPHQL_PARSE_FAILED"],
            ["", "query", 304, null]
        ])
    );
}

/// Takes a lock for which changes wait until it is released.
async fn lock(database: &TestDatabase) -> sqlx::SqliteConnection {
    let mut other = sqlx::SqliteConnection::connect(&database.url)
        .await
        .unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    other
}

fn create() -> Value {
    let input = draft("Wiki", json!({}));
    let query = format!(
        "mutation($input: CreateCustomConnectorInput!) {{ {CREATE}(input: $input) {{ userErrors {{ code }} }} }}"
    );
    json!({ "query": query, "variables": { "input": input } })
}

async fn send_create(url: String, token: String) -> Result<u16, reqwest::Error> {
    let request = client()
        .post(url)
        .header("content-type", "application/json")
        .bearer_auth(token);
    Ok(request
        .body(create().to_string())
        .send()
        .await?
        .status()
        .as_u16())
}

/// Starts a process with a change that waits for a lock.
async fn held_up(
    flags: &[&str],
) -> (
    TestDatabase,
    Process,
    sqlx::SqliteConnection,
    tokio::task::JoinHandle<Result<u16, reqwest::Error>>,
) {
    let database = TestDatabase::sqlite();
    let token = crate::support::process::token("ann@acme", "connectors:write");
    let process = Process::start(
        &database,
        &[
            &["--request-timeout", "30s", "--database-wait", "30s"],
            flags,
        ]
        .concat(),
    );
    let other = Box::pin(lock(&database)).await;
    let asked = tokio::spawn(send_create(process.url.clone(), token));
    tokio::time::sleep(Duration::from_millis(500)).await;
    (database, process, other, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_is_accounted_for() {
    let (database, mut process, mut other, asked) = held_up(&[]).await;
    asked.abort();
    let gone = r#"graphql_requests_total{type="mutation",operation="",status="499"} 1"#;
    let began = Instant::now();
    while !get(&process.metrics).await.1.contains(gone) {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The change continues without its client.
    other.execute("ROLLBACK").await.unwrap();
    let made = "SELECT COUNT(*) FROM personal_connector WHERE name = 'Wiki'";
    while rows(&database.url, made).await != "1\n" {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    let log = process.log();
    let line = log.iter().find(|line| line["target"] == "access").unwrap();
    let told = ["kind", "status", "code", "bytes", "whole"].map(|field| &line[field]);
    assert_eq!(json!(told), json!(["mutation", 499, null, 0, false]));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_under_way_are_finished_before_it_stops() {
    let (_database, mut process, mut other, asked) = held_up(&[]).await;
    process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        TcpStream::connect(process.address()).is_err(),
        "new connections are refused"
    );
    assert_eq!(
        get(&process.metrics).await.0,
        200,
        "metrics are served until the end"
    );
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), 200);
    assert_eq!(process.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_take_too_long_are_cut() {
    let (_database, mut process, _other, asked) = held_up(&["--shutdown-timeout", "500ms"]).await;
    let began = Instant::now();
    process.signal("TERM");
    assert!(asked.await.unwrap().is_err());
    assert_eq!(process.wait(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_it_at_once() {
    let (_database, mut process, _other, asked) = held_up(&[]).await;
    let began = Instant::now();
    process.signal("INT");
    tokio::time::sleep(Duration::from_millis(200)).await;
    process.signal("INT");
    assert_eq!(process.wait(), Some(130));
    assert!(asked.await.unwrap().is_err());
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let database = TestDatabase::sqlite();
    let mut process = Process::start(&database, &[]);
    let mut idle = TcpStream::connect(process.address()).unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert!(idle.read(&mut [0; 1000]).unwrap() > 0);
    let began = Instant::now();
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}
