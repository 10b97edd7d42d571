//! Acknowledged means kept: through kills, full disks, statements that fail, power cuts and lost files.
//!
//! The normal run of the tests has few rounds. `script/torture` has the long runs.

mod disks;
mod full_disk;
mod kills;
mod lost_file;
mod power_cuts;
mod rollbacks;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use personal_connectors::{domain::inspection::Tool, store};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    monitor::schedule::{import, object},
    support::{
        harness::{TestDatabase, client, rows, timestamp},
        mcp::{Plain, json_answer, response, well_behaved},
        process::{Serving, program_on, token},
    },
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

/// Each finds no rows in a database where every change is complete. The command `check-database` has the others.
const FLAWS: [(&str, &str); 4] = [
    (
        "an idempotency key stands for a connector that was never created",
        "SELECT key FROM idempotency_key AS k
            WHERE NOT EXISTS (SELECT 1 FROM personal_connector AS c WHERE c.id = k.personal_connector_id)
            AND NOT EXISTS (SELECT 1 FROM connector_event AS e WHERE e.personal_connector_id = k.personal_connector_id)
            AND (SELECT forgotten FROM catalog_state) = 0",
    ),
    (
        "health differs from the last check",
        "SELECT seq FROM connector_health AS h LEFT JOIN connector_check AS c USING (seq)
            WHERE NOT EXISTS (SELECT 1 FROM connector_check AS later
                WHERE later.seq = h.seq AND later.checked_at > c.checked_at)
            AND (h.checked_at IS DISTINCT FROM c.checked_at OR h.outcome IS DISTINCT FROM c.outcome)",
    ),
    (
        "a tool is not found by its words",
        "SELECT seq, name FROM connector_tool AS t WHERE NOT EXISTS (SELECT 1 FROM connector_tool_search AS s
            WHERE s.SEQ_OF_SEARCH = t.seq AND FOUND_BY_WORDS)",
    ),
    (
        "tools are found by a word that none of them has",
        "SELECT word FROM WORDS_OF_TOOLS AS w WHERE word LIKE 'version%' AND NOT EXISTS (SELECT 1 FROM connector_tool AS t
            WHERE t.seq = w.seq AND t.words LIKE '% ' || w.word || ' %')",
    ),
];

/// FTS5's own table of the words in an index.
const VOCABULARY: &str =
    "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, connector_tool_search, instance);";

pub async fn assert_whole(storage: &TestDatabase) {
    let settings = storage.settings();
    let sound = store::check(&settings).await.unwrap();
    assert_eq!(sound.findings, Vec::<String>::new());
    let (seq, found, words, before) = if storage.url.starts_with("sqlite") {
        (
            "rowid",
            "s.connector_tool_search MATCH TRIM(t.words)",
            "(SELECT term AS word, doc AS seq FROM vocabulary)",
            VOCABULARY,
        )
    } else {
        (
            "seq",
            "s.words @@ plainto_tsquery('simple', t.words)",
            "(SELECT UNNEST(tsvector_to_array(words)) AS word, seq FROM connector_tool_search)",
            "",
        )
    };
    // One statement is faster, and a snapshot: a service may write meanwhile.
    let all = FLAWS.map(|(flaw, sql)| {
        let sql = sql
            .replace("SEQ_OF_SEARCH", seq)
            .replace("FOUND_BY_WORDS", found)
            .replace("WORDS_OF_TOOLS", words);
        format!("SELECT '{flaw}' AS flaw WHERE EXISTS ({sql})")
    });
    let all = format!("{before}{}", all.join(" UNION ALL "));
    assert_eq!(rows(&storage.url, &all).await, "");
    assert_digests(storage).await;
}

/// The digest of each connector's tools is of the tools that are stored.
async fn assert_digests(storage: &TestDatabase) {
    // One statement is a snapshot: a service may write meanwhile.
    const TOOLS: &str = "SELECT seq, tools_digest, name, title, description, input_schema, output_schema, annotations
        FROM connector_health LEFT JOIN connector_tool USING (seq) WHERE tools_digest IS NOT NULL ORDER BY seq, name";
    let mut stored: BTreeMap<(String, String), Vec<Tool>> = BTreeMap::new();
    for line in rows(&storage.url, TOOLS).await.lines() {
        let cells: Vec<_> = line.split('|').map(ToOwned::to_owned).collect();
        let text = |cell: usize| Some(cells[cell].clone()).filter(|text| !text.is_empty());
        let tools = stored.entry((cells[0].clone(), cells[1].clone()));
        tools.or_default().extend(text(2).map(|name| Tool {
            name,
            title: text(3),
            description: text(4),
            input_schema: text(5),
            output_schema: text(6),
            annotations: text(7),
        }));
    }
    for ((seq, digest), tools) in stored {
        let stored = Sha256::digest(serde_json::to_vec(&tools).unwrap());
        assert_eq!(digest, format!("{stored:x}"), "of {seq}: {tools:?}");
    }
}

pub fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % below
}

/// Random hexadecimal digits, which no database compresses much.
fn noise(digits: u64) -> String {
    (0..digits / 16).fold(String::new(), |noise, _| {
        noise + &format!("{:016x}", random(u64::MAX))
    })
}

/// The file of a recording. Its length at an acknowledgement is the acknowledgement's place in it.
type Recording = PathBuf;

/// A client that changes connectors, one after the other, and remembers what was acknowledged.
pub struct Writer {
    name: String,
    token: String,
    pub count: usize,
    pub acknowledged: usize,
    /// The number of UNAVAILABLE answers.
    refused: usize,
    /// Revisions by id.
    live: HashMap<String, i64>,
    /// Sent, and not acknowledged.
    pending: Option<(&'static str, Value)>,
    /// Whether the pending write was refused at least once.
    retried: bool,
    recording: Option<Recording>,
    /// For each acknowledgement: the length of the recording, and the connectors after it.
    history: Vec<(u64, HashMap<String, i64>)>,
}

/// Connectors of a writer at most, below the default quota.
const MOST_LIVE: usize = 40;

const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    done: createCustomConnector(input: $input) { personalConnector { id revision } userErrors { code } }
}";
const UPDATE: &str = "mutation($input: UpdateCustomConnectorInput!) {
    done: updateCustomConnector(input: $input) { personalConnector { id revision } userErrors { code } }
}";
const SET_STATUS: &str = "mutation($input: SetConnectorStatusInput!) {
    done: setConnectorStatus(input: $input) { personalConnector { id revision } userErrors { code } }
}";
const DELETE: &str = "mutation($input: DeleteCustomConnectorInput!) {
    done: deleteCustomConnector(input: $input) { deletedId userErrors { code } }
}";

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Acknowledged,
    Refused,
    /// The server is gone.
    Unanswered,
}

/// The data of an answer without errors, or another outcome. A refusal must be UNAVAILABLE.
fn sent(answer: Option<Value>) -> Result<Value, Sent> {
    let mut answer = answer.ok_or(Sent::Unanswered)?;
    if let Some(error) = answer["errors"].get(0) {
        assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{answer}");
        return Err(Sent::Refused);
    }
    Ok(answer["data"].take())
}

impl Writer {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token: token(&format!("{name}@acme"), "connectors:write"),
            count: 0,
            acknowledged: 0,
            refused: 0,
            live: HashMap::new(),
            pending: None,
            retried: false,
            recording: None,
            history: Vec::new(),
        }
    }

    /// Writes until the server is gone, which refuses nothing.
    pub async fn write(&mut self, server: &Serving) {
        self.work(server, &AtomicBool::new(true)).await;
        assert_eq!(self.refused, 0);
    }

    /// Writes until `going` is false or the server is gone. Repeats refused writes, as clients do.
    async fn work(&mut self, server: &Serving, going: &AtomicBool) {
        while going.load(Ordering::Relaxed) {
            if self.write_one(server).await == Sent::Unanswered {
                return;
            }
        }
    }

    async fn write_one(&mut self, server: &Serving) -> Sent {
        if self.pending.is_none() {
            self.pending = Some(self.next());
        }
        self.send(server).await
    }

    fn next(&mut self) -> (&'static str, Value) {
        let one = self.live.keys().next().cloned();
        match (one, random(6)) {
            (Some(id), 0) => self.write_of(DELETE, &id),
            (Some(id), _) if self.live.len() >= MOST_LIVE => self.write_of(DELETE, &id),
            (Some(id), 1) => self.write_of(UPDATE, &id),
            (Some(id), 2) => self.write_of(SET_STATUS, &id),
            _ => self.write_of(CREATE, ""),
        }
    }

    fn write_of(&mut self, mutation: &'static str, id: &str) -> (&'static str, Value) {
        self.count += 1;
        let text = format!("no {}", self.count);
        let input = match mutation {
            CREATE => {
                let name = format!("{} {}", self.name, self.count);
                json!({ "name": name, "serverUrl": "http://127.0.0.1:1/mcp", "idempotencyKey": name,
                    "metadata": { "noise": noise(random(8000)) } })
            }
            UPDATE => json!({ "id": id, "description": text }),
            SET_STATUS => json!({ "id": id, "status": "DEPRECATED", "statusMessage": text }),
            _ => json!({ "id": id }),
        };
        (mutation, input)
    }

    /// Sends the pending write.
    async fn send(&mut self, server: &Serving) -> Sent {
        let (mutation, input) = self.pending.clone().unwrap();
        let variables = json!({ "input": input });
        let answer = match sent(server.ask(&self.token, mutation, variables).await) {
            Ok(answer) => answer,
            Err(sent) => {
                self.retried = true;
                self.refused += usize::from(sent == Sent::Refused);
                tokio::time::sleep(Duration::from_millis(5)).await;
                return sent;
            }
        };
        let done = &answer["done"];
        // An unacknowledged deletion may have been done.
        let deleted_before = mutation == DELETE
            && self.retried
            && done["userErrors"] == json!([{ "code": "NOT_FOUND" }]);
        assert!(
            deleted_before || done["userErrors"] == json!([]),
            "{mutation} {input}: {answer}"
        );
        (self.pending, self.retried) = (None, false);
        self.acknowledged += 1;
        if mutation == DELETE {
            self.live.remove(input["id"].as_str().unwrap());
        } else {
            let made = &done["personalConnector"];
            let id = made["id"].as_str().unwrap().to_owned();
            self.live.insert(id, made["revision"].as_i64().unwrap());
        }
        if let Some(recording) = &self.recording {
            let length = std::fs::metadata(recording).unwrap().len();
            self.history.push((length, self.live.clone()));
        }
        Sent::Acknowledged
    }

    /// The writer's connectors that a new connection finds.
    async fn stored(&self, storage: &TestDatabase) -> HashMap<String, i64> {
        let mine = format!(
            "SELECT id, revision FROM personal_connector WHERE created_by = '{}'",
            self.name
        );
        let found = rows(&storage.url, &mine).await;
        found
            .lines()
            .filter_map(|line| line.split_once('|'))
            .map(|(id, revision)| (id.to_owned(), revision.parse().unwrap()))
            .collect()
    }

    /// Compares what is stored with what was acknowledged. A write that was not may be stored or not.
    async fn settle(&mut self, storage: &TestDatabase) {
        let mut found = self.stored(storage).await;
        match self.pending.take() {
            // Repeated with the same key, it creates one connector at most.
            Some((CREATE, input)) => {
                self.pending = Some((CREATE, input));
                let stored = found.len();
                found.retain(|id, _| self.live.contains_key(id));
                assert!(stored - found.len() <= 1, "one write created two");
            }
            Some((DELETE, input)) => {
                let id = input["id"].as_str().unwrap();
                if !found.contains_key(id) {
                    self.live.remove(id);
                }
            }
            Some((_, input)) => {
                let id = input["id"].as_str().unwrap();
                let (was, is) = (self.live.get_mut(id).unwrap(), found[id]);
                assert!(is == *was || is == *was + 1, "{id} is at {is} after {was}");
                *was = is;
            }
            None => {}
        }
        self.retried = self.pending.is_some();
        assert_eq!(
            found, self.live,
            "acknowledged to {} and not kept",
            self.name
        );
    }
}

/// A client that checks one connector, and remembers the last check that was acknowledged.
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

    /// The check at this time is stored, or a later one.
    async fn assert_kept(&self, storage: &TestDatabase, at: &str) {
        let kept = format!(
            "SELECT checked_at FROM connector_health JOIN personal_connector USING (seq) WHERE id = '{}'",
            self.id
        );
        let kept = rows(&storage.url, &kept).await;
        let kept: i64 = kept.trim().parse().unwrap();
        assert!(
            kept >= timestamp(at).0,
            "the check at {at} was acknowledged and not kept"
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

    /// All clients work until `until` is done, and finish their requests.
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

/// The service, with a monitor that checks every second.
fn checking(storage: &TestDatabase) -> Command {
    let mut command = program_on(storage, &[]);
    command
        .args(["--check-interval", "1s", "--mcp-allow", "127.0.0.0/8"])
        .args(["--inspection-rate", "0", "--answer-cache-mb", "0"])
        .env("CONNECTORS_MONITOR", "true");
    command
}

async fn is_ready(server: &Serving) -> bool {
    let url = server.url.replace("/graphql", "/health/ready");
    client().get(url).send().await.unwrap().status() == 200
}

/// Waits until `is_so`, for `limit` at most. Returns the time.
async fn within(limit: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

/// Published objects of so many custom connectors, one a line.
pub fn objects(count: usize) -> String {
    let object = |i| {
        json!({
            "id": format!("pcon_object{i}"), "object": "personal_connector", "name": format!("Object {i}"),
            "type": "custom", "connectorId": "custom_mcp", "status": "active", "createdBy": "importer",
            "serverUrl": format!("https://x{i}.example.com"), "metadata": { "number": i },
        })
    };
    let lines: Vec<_> = (0..count).map(|i| object(i).to_string()).collect();
    lines.join("\n")
}
