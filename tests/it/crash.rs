//! SIGKILL at any moment: what was acknowledged is there, and whatever is there is whole.

use std::{collections::HashMap, fs, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{TestDatabase, rows},
    on_both_databases,
    process::{Process, Serving, program_on, run, token},
};

pub async fn assert_whole(storage: &TestDatabase) {
    let check = program_on(storage, &["check-database"]);
    tokio::task::spawn_blocking(|| run(check).ok())
        .await
        .unwrap();
}

/// Waits until PostgreSQL has noticed that its client is gone: until then it may still commit.
async fn await_end(storage: &TestDatabase) {
    let others = "SELECT COUNT(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while !storage.url.starts_with("sqlite") && rows(&storage.url, others).await != "0\n" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % below
}

/// Somebody who changes connectors, one after the other, and remembers what they were told.
pub struct Writer {
    name: String,
    token: String,
    pub count: usize,
    /// The revisions of those there are.
    live: HashMap<String, i64>,
    /// What was asked for and not answered.
    pending: Option<(&'static str, Value)>,
}

const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    done: createCustomConnector(input: $input) { personalConnector { id revision } userErrors { message } }
}";
const UPDATE: &str = "mutation($input: UpdateCustomConnectorInput!) {
    done: updateCustomConnector(input: $input) { personalConnector { id revision } userErrors { message } }
}";
const SET_STATUS: &str = "mutation($input: SetConnectorStatusInput!) {
    done: setConnectorStatus(input: $input) { personalConnector { id revision } userErrors { message } }
}";
const DELETE: &str = "mutation($input: DeleteCustomConnectorInput!) {
    done: deleteCustomConnector(input: $input) { deletedId userErrors { message } }
}";

impl Writer {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token: token(&format!("{name}@acme"), "connectors:write"),
            count: 0,
            live: HashMap::new(),
            pending: None,
        }
    }

    /// Writes until the server is gone.
    pub async fn write(&mut self, server: &Serving) {
        loop {
            if self.pending.is_none() {
                self.pending = Some(self.next());
            }
            if !self.send(server).await {
                break;
            }
        }
    }

    fn next(&mut self) -> (&'static str, Value) {
        self.count += 1;
        let one = self.live.keys().next().cloned();
        match (one, random(6)) {
            (Some(id), 0) => (DELETE, json!({ "id": id })),
            (Some(id), 1) => (
                UPDATE,
                json!({ "id": id, "description": format!("no {}", self.count) }),
            ),
            (Some(id), 2) => (
                SET_STATUS,
                json!({ "id": id, "status": "DEPRECATED", "statusMessage": format!("no {}", self.count) }),
            ),
            _ => {
                let name = format!("{} {}", self.name, self.count);
                let url = "https://x.example.com/mcp";
                (
                    CREATE,
                    json!({ "name": name, "serverUrl": url, "idempotencyKey": name }),
                )
            }
        }
    }

    /// Sends what is pending; says whether there was an answer.
    async fn send(&mut self, server: &Serving) -> bool {
        let (mutation, input) = self.pending.clone().unwrap();
        let variables = json!({ "input": input });
        let Some(answer) = server.ask(&self.token, mutation, variables).await else {
            return false;
        };
        let done = &answer["data"]["done"];
        assert_eq!(
            done["userErrors"],
            json!([]),
            "{mutation} {input}: {answer}"
        );
        self.pending = None;
        if let Some(id) = done["deletedId"].as_str() {
            self.live.remove(id);
        } else {
            let made = &done["personalConnector"];
            let id = made["id"].as_str().unwrap().to_owned();
            self.live.insert(id, made["revision"].as_i64().unwrap());
        }
        true
    }

    /// Compares what is there with what was acknowledged; what was not may have been done or not.
    async fn settle(&mut self, storage: &TestDatabase) {
        let mine = format!(
            "SELECT id, revision FROM personal_connector WHERE created_by = '{}'",
            self.name
        );
        let found = rows(&storage.url, &mine).await;
        let mut found: HashMap<String, i64> = found
            .lines()
            .filter_map(|line| line.split_once('|'))
            .map(|(id, revision)| (id.to_owned(), revision.parse().unwrap()))
            .collect();
        match self.pending.take() {
            // Asked for again under the same key, it makes one at most.
            Some((CREATE, input)) => self.pending = Some((CREATE, input)),
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
        if self.pending.is_some() {
            found.retain(|id, _| self.live.contains_key(id));
        }
        assert_eq!(found, self.live);
    }
}

on_both_databases! {
    async fn a_server_in_the_middle_of_writes(storage: TestDatabase) {
        let storage = Arc::new(storage);
        let mut writers: Vec<_> = ["ann", "bob", "cat", "dan"].map(Writer::new).into();
        let made = |writers: &[Writer]| writers.iter().map(|writer| writer.count).sum::<usize>();
        let mut rounds = 0;
        // Too few changes show nothing, and a slow machine needs more rounds for enough.
        while rounds < 5 || made(&writers) < 20 {
            rounds += 1;
            let server = Arc::new(Serving::on(&storage));
            let writing: Vec<_> = writers
                .into_iter()
                .map(|mut writer| {
                    let server = server.clone();
                    tokio::spawn(async move {
                        writer.write(&server).await;
                        writer
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(100 + random(300))).await;
            server.process.signal("KILL");
            writers = Vec::new();
            for writing in writing {
                writers.push(writing.await.unwrap());
            }
            await_end(&storage).await;
            assert_whole(&storage).await;
            for writer in &mut writers {
                writer.settle(&storage).await;
            }
        }
    }

    async fn an_import_at_any_moment(storage: TestDatabase) {
        const OBJECTS: usize = 2000;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("objects.jsonl");
        fs::write(&file, objects(OBJECTS)).unwrap();
        let arguments = ["import", "--organization", "acme", file.to_str().unwrap()];
        run(program_on(&storage, &["migrate"])).ok();
        let count = "SELECT COUNT(*) AS n FROM personal_connector";
        let mut landed = 0;
        for _ in 0..4 {
            let mut import = Process::spawn(&mut program_on(&storage, &arguments));
            tokio::time::sleep(Duration::from_millis(50 + random(500))).await;
            import.kill();
            await_end(&storage).await;
            assert_whole(&storage).await;
            let now: usize = rows(&storage.url, count).await.trim().parse().unwrap();
            assert!(now.is_multiple_of(500) && now >= landed, "{now} are no whole batches, after {landed}");
            landed = now;
        }
        let done = run(program_on(&storage, &arguments)).ok();
        let (new, old) = (OBJECTS - landed, landed);
        assert!(done.starts_with(&format!("{OBJECTS} objects: {new} created, 0 updated, {old} unchanged")), "{done}");
        assert_whole(&storage).await;
    }
}

/// So many custom connectors, a line each.
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
