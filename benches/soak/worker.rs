//! A user who reads and writes, and compares each response with the model.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::body::Bytes;
use fixtures::model::{Connector, Listing, Order, Search, micros, values};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use serde_json::{Value, json};
use tokio::sync::RwLockReadGuard;

use crate::{
    MEMBERS, Outcome,
    users::{CONNECTOR, Page, User, WORDS, connector, text},
};

/// The most connectors of a user.
const MOST: usize = 40;

/// Writes in a hundred requests.
const WRITES: u64 = 6;

/// Pseudorandom numbers that repeat with their seed (`SplitMix64`).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    pub(crate) fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.index(values.len())]
    }

    /// Returns true once in this many times, on average.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A worker.
pub(crate) struct Worker {
    pub(crate) users: Arc<Vec<User>>,
    pub(crate) me: usize,
    pub(crate) sender: http1::SendRequest<Full<Bytes>>,
    pub(crate) chance: Chance,
    /// The number of connectors that the worker created.
    pub(crate) created: u64,
    pub(crate) deleted: Option<String>,
    /// The public list, which never changes here.
    pub(crate) public: (Value, Bytes),
    pub(crate) asked: Arc<AtomicU64>,
}

impl Worker {
    pub(crate) async fn work(mut self, requests: u64) -> Outcome<()> {
        while self.asked.load(Relaxed) < requests {
            if self.chance.below(100) < WRITES {
                self.write().await?;
                // An acknowledged write is visible at once.
                self.list_mine().await?;
            } else {
                match self.chance.below(10) {
                    0..=2 => self.find().await?,
                    3..=5 => self.list_mine().await?,
                    6 => self.list_of_a_colleague().await?,
                    7 => self.list_of_all().await?,
                    _ => self.list_publicly().await?,
                }
            }
        }
        Ok(())
    }

    /// Returns a response's bytes.
    pub(crate) async fn ask(&mut self, token: Option<&str>, request: &Value) -> Outcome<Bytes> {
        self.asked.fetch_add(1, Relaxed);
        let mut builder = Request::post("/graphql")
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = builder.body(Full::new(Bytes::from(request.to_string())))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into())
        }
    }

    /// Sends a request as the user, and returns `data`, which must have no error. Sometimes sends it twice, and expects
    /// the same bytes.
    pub(crate) async fn read(&mut self, request: &Value) -> Outcome<Value> {
        let users = Arc::clone(&self.users);
        let token = Some(users[self.me].token.as_str());
        let body = self.ask(token, request).await?;
        if self.chance.one_in(4) {
            let again = self.ask(token, request).await?;
            if again != body {
                let (again, body) = (
                    String::from_utf8_lossy(&again),
                    String::from_utf8_lossy(&body),
                );
                return Err(format!("{request}\nasked again gave\n{again}\nnot\n{body}").into());
            }
        }
        data(request, &body)
    }

    pub(crate) async fn find(&mut self) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let colleague = self.me / MEMBERS * MEMBERS + self.chance.index(MEMBERS);
        let owner = &users[if self.chance.one_in(3) {
            colleague
        } else {
            self.me
        }];
        let connectors = owner.connectors.read().await;
        let (id, expected) =
            if let Some(id) = self.deleted.take_if(|_| owner.name == users[self.me].name) {
                (id, Value::Null)
            } else if connectors.is_empty() {
                ("pcon_nobodys".to_owned(), Value::Null)
            } else {
                let connector = &connectors[self.chance.index(connectors.len())];
                let expected = if users[self.me].sees(connector) {
                    connector.fields.clone()
                } else {
                    Value::Null
                };
                (text(&connector.fields["id"]).to_owned(), expected)
            };
        let document =
            format!("query ById($id: ID!) {{ personalConnector(id: $id) {{ {CONNECTOR} }} }}");
        let request = json!({ "query": document, "variables": { "id": id } });
        let data = self.read(&request).await?;
        same(&request, &data["personalConnector"], &expected)
    }

    /// Returns a list of an owner's connectors, or of the whole organization's.
    pub(crate) fn page(&mut self, owner: Option<&str>) -> Page {
        let chance = &mut self.chance;
        let search = chance.one_in(3).then(|| {
            let (word, other) = (chance.of(&WORDS), chance.of(&WORDS));
            // A repeated word counts once.
            let words = if chance.one_in(3) && word != other {
                vec![word, other]
            } else {
                vec![word]
            };
            Search {
                text: words.join(" "),
                key: words.join(" "),
                words: words.into_iter().map(ToOwned::to_owned).collect(),
                address: None,
            }
        });
        let (order, reversed) = if search.is_none() || chance.one_in(2) {
            (
                chance.of(&[Order::Name, Order::CreatedAt, Order::UpdatedAt]),
                chance.one_in(2),
            )
        } else {
            (Order::Relevance, false)
        };
        let mut filter = json!({ "visibility": ["PRIVATE", "ORGANIZATION"] });
        if let Some(owner) = owner {
            filter["createdBy"] = json!([owner]);
        }
        for field in ["category", "status"] {
            if chance.one_in(4) {
                filter[field] = json!([chance.of(&values(field))]);
            }
        }
        Page {
            listing: Listing {
                search,
                filter,
                order,
                reversed,
                then_by: Vec::new(),
            },
            first: chance.of(&[1, 5, 20]),
            counts: chance.one_in(3),
        }
    }

    /// Reads a list of these users' connectors, and its second page. None of the users writes meanwhile.
    pub(crate) async fn list(
        &mut self,
        page: &Page,
        owners: &[RwLockReadGuard<'_, Vec<Connector>>],
    ) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let seen: Vec<_> = owners
            .iter()
            .flat_map(|connectors| connectors.iter())
            .filter(|connector| users[self.me].sees(connector))
            .cloned()
            .collect();
        let mut cursor = None;
        for number in 0..2 {
            let request = page.request(cursor.as_ref());
            let mut data = self.read(&request).await?;
            let list = &mut data["personalConnectors"];
            let end = list["pageInfo"]
                .as_object_mut()
                .and_then(|info| info.remove("endCursor"));
            same(&request, list, &page.answer(&seen, number * page.first))?;
            cursor = end;
            if list["pageInfo"]["hasNextPage"] == false || !self.chance.one_in(2) {
                break;
            }
        }
        Ok(())
    }

    pub(crate) async fn list_mine(&mut self) -> Outcome<()> {
        self.list_of(self.me).await
    }

    pub(crate) async fn list_of_a_colleague(&mut self) -> Outcome<()> {
        let colleague = self.me / MEMBERS * MEMBERS + self.chance.index(MEMBERS);
        self.list_of(colleague).await
    }

    pub(crate) async fn list_of(&mut self, owner: usize) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let owner = &users[owner];
        let page = self.page(Some(&owner.name));
        let connectors = owner.connectors.read().await;
        self.list(&page, &[connectors]).await
    }

    pub(crate) async fn list_of_all(&mut self) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let first = self.me / MEMBERS * MEMBERS;
        let page = self.page(None);
        let mut owners = Vec::new();
        // The locks are taken in one order, to avoid a deadlock.
        for owner in &users[first..first + MEMBERS] {
            owners.push(owner.connectors.read().await);
        }
        self.list(&page, &owners).await
    }

    /// Reads the public list without a token, which never changes.
    pub(crate) async fn list_publicly(&mut self) -> Outcome<()> {
        let (request, expected) = self.public.clone();
        let answer = self.ask(None, &request).await?;
        if answer == expected {
            Ok(())
        } else {
            let (answer, expected) = (
                String::from_utf8_lossy(&answer),
                String::from_utf8_lossy(&expected),
            );
            Err(format!("{request}\ngave\n{answer}\nnot\n{expected}").into())
        }
    }

    pub(crate) async fn write(&mut self) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let user = &users[self.me];
        let mut mine = user.connectors.write().await;
        let at = self.chance.index(mine.len());
        let what = self.chance.below(10);
        if mine.len() < 3 || what < 4 && mine.len() < MOST {
            self.create(user, &mut mine).await
        } else if what == 4 {
            self.create_what_is_there(user, &mine[at]).await
        } else if what == 5 || mine.len() >= MOST {
            self.delete(user, &mut mine, at).await
        } else {
            self.update(user, &mut mine[at]).await
        }
    }

    pub(crate) fn description(&mut self) -> String {
        let mut description = String::from("connects");
        for _ in 0..self.chance.below(6) {
            let _ = write!(description, " {}", self.chance.of(&WORDS));
        }
        description
    }

    pub(crate) fn name(&mut self) -> String {
        self.created += 1;
        let word = self.chance.of(&WORDS);
        format!(
            "{}{} of {} {}",
            word[..1].to_uppercase(),
            &word[1..],
            self.me,
            self.created
        )
    }

    pub(crate) async fn mutate(
        &mut self,
        user: &User,
        field: &str,
        input: Value,
    ) -> Outcome<(Value, Value)> {
        let kind = format!("{}{}", field[..1].to_uppercase(), &field[1..]);
        let payload = if field == "deleteCustomConnector" {
            "deletedId".to_owned()
        } else {
            format!("personalConnector {{ {CONNECTOR} }}")
        };
        let document = format!(
            "mutation Write($input: {kind}Input!) {{ {field}(input: $input) {{ {payload} userErrors {{ code }} }} }}"
        );
        let request = json!({ "query": document, "variables": { "input": input } });
        let body = self.ask(Some(&user.token), &request).await?;
        let mut data = data(&request, &body)?;
        Ok((request, data[field].take()))
    }

    pub(crate) async fn create(&mut self, user: &User, mine: &mut Vec<Connector>) -> Outcome<()> {
        let mut fields = json!({
            "name": self.name(),
            "type": "CUSTOM",
            "connectorId": "custom_mcp",
            "description": self.description(),
            "category": self.chance.of(&values("category")),
            "status": "ACTIVE",
            "serverUrl": format!("https://mcp.example.com/{}", self.created),
            "serverType": "HTTP",
            "metadata": { "number": self.created },
            "visibility": self.chance.of(&["PRIVATE", "ORGANIZATION"]),
            "revision": 1,
            "createdBy": user.name,
            "organizationId": user.organization,
        });
        let given = [
            "name",
            "description",
            "category",
            "visibility",
            "serverUrl",
            "metadata",
        ];
        let input = given.map(|field| (field.to_owned(), fields[field].clone()));
        let input = Value::Object(input.into_iter().collect());
        let (request, payload) = self.mutate(user, "createCustomConnector", input).await?;
        let made = &payload["personalConnector"];
        for (field, from) in [
            ("id", "id"),
            ("createdAt", "createdAt"),
            ("updatedAt", "createdAt"),
        ] {
            fields[field] = made[from].clone();
        }
        let expected = json!({ "personalConnector": fields, "userErrors": [] });
        same(&request, &payload, &expected)?;
        mine.push(connector(fields));
        Ok(())
    }

    pub(crate) async fn create_what_is_there(
        &mut self,
        user: &User,
        there: &Connector,
    ) -> Outcome<()> {
        let input = json!({
            "name": text(&there.fields["name"]).to_uppercase(),
            "visibility": there.fields["visibility"],
            "serverUrl": "https://mcp.example.com",
        });
        let (request, payload) = self.mutate(user, "createCustomConnector", input).await?;
        let expected = json!({ "personalConnector": null, "userErrors": [{ "code": "TAKEN" }] });
        same(&request, &payload, &expected)
    }

    pub(crate) async fn delete(
        &mut self,
        user: &User,
        mine: &mut Vec<Connector>,
        at: usize,
    ) -> Outcome<()> {
        let id = text(&mine.swap_remove(at).fields["id"]).to_owned();
        let input = json!({ "id": id });
        let (request, payload) = self.mutate(user, "deleteCustomConnector", input).await?;
        same(
            &request,
            &payload,
            &json!({ "deletedId": id, "userErrors": [] }),
        )?;
        self.deleted = Some(id);
        Ok(())
    }

    pub(crate) async fn update(&mut self, user: &User, mine: &mut Connector) -> Outcome<()> {
        let before = &mine.fields;
        let (field, value) = match self.chance.below(5) {
            0 => ("name", self.name()),
            1 => ("description", self.description()),
            2 => ("category", self.chance.of(&values("category")).to_owned()),
            3 if before["visibility"] == "PRIVATE" => ("visibility", "ORGANIZATION".to_owned()),
            3 => ("visibility", "PRIVATE".to_owned()),
            _ => ("status", self.chance.of(&values("status")).to_owned()),
        };
        let mut input = json!({ "id": before["id"], field: value });
        let mut outdated = false;
        let mutation = if field == "status" {
            "setConnectorStatus"
        } else {
            outdated = self.chance.one_in(8);
            let revision = before["revision"].as_u64().unwrap_or_default();
            input["expectedRevision"] = json!(revision + u64::from(outdated));
            "updateCustomConnector"
        };
        let (request, payload) = self.mutate(user, mutation, input).await?;
        if outdated {
            let expected =
                json!({ "personalConnector": before, "userErrors": [{ "code": "CONFLICT" }] });
            return same(&request, &payload, &expected);
        }
        let mut after = before.clone();
        if after[field] != value {
            after[field] = json!(value);
            after["revision"] = json!(before["revision"].as_u64().unwrap_or_default() + 1);
            after["updatedAt"] = payload["personalConnector"]["updatedAt"].clone();
            if micros(text(&after["updatedAt"])) < micros(text(&before["updatedAt"])) {
                return Err(format!("{request}\nwas updated before: {payload}").into());
            }
        }
        let expected = json!({ "personalConnector": after, "userErrors": [] });
        *mine = connector(after);
        same(&request, &payload, &expected)
    }
}

/// Returns the `data` of a response without errors.
pub(crate) fn data(request: &Value, body: &[u8]) -> Outcome<Value> {
    let mut answer: Value = serde_json::from_slice(body)?;
    if answer.get("errors").is_some() {
        return Err(format!("{request}\ngave\n{answer}").into());
    }
    Ok(answer["data"].take())
}

pub(crate) fn same(request: &Value, answer: &Value, expected: &Value) -> Outcome<()> {
    if answer == expected {
        Ok(())
    } else {
        Err(format!("{request}\ngave\n{answer}\nnot\n{expected}").into())
    }
}
