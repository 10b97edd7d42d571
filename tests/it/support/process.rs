//! The program as users run it: a process with arguments, an environment and signals.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::harness::{TestDatabase, client, post};

/// The time limit of a program, which is longer than any program of the tests runs.
const TOO_LONG: Duration = Duration::from_mins(1);

pub const SECRET: &str = "a secret of the tests, of 32 bytes at least";

/// Makes two tests of a [`TestDatabase`]: one on SQLite, and one on PostgreSQL, which plain `cargo test` ignores.
///
/// `#![ignore = "…"]` before the functions gives another requirement, and ignores both tests of each.
#[macro_export]
macro_rules! on_both_databases {
    (
        #![ignore = $needs:literal]
        $($(#[$meta:meta])* async fn $name:ident($storage:ident: TestDatabase $(,)?) $body:block)*
    ) => {$(
        $crate::on_both_databases!(@ [#[ignore = $needs]] $(#[$meta])* async fn $name($storage) $body);
    )*};
    ($($(#[$meta:meta])* async fn $name:ident($storage:ident: TestDatabase $(,)?) $body:block)*) => {$(
        $crate::on_both_databases!(@ [] $(#[$meta])* async fn $name($storage) $body);
    )*};
    (@ [$(#[$sqlite:meta])?] $(#[$meta:meta])* async fn $name:ident($storage:ident) $body:block) => {
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($storage: $crate::support::harness::TestDatabase) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$sqlite])?
            async fn sqlite() {
                test($crate::support::harness::TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
            async fn postgres() {
                test($crate::support::harness::TestDatabase::postgres().await).await;
            }
        }
    };
}

/// The size of the response cache for the test run, if it is not the default.
const ANSWERS: &str = "CONNECTORS_ANSWER_CACHE_MB";

/// Returns the program with a command line, and an environment of only the tests' common variables. It makes no
/// outbound calls on its own.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_personal-connectors"));
    command.env_clear().args(arguments);
    command.env("CONNECTORS_MONITOR", "false");
    // There is no load balancer.
    command.env("CONNECTORS_DRAIN_DELAY", "0s");
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests have no other configuration"
    )]
    if let Ok(mebibytes) = std::env::var(ANSWERS) {
        command.env(ANSWERS, mebibytes);
    }
    command
}

/// Returns the program on a database, with a token secret.
pub fn program_on(storage: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.env("CONNECTORS_DATABASE_URL", storage.served_url());
    command.env("CONNECTORS_JWT_SECRET", SECRET);
    command
}

/// The result of a program that ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    /// The database that a command printed first.
    pub database: Option<String>,
    /// The rest of standard error.
    pub err: String,
}

impl Done {
    fn new(code: Option<i32>, out: String, err: &str) -> Self {
        const NAMED: &str = "database: ";
        let (named, rest): (Vec<_>, Vec<_>) = err
            .split_inclusive('\n')
            .partition(|line| line.starts_with(NAMED));
        let database = named
            .first()
            .map(|line| line[NAMED.len()..].trim_end().to_owned());
        let err = rest.concat();
        Self {
            code,
            out,
            database,
            err,
        }
    }

    /// Returns standard output of a program without errors or warnings.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// Returns both outputs of a program that ended with this code.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        let told = self.out + &self.err;
        assert_eq!(self.code, Some(code), "{told}");
        told
    }
}

/// Runs a program to its end with this standard input.
pub fn run_with(mut command: Command, input: &str) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that refuses its command line reads nothing.
    std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let out = read_all(child.stdout.take().unwrap());
    let err = read_all(child.stderr.take().unwrap());
    let status = await_end(&mut child);
    Done::new(status.code(), out.join().unwrap(), &err.join().unwrap())
}

/// Waits for a program's end within a limit, because it may serve instead of failing.
fn await_end(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > TOO_LONG {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads output as it arrives, so that no full pipe blocks the program.
fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = pipe.read_to_string(&mut text);
        text
    })
}

pub fn run(command: Command) -> Done {
    run_with(command, "")
}

/// A running program, killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    logs: Option<JoinHandle<String>>,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let logs = read_all(child.stderr.take().unwrap());
        Self {
            out: BufReader::new(child.stdout.take().unwrap()),
            child,
            logs: Some(logs),
        }
    }

    /// Sends SIGKILL, which the program cannot handle.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success(), "kill -s {name} {pid}");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the KiB of resident memory (`VmRSS`), if the system reports it.
    pub fn resident(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    /// Returns the most MiB by which the process grew during some work (Linux: the peak of resident memory). Code that
    /// runs for the first time does not count, because it is read from the program's file once.
    pub async fn growth<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        // This resets the peak.
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
        let all = || self.memory("VmRSS:").unwrap();
        let of_files = || self.memory("RssFile:").unwrap();
        let (before, code) = (all(), of_files());
        let done = work.await;
        let peak = self.memory("VmHWM:").unwrap();
        let read_in = of_files().saturating_sub(code);
        (done, peak.saturating_sub(before + read_in) / 1024)
    }

    fn memory(&self, of: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(of))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Waits for the program's end. Returns the exit code and the rest of its output.
    pub fn wait(&mut self) -> Done {
        let status = await_end(&mut self.child);
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        let err = self.logs.take().unwrap().join().unwrap();
        Done::new(status.code(), out, &err)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A serving process, on a port that the system chose.
#[derive(Debug)]
pub struct Serving {
    pub process: Process,
    /// `http://127.0.0.1:PORT/graphql`
    pub url: String,
}

impl Serving {
    pub fn start(mut command: Command) -> Self {
        Self::up(Process::spawn(
            command.env("CONNECTORS_LISTEN", "127.0.0.1:0"),
        ))
    }

    pub fn on(storage: &TestDatabase) -> Self {
        Self::start(program_on(storage, &[]))
    }

    /// Waits until it prints its address.
    pub fn up(mut process: Process) -> Self {
        let mut line = String::new();
        process.out.read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("GraphQL at ") else {
            panic!("it does not serve: {line}{}", process.wait().err);
        };
        Self {
            url: url.to_owned(),
            process,
        }
    }

    /// Returns the whole response to an operation, or none if the process ended before.
    pub async fn ask(&self, token: &str, query: &str, variables: Value) -> Option<Value> {
        let body = json!({ "query": query, "variables": variables });
        let request = post(&self.url, token, body.to_string());
        let text = request.send().await.ok()?.text().await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Returns the `data` of an operation without errors.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(token, query, variables).await.unwrap();
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].take()
    }

    /// Returns status and text of another path than `/graphql`.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let url = self.url.replace("/graphql", path);
        let response = client().get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Sends SIGTERM, and returns the result.
    pub fn stop(mut self) -> Done {
        self.process.signal("TERM");
        self.process.wait()
    }
}

/// Returns a token of `USER@ORGANIZATION` with scopes, from the `token` command.
pub fn token(who: &str, scopes: &str) -> String {
    let (user, organization) = who.split_once('@').unwrap();
    let mut command = program(&["token", "--user", user, "--organization", organization]);
    command
        .args(["--scope", scopes])
        .env("CONNECTORS_JWT_SECRET", SECRET);
    run(command).ok().trim().to_owned()
}
