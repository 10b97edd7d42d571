//! Load on a server: many clients send one request repeatedly.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::Instant,
};

use crate::support::process::Serving;

/// A list with different arguments each time, because a cached count would cost nothing.
const QUERY: &str = "query($from: DateTime!) {
    personalConnectors(first: 20, filter: {createdAt: {gte: $from}}, orderBy: {field: CREATED_AT}) { totalCount
    nodes { id name description category status statusMessage replacedBy { id name } iconUrl }
    pageInfo { hasNextPage endCursor } facets { category { value count } status { value count } type { value count } } \
    } }";

/// A placeholder of a request, replaced by a counter with as many digits.
const COUNTER: &str = "NNNNNN";

/// A raw response.
pub struct Answer {
    pub status: u16,
    pub retry_after: bool,
    pub body: Vec<u8>,
}

/// A request that is sent repeatedly, over reused connections.
pub struct Load {
    address: String,
    /// The request, which contains [`COUNTER`].
    request: String,
    asked: AtomicU64,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
    /// The most connections, within a client's usual limits.
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

    pub async fn ask(&self) -> io::Result<Answer> {
        let _connection = self.connections.acquire().await.unwrap();
        let idle = self.idle.lock().unwrap().pop();
        if let Some(mut stream) = idle
            && let Ok(answer) = self.ask_by(&mut stream).await
        {
            self.idle.lock().unwrap().push(stream);
            return Ok(answer);
        }
        // No connection was idle, or it was closed while idle.
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

/// The durations of requests, by status.
#[derive(Default)]
pub struct Outcome(BTreeMap<u16, Vec<Duration>>);

impl Outcome {
    /// Counts a response, which must be complete, or a refusal in the documented form.
    pub fn add(&mut self, answer: &Answer, took: Duration) {
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

    /// Returns percentiles of the durations of a status.
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

/// Runs this many clients. Each sends its next request after a response, while the condition on the outcomes holds.
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
