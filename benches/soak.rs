//! Asks the release build for a long time, with writes in between, and compares every answer with a model.
//!
//! `soak [--requests N] [--workers N] [--binary FILE] [--database-url URL] [-- FLAG …]` starts the service on an SQLite database of
//! its own, or on the empty one of a URL, and ends with an error at the first answer that is not the model's, and when the
//! service's memory grew.
//!
//! Each worker has a user and a connection of its own. Of each user there is a model; its lock is held while they write or are
//! read of, so that all that was answered before must be in an answer, and nothing else.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write,
    fs,
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
use chrono::DateTime;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    sync::{RwLock, RwLockReadGuard},
    task::JoinSet,
    time::sleep,
};

/// What is wrong, with all that is needed to see it.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Users of one organization, who see some of each other's connectors.
const MEMBERS: usize = 4;

/// So many connectors a user has at most.
const MOST: usize = 40;

/// Of a hundred requests so many write.
const WRITES: u64 = 6;

const SECRET: &str = "a secret of the soak, of 32 bytes at least";

const WORDS: [&str; 12] = [
    "calendar", "quasar", "mail", "mailbox", "obelisk", "issue", "deploy", "metric", "halyard",
    "ticket", "team", "teamwork",
];

const CATEGORIES: [&str; 5] = [
    "PRODUCTIVITY",
    "DEVELOPMENT",
    "COMMUNICATION",
    "DESIGN",
    "CUSTOM",
];
const STATUSES: [&str; 3] = ["ACTIVE", "DEPRECATED", "MAINTENANCE"];

/// All that is asked of a connector.
const CONNECTOR: &str = "id name type connectorId description category status serverUrl serverType metadata visibility createdAt \
     updatedAt revision createdBy organizationId";

/// A connector as the service should give it.
#[derive(Clone, Debug)]
struct Connector {
    id: String,
    name: String,
    description: String,
    category: &'static str,
    status: &'static str,
    private: bool,
    /// As the service told them; what order they give is by [`micros`].
    created_at: String,
    updated_at: String,
    revision: u64,
    number: u64,
}

impl Connector {
    fn visibility(&self) -> &'static str {
        if self.private {
            "PRIVATE"
        } else {
            "ORGANIZATION"
        }
    }

    fn json(&self, owner: &User) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "type": "CUSTOM",
            "connectorId": "custom_mcp",
            "description": self.description,
            "category": self.category,
            "status": self.status,
            "serverUrl": format!("https://mcp.example.com/{}", self.number),
            "serverType": "HTTP",
            "metadata": { "number": self.number },
            "visibility": self.visibility(),
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "revision": self.revision,
            "createdBy": owner.name,
            "organizationId": owner.organization,
        })
    }
}

/// RFC 3339 as microseconds.
fn micros(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time).map_or(i64::MIN, |time| time.timestamp_micros())
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[derive(Debug)]
struct User {
    name: String,
    organization: String,
    token: String,
    connectors: RwLock<Vec<Connector>>,
}

/// What a list is of.
#[derive(Clone, Debug, Default)]
struct Listing {
    search: Option<Vec<&'static str>>,
    /// Whose; of everybody in the organization where there is none.
    owner: Option<String>,
    category: Option<&'static str>,
    status: Option<&'static str>,
    order: Option<(&'static str, bool)>,
    first: usize,
    counts: bool,
}

impl Listing {
    fn filter(&self) -> Value {
        let mut filter = json!({ "visibility": ["PRIVATE", "ORGANIZATION"] });
        if let Some(owner) = &self.owner {
            filter["createdBy"] = json!([owner]);
        }
        if let Some(category) = self.category {
            filter["category"] = json!([category]);
        }
        if let Some(status) = self.status {
            filter["status"] = json!([status]);
        }
        filter
    }

    fn request(&self, after: Option<&Value>) -> Value {
        let counts = if self.counts {
            "totalCount facets { category { value count } status { value count } type { value count } serverType { value count } }"
        } else {
            ""
        };
        let document = format!(
            "query List($search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder, $first: Int, \
             $after: String) {{ personalConnectors(search: $search, filter: $filter, orderBy: $order, first: $first, after: \
             $after) {{ nodes {{ {CONNECTOR} }} pageInfo {{ hasNextPage endCursor }} {counts} }} }}"
        );
        let order = self.order.map(|(field, descending)| {
            json!({ "field": field, "direction": if descending { "DESC" } else { "ASC" } })
        });
        json!({
            "query": document,
            "variables": {
                "search": self.search.as_ref().map(|words| words.join(" ")),
                "filter": self.filter(),
                "order": order,
                "first": self.first,
                "after": after,
            },
        })
    }

    fn category(&self, connector: &Connector) -> bool {
        self.category
            .is_none_or(|category| connector.category == category)
    }

    fn status(&self, connector: &Connector) -> bool {
        self.status.is_none_or(|status| connector.status == status)
    }

    /// How well a connector is found, best first: by its whole name, by words of the name, with those of its connectorId, with those
    /// of its description.
    fn tier(&self, connector: &Connector) -> Option<u8> {
        let Some(search) = &self.search else {
            return Some(0);
        };
        let has = |words: &BTreeSet<String>| {
            search.iter().enumerate().all(|(at, word)| {
                if at + 1 == search.len() {
                    words.iter().any(|other| other.starts_with(word))
                } else {
                    words.contains(*word)
                }
            })
        };
        let mut fields = words(&connector.name);
        let mut tier = Some(1).filter(|_| has(&fields));
        for (at, field) in [(2, "custom_mcp"), (3, &connector.description)] {
            fields.append(&mut words(field));
            tier = tier.or(Some(at).filter(|_| has(&fields)));
        }
        let exact = connector.name.to_lowercase() == search.join(" ");
        tier.map(|tier| if exact { 0 } else { tier })
    }

    /// What the list should be: of all that the viewer sees of these, each with who owns it.
    fn answer(&self, seen: &[(&User, &Connector)], from: usize) -> Value {
        let found: Vec<_> = seen
            .iter()
            .filter_map(|(owner, connector)| Some((self.tier(connector)?, *owner, *connector)))
            .collect();
        let mut listed: Vec<_> = found
            .iter()
            .filter(|(_, _, connector)| self.category(connector) && self.status(connector))
            .collect();
        listed.sort_by(|(tier, _, one), (other_tier, _, other)| {
            let names = one.name.to_lowercase().cmp(&other.name.to_lowercase());
            let ids = one.id.cmp(&other.id);
            // Ids break ties upwards in an order's natural direction; the other direction is the exact reverse.
            let times = |one: &str, other: &str| micros(other).cmp(&micros(one)).then(ids);
            let (natural, reverse) = match self.order {
                Some(("CREATED_AT", descending)) => {
                    (times(&one.created_at, &other.created_at), !descending)
                }
                Some(("UPDATED_AT", descending)) => {
                    (times(&one.updated_at, &other.updated_at), !descending)
                }
                Some((_, descending)) => (names.then(ids), descending),
                None => (tier.cmp(other_tier).then(names).then(ids), false),
            };
            if reverse { natural.reverse() } else { natural }
        });
        let page = listed.iter().skip(from).take(self.first);
        let mut answer = json!({
            "nodes": page.map(|(_, owner, connector)| connector.json(owner)).collect::<Vec<_>>(),
            "pageInfo": { "hasNextPage": listed.len() > from + self.first },
        });
        if self.counts {
            let count = |values: &[Option<&str>], is: &dyn Fn(&Connector, Option<&str>) -> bool| {
                let count = |value| {
                    found
                        .iter()
                        .filter(|(_, _, connector)| is(connector, value))
                        .count()
                };
                let counts = values
                    .iter()
                    .map(|value| json!({ "value": value, "count": count(*value) }));
                Value::Array(counts.collect())
            };
            let all = |connector: &Connector| self.category(connector) && self.status(connector);
            answer["totalCount"] = json!(listed.len());
            answer["facets"] = json!({
                "category": count(&[CATEGORIES.map(Some).as_slice(), &[None]].concat(), &|connector, value| {
                    self.status(connector) && Some(connector.category) == value
                }),
                "status": count(&STATUSES.map(Some), &|connector, value| {
                    self.category(connector) && Some(connector.status) == value
                }),
                "type": count(&["OFFICIAL", "AITRONOS_BUILT", "CUSTOM"].map(Some), &|connector, value| {
                    all(connector) && value == Some("CUSTOM")
                }),
                "serverType": count(&[Some("HTTP"), Some("WEBSOCKET"), Some("STDIO"), None], &|connector, value| {
                    all(connector) && value == Some("HTTP")
                }),
            });
        }
        answer
    }
}

/// Numbers that repeat with their seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.index(values.len())]
    }

    /// One in so many times.
    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Somebody who asks.
struct Worker {
    users: Arc<Vec<User>>,
    me: usize,
    sender: http1::SendRequest<Full<Bytes>>,
    chance: Chance,
    /// Numbers what the worker creates.
    created: u64,
    deleted: Option<String>,
    /// The public list, which nothing of all this changes.
    public: (Value, Bytes),
    asked: Arc<AtomicU64>,
}

impl Worker {
    async fn work(mut self, requests: u64) -> Outcome<()> {
        while self.asked.load(Relaxed) < requests {
            if self.chance.below(100) < WRITES {
                self.write().await?;
                // What was acknowledged is there at once.
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
    async fn ask(&mut self, token: Option<&str>, request: &Value) -> Outcome<Bytes> {
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
    async fn read(&mut self, request: &Value) -> Outcome<Value> {
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

    async fn find(&mut self) -> Outcome<()> {
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

    fn listing(&mut self, owner: Option<String>) -> Listing {
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
        // By relevance a search alone is ordered, unless it says otherwise.
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
    async fn list(
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

    async fn list_mine(&mut self) -> Outcome<()> {
        self.list_of(self.me).await
    }

    async fn list_of_a_colleague(&mut self) -> Outcome<()> {
        let colleague = self.me / MEMBERS * MEMBERS + self.chance.index(MEMBERS);
        self.list_of(colleague).await
    }

    async fn list_of(&mut self, owner: usize) -> Outcome<()> {
        let users = Arc::clone(&self.users);
        let owner = &users[owner];
        let listing = self.listing(Some(owner.name.clone()));
        let connectors = owner.connectors.read().await;
        self.list(&listing, &[(owner, connectors)]).await
    }

    async fn list_of_all(&mut self) -> Outcome<()> {
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
    async fn list_publicly(&mut self) -> Outcome<()> {
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

    async fn write(&mut self) -> Outcome<()> {
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

    fn description(&mut self) -> String {
        let mut description = String::from("connects");
        for _ in 0..self.chance.below(6) {
            let _ = write!(description, " {}", self.chance.of(&WORDS));
        }
        description
    }

    fn name(&mut self) -> String {
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

    async fn mutate(&mut self, user: &User, field: &str, input: Value) -> Outcome<(Value, Value)> {
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

    async fn create(&mut self, user: &User, mine: &mut Vec<Connector>) -> Outcome<()> {
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

    async fn create_what_is_there(&mut self, user: &User, there: &Connector) -> Outcome<()> {
        let input = json!({
            "name": there.name.to_uppercase(),
            "visibility": there.visibility(),
            "serverUrl": "https://mcp.example.com",
        });
        let (request, payload) = self.mutate(user, "createCustomConnector", input).await?;
        let expected = json!({ "personalConnector": null, "userErrors": [{ "code": "TAKEN" }] });
        same(&request, &payload, &expected)
    }

    async fn delete(&mut self, user: &User, mine: &mut Vec<Connector>, at: usize) -> Outcome<()> {
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

    async fn update(&mut self, user: &User, connector: &mut Connector) -> Outcome<()> {
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The `data` of an answer without errors.
fn data(request: &Value, body: &[u8]) -> Outcome<Value> {
    let mut answer: Value = serde_json::from_slice(body)?;
    if answer.get("errors").is_some() {
        return Err(format!("{request}\ngave\n{answer}").into());
    }
    Ok(answer["data"].take())
}

fn same(request: &Value, answer: &Value, expected: &Value) -> Outcome<()> {
    if answer == expected {
        Ok(())
    } else {
        Err(format!("{request}\ngave\n{answer}\nnot\n{expected}").into())
    }
}

/// The service, as long as this lives.
struct Service {
    process: Child,
    address: String,
    /// It may say more.
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
            // Whose servers the model's connectors have is nobody's business.
            .env("CONNECTORS_MONITOR", "false")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = process.stdout.take().ok_or("no standard output")?;
        let mut out = BufReader::new(out);
        // It says where it listens as soon as it does.
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

    /// Resident and its own, in MiB; none where the system does not tell. The pages of the database that it reads as memory are the
    /// system's, and grow with the database.
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
    binary: PathBuf,
    database_url: Option<String>,
    flags: Vec<String>,
}

impl Options {
    fn parse() -> Outcome<Self> {
        let mut options = Self {
            requests: 2_000_000,
            workers: 16,
            // Beside this one.
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

/// Memory that grows until the end, when what is kept of answers and documents has long been full, is lost.
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
