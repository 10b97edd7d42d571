//! A read-only database: reads work, changes are refused, and readiness has the reason.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    on_both_databases,
    operate::outage::Cluster,
    support::{
        harness::{TestDatabase, rows},
        process::{Serving, program_on, run, token},
    },
};

const LIST: &str = "{ personalConnectors { totalCount nodes { id } } viewer { readOnly } }";
const CREATE: &str = "mutation($name: String!) {
    done: createCustomConnector(input: { name: $name, serverUrl: \"https://x.example.com/mcp\" }) {
        personalConnector { id }
    }
}";

/// Returns status and body of `/health/ready`.
async fn readiness(server: &Serving) -> (u16, Value) {
    let (status, text) = server.get("/health/ready").await;
    (status, serde_json::from_str(&text).unwrap())
}

/// Waits until the service is ready or not, and returns its response.
async fn until_ready(server: &Serving, ready: bool) -> Value {
    let began = Instant::now();
    loop {
        let (status, told) = readiness(server).await;
        if told["ready"] == ready {
            assert_eq!(status, if ready { 200 } else { 503 });
            return told;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates a connector. Returns its id, or the error's code.
async fn create(server: &Serving, name: &str) -> Result<String, String> {
    let ann = token("ann@acme", "connectors:write");
    let answer = server.ask(&ann, CREATE, json!({ "name": name })).await;
    let answer = answer.unwrap();
    match answer["data"]["done"]["personalConnector"]["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(answer["errors"][0]["extensions"]["code"].to_string()),
    }
}

async fn assert_reads_alone(server: &Serving, name: &str) {
    let listed = server.data("", LIST, json!({})).await;
    assert_eq!(listed["viewer"]["readOnly"], true);
    assert!(listed["personalConnectors"]["totalCount"].as_u64() > Some(3));
    let unavailable = Err("\"UNAVAILABLE\"".to_owned());
    assert_eq!(create(server, name).await, unavailable);
}

async fn assert_writes(server: &Serving, name: &str) {
    until_ready(server, true).await;
    create(server, name).await.unwrap();
    let listed = server.data("", LIST, json!({})).await;
    assert_eq!(listed["viewer"]["readOnly"], false);
}

/// Serves a database that cannot be written, with and without `--read-only`, until it can be.
async fn serves_until_writable(storage: &TestDatabase, make_writable: impl FnOnce()) {
    let server = Serving::start(program_on(storage, &["serve", "--read-only"]));
    assert_eq!(until_ready(&server, true).await["writable"], false);
    assert_reads_alone(&server, "one").await;
    server.stop().ok();

    let server = Serving::on(storage);
    let told = until_ready(&server, false).await;
    let state = (&told["database"], &told["writable"]);
    assert_eq!(state, (&json!(true), &json!(false)));
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("read-only"), "{told}");
    assert_reads_alone(&server, "two").await;
    make_writable();
    assert_writes(&server, "three").await;
    server.stop().ok();
}

on_both_databases! {
    async fn read_only_writes_nothing_and_is_ready(storage: TestDatabase) {
        let refused = run(program_on(&storage, &["serve", "--read-only"])).failed(1);
        assert!(refused.contains("database"), "{refused}");
        Serving::on(&storage).stop().ok();
        let everything = "SELECT state, forgotten, holder, epoch FROM catalog_state, check_lease";
        let before = rows(&storage.url, everything).await;
        let mut command = program_on(&storage, &["serve", "--read-only"]);
        command
            .env("CONNECTORS_MONITOR", "true")
            .env("CONNECTORS_EVENT_RETENTION", "1s");
        let server = Serving::start(command);
        assert_eq!(until_ready(&server, true).await["writable"], false);
        assert_reads_alone(&server, "one").await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let done = server.stop();
        assert!(
            !done.err.contains("WARN") && !done.err.contains("ERROR"),
            "{}",
            done.err
        );
        assert_eq!(rows(&storage.url, everything).await, before);
        // A replaced file is not the served one.
        if let Some(file) = storage.url.strip_prefix("sqlite://") {
            let server = Serving::start(program_on(&storage, &["serve", "--read-only"]));
            until_ready(&server, true).await;
            fs::rename(file, format!("{file}.old")).unwrap();
            fs::copy(format!("{file}.old"), file).unwrap();
            until_ready(&server, false).await;
            server.stop().ok();
        }
    }
}

/// A folder that can be made read-only: for root a separate file system, because root ignores permissions.
struct Folder {
    folder: TempDir,
    mounted: bool,
}

impl Folder {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]);
        let mounted = mount.arg(folder.path()).output();
        let mounted = mounted.is_ok_and(|done| done.status.success());
        Self { folder, mounted }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn set(&self, writable: bool) {
        if self.mounted {
            let how = if writable { "remount,rw" } else { "remount,ro" };
            let mut mount = Command::new("mount");
            assert!(
                mount
                    .args(["-o", how])
                    .arg(self.path())
                    .status()
                    .unwrap()
                    .success()
            );
            return;
        }
        let all: Vec<PathBuf> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let (file, folder) = if writable {
            (0o644, 0o755)
        } else {
            (0o444, 0o555)
        };
        for path in all {
            fs::set_permissions(path, fs::Permissions::from_mode(file)).unwrap();
        }
        fs::set_permissions(self.path(), fs::Permissions::from_mode(folder)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg(self.folder.path()).status();
        } else {
            self.set(true);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs another user than root, or root on Linux, to mount file systems"]
async fn a_read_only_file_is_read() {
    let folder = Folder::new();
    let url = format!("sqlite://{}/connectors.db", folder.path().display());
    let storage = TestDatabase::at(url);
    Serving::on(&storage).stop().ok();
    folder.set(false);
    assert!(
        folder.mounted || fs::write(folder.path().join("probe"), "").is_err(),
        "this test needs to mount a file system, or another user than root, who can write any file"
    );
    serves_until_writable(&storage, || folder.set(true)).await;
}

/// A probe does not use up the space that it tests for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root on Linux, to mount file systems"]
async fn little_space_stays_free() {
    let folder = Folder::new();
    assert!(
        folder.mounted,
        "this test needs to mount a file system: run it as root on Linux"
    );
    let url = format!("sqlite://{}/connectors.db", folder.path().display());
    let server = Serving::on(&TestDatabase::at(url));
    until_ready(&server, true).await;
    let filler = folder.path().join("filler");
    let size = |bytes: u64| 32 * 1024 * 1024 - bytes;
    fs::write(&filler, vec![1; usize::try_from(size(3 << 20)).unwrap()]).unwrap();
    let free = || {
        let told = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(folder.path())
            .output();
        let told = String::from_utf8(told.unwrap().stdout).unwrap();
        told.lines().nth(1).unwrap().trim().parse::<i64>().unwrap()
    };
    let before = free();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(
        before - free() < 150_000,
        "{} bytes are gone",
        before - free()
    );
    until_ready(&server, true).await;
    server.stop().ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn a_read_only_session_of_postgres_is_not_kept() {
    let storage = TestDatabase::postgres().await;
    let server = Serving::on(&storage);
    assert_writes(&server, "before").await;
    let name = storage.url.rsplit_once('/').unwrap().1;
    let alter = format!("ALTER DATABASE {name}");
    rows(
        &storage.url,
        &format!("{alter} SET default_transaction_read_only = on"),
    )
    .await;
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    rows(&storage.url, end).await;
    // Ended sessions are noticed first.
    let is_read_only = async || {
        let (_, told) = readiness(&server).await;
        told["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("read-only"))
    };
    let began = Instant::now();
    while !is_read_only().await {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_reads_alone(&server, "during").await;
    // A session's first transaction is read-only already.
    execute(
        &storage.url,
        &[
            "SET default_transaction_read_only = off",
            &format!("{alter} RESET default_transaction_read_only"),
        ],
    )
    .await;
    assert_writes(&server, "after").await;
    server.stop().ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn a_standby_is_read_and_promoted() {
    let primary = Cluster::start();
    Serving::on(&primary.database()).stop().ok();
    let cluster = primary.standby();
    let storage = cluster.database();

    serves_until_writable(&storage, || cluster.promote()).await;
}

/// Runs statements in one session, each in a transaction of its own.
async fn execute(url: &str, statements: &[&str]) {
    use sqlx::{Connection, Executor};

    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    for sql in statements {
        let sql = sqlx::AssertSqlSafe((*sql).to_owned());
        connection.execute(sql).await.unwrap();
    }
}
