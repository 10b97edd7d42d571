//! A soak test of the release build: sends requests and writes for a long time, and compares every response with a
//! model.
//!
//! `soak [--requests N] [--workers N] [--hostile N] [--binary FILE] [--database-url URL] [-- FLAG …]` starts the
//! service on an SQLite database of its own, or on an empty database. It fails at the first response that differs from
//! the model, and if the service's memory grows.
//!
//! Hostile clients read slowly, disconnect early, or send invalid data throughout.
//!
//! Each worker has a user and a connection of its own, and each user has a model. The model is locked during a user's
//! writes and during reads of their connectors, so that a response must equal it exactly.

mod hostile;
mod users;
mod worker;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::body::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::RwLock, task::JoinSet, time::sleep};

use users::{CONNECTOR, User};
use worker::{Chance, Worker, data};

/// An error with everything needed to reproduce it.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Users of one organization, who see some of each other's connectors.
const MEMBERS: usize = 4;

const SECRET: &str = "a secret of the soak, of 32 bytes at least";

/// The running service, stopped on drop.
struct Service {
    process: Child,
    address: String,
    /// Standard output, which the service may still write to.
    _out: BufReader<ChildStdout>,
}

impl Service {
    fn start(options: &Options, url: &str) -> Outcome<Self> {
        let mut process = Command::new(&options.binary)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--log",
                "warn",
                "--database-url",
                url,
            ])
            .args(["--jwt-secret", SECRET])
            .args(&options.flags)
            // The servers of the model's connectors do not exist.
            .env("CONNECTORS_MONITOR", "false")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = process.stdout.take().ok_or("no standard output")?;
        let mut out = BufReader::new(out);
        // The service prints its address when it is ready.
        out.read_line(&mut line)?;
        let address = line.split('/').nth(2).ok_or("the service did not start")?;
        Ok(Self {
            address: address.to_owned(),
            process,
            _out: out,
        })
    }

    async fn connect(&self) -> Outcome<http1::SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Returns the resident private memory in MiB; none if the system does not report it. Memory-mapped database pages
    /// are shared, and grow with the database.
    fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let kib = status.split_once("RssAnon:")?.1.split_whitespace().next()?;
        Some(kib.parse::<u64>().ok()? / 1024)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Options {
    requests: u64,
    workers: usize,
    hostile: usize,
    binary: PathBuf,
    database_url: Option<String>,
    flags: Vec<String>,
}

impl Options {
    fn parse() -> Outcome<Self> {
        let mut options = Self {
            requests: 2_000_000,
            workers: 16,
            hostile: 8,
            // The binary in the same folder.
            binary: env::current_exe()?.with_file_name("personal-connectors"),
            database_url: None,
            flags: Vec::new(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(flag) = arguments.next() {
            if flag == "--" {
                options.flags = arguments.collect();
                break;
            }
            let value = arguments.next().ok_or(format!("{flag} wants a value"))?;
            match flag.as_str() {
                "--requests" => options.requests = value.parse()?,
                "--workers" => options.workers = value.parse()?,
                "--hostile" => options.hostile = value.parse()?,
                "--binary" => options.binary = value.into(),
                "--database-url" => options.database_url = Some(value),
                _ => return Err(format!("{flag} is no flag").into()),
            }
        }
        options.workers = options.workers.next_multiple_of(MEMBERS);
        Ok(options)
    }
}

fn user(options: &Options, number: usize) -> Outcome<User> {
    let (name, organization) = (
        format!("user-{number}"),
        format!("organization-{}", number / MEMBERS),
    );
    let token = Command::new(&options.binary)
        .args([
            "token",
            "--jwt-secret",
            SECRET,
            "--user",
            &name,
            "--organization",
            &organization,
        ])
        .args(["--scope", "connectors:write", "--expires-in", "1d"])
        .output()?;
    if !token.status.success() {
        return Err(String::from_utf8_lossy(&token.stderr).into());
    }
    Ok(User {
        who: format!("{name}@{organization}"),
        name,
        organization,
        token: String::from_utf8(token.stdout)?.trim().to_owned(),
        connectors: RwLock::default(),
    })
}

async fn soak(options: &Options) -> Outcome<()> {
    let folder = TempDir::new()?;
    let file = format!("sqlite://{}", folder.path().join("connectors.db").display());
    let service = Service::start(options, options.database_url.as_deref().unwrap_or(&file))?;
    let users = (0..options.workers).map(|number| user(options, number));
    let users = Arc::new(users.collect::<Outcome<Vec<_>>>()?);
    let asked = Arc::new(AtomicU64::new(0));
    let public = json!({ "query": format!("{{ personalConnectors {{ totalCount nodes {{ {CONNECTOR} }} }} }}") });
    let mut workers = Vec::new();
    for me in 0..options.workers {
        workers.push(Worker {
            users: Arc::clone(&users),
            me,
            sender: service.connect().await?,
            chance: Chance(me as u64),
            created: 0,
            deleted: None,
            public: (public.clone(), Bytes::new()),
            asked: Arc::clone(&asked),
        });
    }
    let expected = workers[0].ask(None, &public).await?;
    if data(&public, &expected)?["personalConnectors"]["totalCount"] == 0 {
        return Err("nothing is public".into());
    }

    let began = Instant::now();
    let mut working = JoinSet::new();
    for mut worker in workers {
        worker.public.1.clone_from(&expected);
        working.spawn(worker.work(options.requests));
    }
    let mut annoying = JoinSet::new();
    for client in 0..options.hostile {
        annoying.spawn(hostile::annoy(service.address.clone(), client as u64));
    }
    let mut memory = Vec::new();
    let mut before = 0;
    loop {
        tokio::select! {
            done = working.join_next() => match done {
                Some(done) => done??,
                None => break,
            },
            () = sleep(Duration::from_secs(10)) => {
                let now = asked.load(Relaxed);
                let resident = service.memory();
                println!(
                    "{:>5} s {now:>9} requests {:>6}/s {:>5} MiB",
                    began.elapsed().as_secs(), (now - before) / 10, resident.unwrap_or_default(),
                );
                memory.extend(resident);
                before = now;
            }
        }
    }
    let (requests, seconds) = (asked.load(Relaxed), began.elapsed().as_secs().max(1));
    println!(
        "{requests} requests in {seconds} s, {}/s, and no answer was wrong",
        requests / seconds
    );
    flat(&memory)
}

/// Fails if memory grows until the end: the caches of responses and documents have long been full, so it is a leak.
fn flat(memory: &[u64]) -> Outcome<()> {
    let quarter = memory.len() / 4;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let (second, last) = (
        most(&memory[quarter..quarter * 2]),
        most(&memory[quarter * 3..]),
    );
    if quarter == 0 {
        println!("too short to tell how memory grows");
    } else {
        println!("memory: {second} MiB in the second quarter, {last} MiB in the last");
    }
    if quarter > 0 && last > second + second / 5 {
        return Err("memory grew".into());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let soaked = async { soak(&Options::parse()?).await };
    match soaked.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
