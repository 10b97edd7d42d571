//! A client that writes, and compares acknowledged writes with stored rows.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    harness::{TestDatabase, rows},
    process::{Serving, token},
    random::{noise, random},
};

/// The file of a recording. Its length at an acknowledgement is the position of that acknowledgement.
pub type Recording = PathBuf;

/// A client that changes connectors one by one, and remembers the acknowledged changes.
pub struct Writer {
    pub name: String,
    pub token: String,
    pub count: usize,
    pub acknowledged: usize,
    /// The number of UNAVAILABLE responses.
    pub refused: usize,
    /// Revisions of its connectors, by id.
    pub live: HashMap<String, i64>,
    /// The write that was sent and is not acknowledged.
    pub pending: Option<(&'static str, Value)>,
    /// Whether the pending write was refused at least once.
    pub retried: bool,
    pub recording: Option<Recording>,
    /// The length of the recording and the connectors, after each acknowledgement.
    pub history: Vec<(u64, HashMap<String, i64>)>,
}

/// The most connectors of a writer, below the default quota.
const MOST_LIVE: usize = 40;

pub const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    done: createCustomConnector(input: $input) { personalConnector { id revision } userErrors { code } }
}";
pub const UPDATE: &str = "mutation($input: UpdateCustomConnectorInput!) {
    done: updateCustomConnector(input: $input) { personalConnector { id revision } userErrors { code } }
}";
pub const SET_STATUS: &str = "mutation($input: SetConnectorStatusInput!) {
    done: setConnectorStatus(input: $input) { personalConnector { id revision } userErrors { code } }
}";
pub const DELETE: &str = "mutation($input: DeleteCustomConnectorInput!) {
    done: deleteCustomConnector(input: $input) { deletedId userErrors { code } }
}";

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Acknowledged,
    Refused,
    /// The server is gone.
    Unanswered,
}

/// Returns the data of a response without errors, or another outcome. A refusal must be UNAVAILABLE.
pub fn sent(answer: Option<Value>) -> Result<Value, Sent> {
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

    /// Writes until the server is gone. No write may be refused.
    pub async fn write(&mut self, server: &Serving) {
        self.work(server, &AtomicBool::new(true)).await;
        assert_eq!(self.refused, 0);
    }

    /// Writes until `going` is false or the server is gone. Repeats refused writes, like a real client.
    pub async fn work(&mut self, server: &Serving, going: &AtomicBool) {
        while going.load(Ordering::Relaxed) {
            if self.write_one(server).await == Sent::Unanswered {
                return;
            }
        }
    }

    pub async fn write_one(&mut self, server: &Serving) -> Sent {
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

    pub fn write_of(&mut self, mutation: &'static str, id: &str) -> (&'static str, Value) {
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
    pub async fn send(&mut self, server: &Serving) -> Sent {
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
        // An unacknowledged deletion may have succeeded.
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

    /// Returns the writer's connectors over a new connection.
    pub async fn stored(&self, storage: &TestDatabase) -> HashMap<String, i64> {
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

    /// Compares stored with acknowledged writes. An unacknowledged write may be stored or not.
    pub async fn settle(&mut self, storage: &TestDatabase) {
        let mut found = self.stored(storage).await;
        match self.pending.take() {
            // Repeated with the same key, it creates at most one connector.
            Some((CREATE, input)) => {
                self.pending = Some((CREATE, input));
                let stored = found.len();
                found.retain(|id, _| self.live.contains_key(id));
                assert!(stored - found.len() <= 1, "one write created two rows");
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
            "a write was acknowledged to {} and not stored",
            self.name
        );
    }
}
