//! A user who asks and writes, and compares each answer with the model.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use serde_json::{Value, json};
use tokio::sync::RwLockReadGuard;

use crate::{
    MEMBERS, Outcome,
    model::{CATEGORIES, CONNECTOR, Connector, Listing, STATUSES, User, WORDS, micros},
};

/// So many connectors a user has at most.
const MOST: usize = 40;

/// Requests of a hundred that write.
const WRITES: u64 = 6;

/// Numbers that repeat with their seed (`SplitMix64`).
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

    /// One in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Somebody who asks.
pub(crate) struct Worker {
    pub(crate) users: Arc<Vec<User>>,
    pub(crate) me: usize,
    pub(crate) sender: http1::SendRequest<Full<Bytes>>,
    pub(crate) chance: Chance,
    /// Numbers what the worker creates.
    pub(crate) created: u64,
    pub(crate) deleted: Option<String>,
    /// The public list, which nothing of all this changes.
    pub(crate) public: (Value, Bytes),
    pub(crate) asked: Arc<AtomicU64>,
}

impl Worker {
    pub(crate) async fn work(mut self, requests: u64) -> Outcome<()> {
        while self.asked.load(Relaxed) < requests {
            if self.chance.below(100) < WRITES {
                self.write().await?;
                // An acknowledged write is there at once.
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

    /// An answer's bytes.
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

    /// Asks as oneself, and gives `data`, in which there must be no error; now and then asks twice, for the same bytes.
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
                let seen = !connector.private || owner.name == users[self.me].name;
                let expected = if seen {
                    connector.json(owner)
                } else {
                    Value::Null
                };
                (connector.id.clone(), expected)
            };
        let document =
            format!("query ById($id: ID!) {{ personalConnector(id: $id) {{ {CONNECTOR} }} }}");
        let request = json!({ "query": document, "variables": { "id": id } });
        let data = self.read(&request).await?;
        same(&request, &data["personalConnector"], &expected)
    }

    pub(crate) fn listing(&mut self, owner: Option<String>) -> Listing {
        let chance = &mut self.chance;
        let search = chance.one_in(3).then(|| {
            let (word, other) = (chance.of(&WORDS), chance.of(&WORDS));
            // A word counts once.
            if chance.one_in(3) && word != other {
                vec![word, other]
            } else {
                vec![word]
            }
        });
        // A search is ordered by relevance, unless it has another order.
        let order = (search.is_none() || chance.one_in(2)).then(|| {
            (
                chance.of(&["NAME", "CREATED_AT", "UPDATED_AT"]),
                chance.one_in(2),
            )
        });
        Listing {
            search,
            owner,
            category: chance.one_in(4).then(|| chance.of(&CATEGORIES)),
            status: chance.one_in(4).then(|| chance.of(&STATUSES)),
            order,
            first: chance.of(&[1, 5, 20]),
            counts: chance.one_in(3),
        }
    }

    /// Asks for a list of these users' connectors, each of whom writes nothing meanwhile; and for its second page.
    pub(crate) async fn list(
        &mut self,
        listing: &Listing,
        owners: &[(&User, RwLockReadGuard<'_, Vec<Connector>>)],
    ) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let me = &users[self.me].name;
        let seen: Vec<_> = owners
            .iter()
            .flat_map(|(owner, connectors)| {
                connectors.iter().map(move |connector| (*owner, connector))
            })
            .filter(|(owner, connector)| !connector.private || owner.name == *me)
            .collect();
        let mut cursor = None;
        for page in 0..2 {
            let request = listing.request(cursor.as_ref());
            let mut data = self.read(&request).await?;
            let list = &mut data["personalConnectors"];
            let end = list["pageInfo"]
                .as_object_mut()
                .and_then(|info| info.remove("endCursor"));
            same(&request, list, &listing.answer(&seen, page * listing.first))?;
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
        let listing = self.listing(Some(owner.name.clone()));
        let connectors = owner.connectors.read().await;
        self.list(&listing, &[(owner, connectors)]).await
    }

    pub(crate) async fn list_of_all(&mut self) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let first = self.me / MEMBERS * MEMBERS;
        let listing = self.listing(None);
        let mut owners = Vec::new();
        // In one order, so that nobody waits for somebody who waits for them.
        for owner in &users[first..first + MEMBERS] {
            owners.push((owner, owner.connectors.read().await));
        }
        self.list(&listing, &owners).await
    }

    /// Without a token there is only what does not change.
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
        let mut connector = Connector {
            id: String::new(),
            name: self.name(),
            description: self.description(),
            category: self.chance.of(&CATEGORIES),
            status: "ACTIVE",
            private: self.chance.one_in(2),
            created_at: String::new(),
            updated_at: String::new(),
            revision: 1,
            number: self.created,
        };
        let input = json!({
            "name": connector.name,
            "description": connector.description,
            "category": connector.category,
            "visibility": connector.visibility(),
            "serverUrl": format!("https://mcp.example.com/{}", connector.number),
            "metadata": { "number": connector.number },
        });
        let (request, payload) = self.mutate(user, "createCustomConnector", input).await?;
        let made = &payload["personalConnector"];
        connector.id = text(&made["id"]);
        connector.created_at = text(&made["createdAt"]);
        connector.updated_at.clone_from(&connector.created_at);
        let expected = json!({ "personalConnector": connector.json(user), "userErrors": [] });
        same(&request, &payload, &expected)?;
        mine.push(connector);
        Ok(())
    }

    pub(crate) async fn create_what_is_there(
        &mut self,
        user: &User,
        there: &Connector,
    ) -> Outcome<()> {
        let input = json!({
            "name": there.name.to_uppercase(),
            "visibility": there.visibility(),
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
        let connector = mine.swap_remove(at);
        let input = json!({ "id": connector.id });
        let (request, payload) = self.mutate(user, "deleteCustomConnector", input).await?;
        same(
            &request,
            &payload,
            &json!({ "deletedId": connector.id, "userErrors": [] }),
        )?;
        self.deleted = Some(connector.id);
        Ok(())
    }

    pub(crate) async fn update(&mut self, user: &User, connector: &mut Connector) -> Outcome<()> {
        let mut after = connector.clone();
        let mut input = json!({ "id": connector.id });
        let mut field = "updateCustomConnector";
        match self.chance.below(5) {
            0 => {
                after.name = self.name();
                input["name"] = json!(after.name);
            }
            1 => {
                after.description = self.description();
                input["description"] = json!(after.description);
            }
            2 => {
                after.category = self.chance.of(&CATEGORIES);
                input["category"] = json!(after.category);
            }
            3 => {
                after.private = !after.private;
                input["visibility"] = json!(after.visibility());
            }
            _ => {
                field = "setConnectorStatus";
                after.status = self.chance.of(&STATUSES);
                input["status"] = json!(after.status);
            }
        }
        let outdated = field == "updateCustomConnector" && self.chance.one_in(8);
        if field == "updateCustomConnector" {
            input["expectedRevision"] = json!(connector.revision + u64::from(outdated));
        }
        let (request, payload) = self.mutate(user, field, input).await?;
        if outdated {
            let expected = json!({ "personalConnector": connector.json(user), "userErrors": [{ "code": "CONFLICT" }] });
            return same(&request, &payload, &expected);
        }
        let changed = connector.json(user) != after.json(user);
        if changed {
            after.revision += 1;
            after.updated_at = text(&payload["personalConnector"]["updatedAt"]);
            if micros(&after.updated_at) < micros(&connector.updated_at) {
                return Err(format!("{request}\nwas updated before: {payload}").into());
            }
        }
        *connector = after;
        let expected = json!({ "personalConnector": connector.json(user), "userErrors": [] });
        same(&request, &payload, &expected)
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The `data` of an answer without errors.
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
