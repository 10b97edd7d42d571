//! PostgreSQL stops and restarts while the service reads and writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    clients::subscribers::Socket,
    harness::{TestDatabase, rows},
    invariants::assert_whole,
    process::{Serving, program_on, token},
};

/// A time limit that is much longer than anything here takes.
const LONG: Duration = Duration::from_mins(2);

const LISTS: [&str; 2] = [
    "{ personalConnectors(first: 5) { nodes { id } } }",
    "{ personalConnectors(first: 5) { totalCount nodes { id } } }",
];
const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    done: createCustomConnector(input: $input) { personalConnector { id } userErrors { message } }
}";

/// A subscription that does not select the connector, because an unreachable database cannot return it.
const HEARD: &str = "subscription($after: String) { personalConnectorChanged(after: $after) { personalConnectorId } }";

/// The errors that clients may get without a database: each code, with the whole message.
const CLEAR: [(&str, &str); 7] = [
    (
        "UNAVAILABLE",
        "there is no connection to the database: try again in a while",
    ),
    (
        "UNAVAILABLE",
        "the service is overloaded: try again in a while",
    ),
    (
        "TIMEOUT",
        "the database took too long to answer: try again in a while",
    ),
    (
        "TIMEOUT",
        "the response took too long: ask for fewer items or fields, or try again",
    ),
    (
        "TIMEOUT",
        "the response took too long: the change may have been made or not. Read the connector before you try again",
    ),
    (
        "TIMEOUT",
        "another session holds the database's lock: try again in a while",
    ),
    (
        "UNAVAILABLE",
        "the connection to the database broke at the end of the change: it may have been made or not. Read the \
         connector before you try again; a create with an idempotencyKey can be sent again",
    ),
];

/// A PostgreSQL server for one test, on a port of its own.
pub struct Cluster {
    programs: PathBuf,
    data: TempDir,
    port: u16,
}

impl Cluster {
    /// Starts it. Panics without PostgreSQL's programs, so that no test passes without running.
    pub fn start() -> Self {
        let mut versions: Vec<_> = ["/usr/lib/postgresql", "/opt/homebrew/opt"]
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .map(|version| version.unwrap().path().join("bin"))
            .filter(|programs| programs.join("pg_ctl").exists())
            .collect();
        versions.sort();
        let programs = versions
            .pop()
            .expect("this test needs PostgreSQL's programs: install them (Debian: postgresql)");
        let (cluster, listener) = Self::of(programs);
        run(cluster
            .program("initdb")
            .args(["--auth", "trust", "--username", "postgres"]));
        drop(listener);
        cluster.go_on();
        cluster
    }

    /// Creates a folder for its data, and reserves a port while the listener is held.
    fn of(programs: PathBuf) -> (Self, std::net::TcpListener) {
        let data = TempDir::new().unwrap();
        let owners = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(data.path(), owners).unwrap();
        if is_root() {
            let to = ["postgres".as_ref(), data.path().as_os_str()];
            run(Command::new("chown").args(to));
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cluster = Self {
            programs,
            data,
            port,
        };
        (cluster, listener)
    }

    /// Starts a standby that streams from it.
    pub fn standby(&self) -> Self {
        let (standby, listener) = Self::of(self.programs.clone());
        let from = self.database().url.clone();
        run(standby.program("pg_basebackup").args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--dbname",
            &from,
        ]));
        drop(listener);
        standby.go_on();
        standby
    }

    pub fn promote(&self) {
        run(self.program("pg_ctl").args(["-w", "promote"]));
    }

    /// Returns one of its programs, run on its data. PostgreSQL refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.path()).current_dir("/");
        command
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    fn go_on(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={}",
            self.port,
            self.path().display()
        );
        let log = self.path().join("log");
        let mut start = self.program("pg_ctl");
        start
            .args(["-w", "-o", &options, "-l"])
            .arg(&log)
            .arg("start");
        let null = std::process::Stdio::null;
        let status = start.stdout(null()).stderr(null()).status().unwrap();
        assert!(
            status.success(),
            "{}",
            std::fs::read_to_string(log).unwrap()
        );
    }

    pub fn stop(&self, mode: &str) {
        run(self.program("pg_ctl").args(["-w", "-m", mode, "stop"]));
    }

    /// Sends SIGKILL or SIGSTOP to the server and all its processes at once.
    pub fn signal(&self, name: &str) {
        let file = std::fs::read_to_string(self.path().join("postmaster.pid")).unwrap();
        let server = file.lines().next().unwrap().to_owned();
        let children = Command::new("pgrep").args(["-P", &server]).output();
        let children = String::from_utf8(children.unwrap().stdout).unwrap();
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &server]).args(children.lines());
        // A child may have ended meanwhile.
        let _ = kill.stderr(std::process::Stdio::null()).status().unwrap();
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Adds lines to its configuration and reloads it.
    pub fn configure(&self, lines: &str) {
        use std::io::Write;

        let file = self.path().join("postgresql.auto.conf");
        let mut file = std::fs::File::options().append(true).open(file).unwrap();
        writeln!(file, "{lines}").unwrap();
        run(self.program("pg_ctl").arg("reload"));
    }

    pub fn database(&self) -> TestDatabase {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        TestDatabase::at(url)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The server may be frozen or stopped.
        if self.path().join("postmaster.pid").exists() {
            self.signal("CONT");
        }
        let stop = ["-m", "immediate", "stop"];
        let _ = self.program("pg_ctl").args(stop).output();
    }
}

/// The output is discarded, because a server that the program starts would keep a pipe open.
pub fn run(command: &mut Command) {
    let null = std::process::Stdio::null;
    let status = command.stdout(null()).stderr(null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// The results of all requests.
#[derive(Default)]
struct Seen {
    /// The acknowledged id of each name.
    made: BTreeMap<String, String>,
    read: usize,
    /// The number of errors by code, for reads and for writes.
    errors: [BTreeMap<String, usize>; 2],
}

struct Load {
    server: Serving,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

impl Load {
    /// Returns the data of a response, or none for an error, which must be one of the clear ones.
    async fn ask(&self, token: &str, query: &str, variables: Value) -> Option<Value> {
        let answer = self.server.ask(token, query, variables).await;
        let mut answer = answer.expect("the service is gone");
        let Some(error) = answer["errors"].get(0) else {
            return Some(answer["data"].take());
        };
        let (code, message) = (&error["extensions"]["code"], &error["message"]);
        assert!(
            CLEAR
                .iter()
                .any(|clear| (code, message) == (&json!(clear.0), &json!(clear.1))),
            "{answer}"
        );
        let code = code.as_str().unwrap().to_owned();
        let of = usize::from(query == CREATE);
        *self.seen.lock().unwrap().errors[of]
            .entry(code)
            .or_default() += 1;
        // The delay before a client's retry.
        tokio::time::sleep(Duration::from_millis(50)).await;
        None
    }

    /// Creates connectors one by one, repeating each until it is acknowledged.
    async fn write(&self, writer: &str) {
        let token = token(&format!("{writer}@acme"), "connectors:write");
        for number in 0.. {
            let name = format!("{writer} {number}");
            let input = json!({ "name": name, "serverUrl": "https://x.example.com", "idempotencyKey": name });
            let done = loop {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                let variables = json!({ "input": input });
                if let Some(mut data) = self.ask(&token, CREATE, variables).await {
                    break data["done"].take();
                }
            };
            assert_eq!(done["userErrors"], json!([]), "{name}");
            let id = done["personalConnector"]["id"].as_str().unwrap().to_owned();
            self.seen.lock().unwrap().made.insert(name, id);
        }
    }

    async fn read(&self) {
        while !self.over.load(Ordering::Relaxed) {
            for list in LISTS {
                if self.ask("", list, json!({})).await.is_some() {
                    self.seen.lock().unwrap().read += 1;
                }
            }
        }
    }

    /// Waits until a condition on the results holds.
    async fn until(&self, what: &str, is: impl Fn(&Seen) -> bool) {
        let began = Instant::now();
        while !is(&self.seen.lock().unwrap()) {
            assert!(began.elapsed() < LONG, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn check(&self, path: &str) -> u16 {
        self.server.get(path).await.0
    }

    async fn until_ready_is(&self, status: u16) {
        let began = Instant::now();
        while self.check("/health/ready").await != status {
            assert!(began.elapsed() < LONG, "readiness is never {status}");
            assert_eq!(self.check("/health/live").await, 200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL's programs (Debian: postgresql)"]
async fn a_stopped_database_is_waited_for_and_loses_nothing() {
    const WRITERS: [&str; 3] = ["ann", "bob", "cat"];
    let cluster = Cluster::start();
    let storage = cluster.database();
    let flags = ["--database-wait", "1s", "--max-per-user", "1000000"];
    let load = Arc::new(Load {
        server: Serving::start(program_on(&storage, &flags)),
        seen: Mutex::default(),
        over: AtomicBool::new(false),
    });
    let replica = Serving::start(program_on(&storage, &flags));
    let cursor = load.server.data(
        "",
        "{ personalConnectors(first: 0) { changesCursor } }",
        json!({}),
    );
    let cursor = cursor.await["personalConnectors"]["changesCursor"].take();
    let heard = [&load.server, &replica].map(|server| listen(server.url.clone(), cursor.clone()));
    let mut running = tokio::task::JoinSet::new();
    for writer in WRITERS {
        let load = load.clone();
        running.spawn(async move { load.write(writer).await });
    }
    for _ in 0..3 {
        let load = load.clone();
        running.spawn(async move { load.read().await });
    }
    load.until_ready_is(200).await;
    for mode in ["fast", "immediate"] {
        let (made, read) = {
            let seen = load.seen.lock().unwrap();
            (seen.made.len() + 20, seen.read + 20)
        };
        let more = |seen: &Seen| seen.made.len() > made && seen.read > read;
        load.until("nothing is done", more).await;
        cluster.stop(mode);
        load.seen.lock().unwrap().errors = Default::default();
        let told = |seen: &Seen| {
            seen.errors
                .iter()
                .all(|errors| errors.contains_key("UNAVAILABLE"))
        };
        load.until("it is not said", told).await;
        load.until_ready_is(503).await;
        assert_eq!(load.check("/health/live").await, 200);
        assert_eq!(load.check("/health/ready").await, 503);
        cluster.go_on();
        load.until_ready_is(200).await;
    }
    let made = load.seen.lock().unwrap().made.len() + 20;
    load.until("nothing is done", |seen| seen.made.len() > made)
        .await;
    load.over.store(true, Ordering::Relaxed);
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }

    assert_whole(&storage).await;
    // Each acknowledged connector exists once. An unacknowledged one may exist, at most one for each writer.
    let custom = "SELECT name, id FROM personal_connector WHERE type = 'custom' ORDER BY seq";
    let found = rows(&storage.url, custom).await;
    let found: Vec<_> = found
        .lines()
        .map(|line| line.split_once('|').unwrap())
        .collect();
    let names: BTreeSet<_> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), found.len(), "a connector is stored twice");
    let found: BTreeMap<_, _> = found.into_iter().collect();
    let made = std::mem::take(&mut load.seen.lock().unwrap().made);
    for (name, id) in &made {
        assert_eq!(found.get(name.as_str()), Some(&id.as_str()), "{name}");
    }
    assert!(found.len() <= made.len() + WRITERS.len());

    // Each subscriber has received it once and in commit order, through any process.
    let events =
        "SELECT personal_connector_id FROM connector_event WHERE type = 'custom' ORDER BY number";
    let events = rows(&storage.url, events).await;
    let events: Vec<_> = events.lines().map(ToOwned::to_owned).collect();
    assert!(events.len() >= made.len());
    for heard in heard {
        let began = Instant::now();
        loop {
            let heard = heard.lock().unwrap().clone();
            assert!(
                events.starts_with(&heard),
                "{heard:?} is not how {events:?} begins"
            );
            if heard.len() == events.len() {
                break;
            }
            assert!(began.elapsed() < LONG, "a subscriber misses changes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Collects the ids of all connectors that change after a cursor.
fn listen(url: String, after: Value) -> Arc<Mutex<Vec<String>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ids = heard.clone();
    let boss = token("boss@acme", "connectors:admin");
    tokio::spawn(async move {
        let mut socket = Socket::at(&url, &boss).await;
        socket
            .subscribe("1", HEARD, json!({ "after": after }))
            .await;
        loop {
            let id = socket.change().await["personalConnectorId"].take();
            ids.lock().unwrap().push(id.as_str().unwrap().to_owned());
        }
    });
    heard
}
