//! Events record enough of connectors to decide whether they are in a list, before and after the change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use entity::{ConnectorType, ConnectorVisibility, Outcome, Timestamp, personal_connector::Model};
use fixtures::{
    model::{Search, Viewer},
    published,
};
use personal_connectors::{
    domain::{
        changes::Event,
        cursor::LogPosition,
        inspection::Inspection,
        listing::{Arguments, Filter, Listing, NameMatch, TimeRange, UptimeRange},
        viewer::{self, Profile, Sight, User},
    },
    store::Catalog,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{
    catalog::filters::filter,
    on_both, on_both_databases,
    support::{
        checks::{found, offering},
        connectors::{edit, official},
        harness::{Server, fixed_clock},
        model::{self, VIEWERS, check, id},
        mutations::{CREATE, DELETE, STATUS, UPDATE, WRITE, draft, text, with},
        process::{program_on, run},
    },
};

/// A list query.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) viewer: Viewer<'static>,
    pub(super) search: Option<Search>,
    pub(super) filter: Value,
}

pub(super) fn a_question() -> impl Strategy<Value = Question> {
    let filter = prop_oneof![Just(Value::Null), filter(1), filter(2), filter(4)];
    (
        select(&VIEWERS[..]),
        option::weighted(0.4, model::search_as_given()),
        filter,
    )
        .prop_map(|(viewer, search, filter)| Question {
            viewer,
            search,
            filter,
        })
}

/// Returns queries about values that are rare in random events.
fn fixed_questions() -> Vec<Question> {
    let [anonymous, of_other, root] = [0, 4, 8].map(|at| VIEWERS[at]);
    let filters = [
        (root, json!({ "hasTools": true })),
        (root, json!({ "outcome": [null] })),
        (anonymous, json!({ "createdBy": ["ann", "bob"] })),
        (of_other, json!({ "createdBy": "ann" })),
    ];
    let filtered = filters.into_iter().map(|(viewer, filter)| Question {
        viewer,
        search: None,
        filter,
    });
    // Words of tools.
    let search = Search {
        text: "git wiki".to_owned(),
        key: "git wiki".to_owned(),
        words: Vec::new(),
        address: None,
    };
    let searched = Question {
        viewer: root,
        search: Some(search),
        filter: Value::Null,
    };
    filtered.chain([searched]).collect()
}

impl Question {
    fn asker(&self) -> viewer::Viewer {
        let Viewer { who, scopes } = self.viewer;
        if who.is_empty() {
            return viewer::Viewer::Anonymous;
        }
        let (id, organization) = match who.split_once('@') {
            Some((id, organization)) => (id, Some(organization.to_owned())),
            None => (who, None),
        };
        viewer::Viewer::User(User {
            id: id.to_owned(),
            organization,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            profile: Profile::default(),
        })
    }

    fn sight(&self) -> Sight {
        self.asker().sight()
    }

    fn listing(&self) -> Listing {
        let arguments = Arguments {
            search: self.search.as_ref().map(|search| search.text.clone()),
            filter: (!self.filter.is_null()).then(|| parsed(&self.filter, &self.asker())),
            ..Arguments::default()
        };
        Listing::parse(arguments).unwrap()
    }

    /// Returns the ids of the list from the service, whose count must agree.
    pub(super) async fn ids(&self, server: &Server) -> BTreeSet<String> {
        let query = "query($search: String, $filter: PersonalConnectorFilter) {
            personalConnectors(search: $search, filter: $filter, orderBy: {field: NAME}, first: 100) { nodes { id } \
            totalCount }
            byGroups: personalConnectors(search: $search, filter: $filter, first: 0) { totalCount facets { outcome { \
            count } } }
        }";
        let search = self.search.as_ref().map(|search| &search.text);
        let variables = json!({ "search": search, "filter": self.filter });
        let token = server.viewer_token(self.viewer);
        let data = server.data(&token, query, variables).await;
        let nodes = data["personalConnectors"]["nodes"].as_array().unwrap();
        for list in ["personalConnectors", "byGroups"] {
            assert_eq!(data[list]["totalCount"], nodes.len(), "{list}: {self:?}");
        }
        let ids = nodes.iter().map(|node| text(&node["id"]).to_owned());
        ids.collect()
    }
}

/// Converts a filter's input object to the domain's form.
fn parsed(filter: &Value, viewer: &viewer::Viewer) -> Filter {
    fn items(value: &Value) -> Option<Vec<Value>> {
        match value {
            Value::Null => None,
            Value::Array(items) => Some(items.clone()),
            item => Some(vec![item.clone()]),
        }
    }
    fn stored<T: DeserializeOwned>(value: &Value) -> T {
        let word = value.as_str().map(str::to_lowercase);
        serde_json::from_value(json!(word)).unwrap()
    }
    fn outcome(value: &Value) -> Option<Outcome> {
        let words = value.as_str()?.split('_');
        let words = words.map(|word| word[..1].to_owned() + &word[1..].to_lowercase());
        serde_json::from_value(words.collect::<String>().into()).unwrap()
    }
    fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Option<Vec<T>> {
        items(value).map(|items| items.iter().map(read).collect())
    }
    fn object<T>(value: &Value, read: impl Fn(&Map<String, Value>) -> T) -> Option<T> {
        value.as_object().map(read)
    }
    fn time(value: Option<&Value>) -> Option<Timestamp> {
        let time = DateTime::parse_from_rfc3339(value?.as_str()?).unwrap();
        Some(time.with_timezone(&Utc).into())
    }
    let of = |name: &str| &filter[name];
    let owned = |value: &Value| text(value).to_owned();
    let range = |name| {
        object(of(name), |range| TimeRange {
            gte: time(range.get("gte")),
            lt: time(range.get("lt")),
        })
    };
    Filter {
        id: list(of("id"), owned),
        r#type: list(of("type"), stored),
        category: list(of("category"), stored),
        status: list(of("status"), stored),
        server_type: list(of("serverType"), stored),
        visibility: list(of("visibility"), stored),
        connector_id: list(of("connectorId"), owned),
        created_by: list(of("createdBy"), owned),
        organization_id: list(of("organizationId"), |id| {
            id.as_str().map(ToOwned::to_owned)
        }),
        owned: [
            ("mine", viewer.own()),
            ("viewerCanUpdate", viewer.updatable()),
        ]
        .into_iter()
        .filter_map(|(name, owner)| Some((owner, of(name).as_bool()?)))
        .collect(),
        outcome: list(of("outcome"), outcome),
        tool_name: list(of("toolName"), owned),
        name: object(of("name"), |name| {
            let part = |part| name.get(part).and_then(Value::as_str);
            NameMatch::new(part("equals"), part("startsWith"))
        }),
        host: list(of("host"), owned),
        has_tools: of("hasTools").as_bool(),
        checked_at: range("checkedAt"),
        uptime: object(of("uptime"), |range| {
            let part = |part| range.get(part).and_then(Value::as_f64);
            UptimeRange::new(part("gte"), part("lt"))
        }),
        created_at: range("createdAt"),
        updated_at: range("updatedAt"),
        and: list(of("and"), |filter| parsed(filter, viewer)),
        or: list(of("or"), |filter| parsed(filter, viewer)),
        not: object(of("not"), |_| Box::new(parsed(of("not"), viewer))),
    }
}

/// A change of the catalogue. Indexes wrap around the existing connectors. A refused change has no effect.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// A file's connectors, in one transaction.
    Insert(Vec<Model>),
    /// A file's new values of a connector.
    Edit(usize, Box<Model>),
    /// Checks of servers, in one transaction.
    Check(Vec<(usize, Inspection)>),
    /// A mutation of some connectors, with this input besides their ids.
    Mutate(&'static str, Vec<usize>, Value),
    /// The mutation that imports a file.
    Import(Value),
}

pub(super) fn a_write() -> impl Strategy<Value = Write> {
    let some = || vec(any::<usize>(), 1..4);
    let mutate = |field, more: BoxedStrategy<Value>| {
        (some(), more).prop_map(move |(at, more)| Write::Mutate(field, at, more))
    };
    let status = || {
        let statuses = select(vec!["ACTIVE", "DEPRECATED", "MAINTENANCE"]);
        statuses
            .prop_map(|status| json!({ "status": status }))
            .boxed()
    };
    let file = (0..8_usize, fields()).prop_map(|(number, fields)| {
        let name = fields.get("name").cloned().unwrap_or("Filed".into());
        let url = fields.get("serverUrl").cloned();
        let url = url.unwrap_or("https://x.example.com".into());
        let id = format!("filed{number}");
        let more = json!({ "name": name, "serverUrl": url, "createdBy": "ann" });
        Write::Import(with(published::custom(&id, "Filed"), more))
    });
    prop_oneof![
        2 => vec(model::row().prop_map(longer), 1..4).prop_map(Write::Insert),
        3 => (any::<usize>(), model::row().prop_map(longer)).prop_map(|(at, row)| Write::Edit(at, Box::new(row))),
        4 => vec((any::<usize>(), an_inspection()), 1..4).prop_map(Write::Check),
        2 => mutate(CREATE, fields().boxed()),
        4 => mutate(UPDATE, fields().boxed()),
        2 => mutate(STATUS, (status(), option::of(any::<usize>())).prop_map(|(status, by)| {
            with(status, json!({ "replacedById": by }))
        }).boxed()),
        1 => mutate("setConnectorStatuses", status()),
        1 => mutate(DELETE, Just(json!({})).boxed()),
        1 => mutate("deleteCustomConnectors", Just(json!({})).boxed()),
        2 => mutate("updateCatalogConnectors", fields().prop_map(|mut fields| {
            fields.as_object_mut().unwrap().retain(|name, _| ["category", "description"].contains(&name.as_str()));
            fields
        }).boxed()),
        1 => file,
    ]
}

/// Some fields of a connector's input.
fn fields() -> impl Strategy<Value = Value> {
    fn field(
        name: &'static str,
        values: &[Value],
    ) -> impl Strategy<Value = Option<(String, Value)>> + use<> {
        option::weighted(0.4, select(values.to_vec()))
            .prop_map(move |value| Some((name.to_owned(), value?)))
    }
    let names = ["GitHub", "eclair PRO", "Wiki", "日本", "++"];
    let urls = [
        json!("https://MCP.example.com/wiki/"),
        json!("https://mcp.example.com:8000"),
        Value::Null,
    ];
    (
        field("name", &names.map(Value::from)),
        field(
            "description",
            &[json!("Git for teams"), long().into(), Value::Null],
        ),
        field(
            "category",
            &["DESIGN", "CUSTOM", "PRODUCTIVITY"].map(Value::from),
        ),
        field("serverUrl", &urls),
        field(
            "serverType",
            &["HTTP", "WEBSOCKET", "STDIO"].map(Value::from),
        ),
        field(
            "visibility",
            &["PRIVATE", "ORGANIZATION", "PUBLIC"].map(Value::from),
        ),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            let given = [a, b, c, d, e, f].into_iter().flatten();
            Value::Object(given.collect())
        })
}

fn an_inspection() -> impl Strategy<Value = Inspection> {
    let tools: [&[(&str, &str)]; 3] = [&[], &[("git_wiki", "For teams")], &[("pro", "Of 日")]];
    prop_oneof![
        1 => select(vec![
            Outcome::Open,
            Outcome::Timeout,
            Outcome::Blocked,
            Outcome::NotCheckable
        ])
        .prop_map(found),
        2 => select(tools.to_vec()).prop_map(offering),
    ]
}

/// Returns a description with more words than an event records.
fn long() -> String {
    let words: Vec<_> = (0..300).map(|number| format!("w{number}")).collect();
    words.join(" ") + " wiki"
}

/// Gives some rows a long description.
fn longer(row: Model) -> Model {
    let is_long = row.status == entity::ConnectorStatus::Maintenance;
    let description = if is_long {
        Some(long())
    } else {
        row.description
    };
    Model { description, ..row }
}

/// The existing connectors, and the observed events.
#[derive(Debug, Default)]
pub(super) struct World {
    made: usize,
    pub(super) rows: Vec<Model>,
    /// The last state of each connector that an event recorded.
    last: BTreeMap<String, String>,
}

impl World {
    pub(super) async fn write(&mut self, server: &Server, write: &Write) {
        let root = server.token("ann@acme", &["connectors:admin", "catalog:admin"]);
        let count = self.rows.len().max(1);
        let at = |at: &usize| self.rows.get(*at % count);
        match write {
            Write::Insert(rows) => {
                let rows = rows.iter().cloned().map(|row| {
                    self.made += 1;
                    Model {
                        id: id(self.made),
                        ..row
                    }
                });
                let rows = rows.collect();
                let _refused = server.try_insert(rows).await;
            }
            Write::Edit(place, row) => {
                let Some(before) = at(place) else { return };
                let mut tx = server.begin().await;
                let edited = tx
                    .update(before, edit(&kept(before, (**row).clone())))
                    .await;
                match edited.unwrap() {
                    Ok(_) => drop(tx.commit().await.unwrap()),
                    Err(_) => tx.rollback().await,
                }
            }
            Write::Check(checks) => {
                let checks = checks
                    .iter()
                    .filter_map(|(place, found)| Some((at(place)?.id.clone(), found.clone())));
                let checks = checks.collect();
                server.record(checks).await;
            }
            Write::Mutate(field, places, more) => {
                let ids: BTreeSet<_> = places
                    .iter()
                    .filter_map(at)
                    .map(|row| row.id.clone())
                    .collect();
                let ids: Vec<_> = ids.into_iter().collect();
                let mut more = more.clone();
                if let Some(by) = more.get("replacedById").and_then(Value::as_u64) {
                    let by = at(&usize::try_from(by).unwrap());
                    more["replacedById"] = json!(by.map(|row| &row.id));
                }
                let input = match *field {
                    CREATE => draft("Made", more),
                    UPDATE | STATUS | DELETE => with(
                        json!({ "id": ids.first().map_or("pcon_none", String::as_str) }),
                        more,
                    ),
                    _ => with(json!({ "ids": ids, "errorPolicy": "SKIP_FAILED" }), more),
                };
                let (first, rest) = field.split_at(1);
                let input_type = format!("{}{rest}Input", first.to_uppercase());
                let document = format!(
                    "mutation($input: {input_type}!) {{ {field}(input: $input) {{ userErrors {{ code }} }} }}"
                );
                server
                    .execute(&root, &document, json!({ "input": input }))
                    .await;
            }
            Write::Import(object) => {
                let document =
                    "mutation($content: String!) { importConnectors(input: {content: $content, \
                    organizationId: \"acme\"}) {
                    report { created updated rejected } userErrors { code } } }";
                let content = json!([object]).to_string();
                server
                    .data(&root, document, json!({ "content": content }))
                    .await;
            }
        }
    }
}

/// Returns the existing connectors.
pub(super) async fn rows(server: &Server) -> Vec<Model> {
    let ids = server
        .rows("SELECT id FROM personal_connector ORDER BY id")
        .await;
    let ids: Vec<_> = ids.lines().map(ToOwned::to_owned).collect();
    let tx = server.begin().await;
    let rows = tx.get(&Sight::Everything, &ids).await.unwrap();
    tx.rollback().await;
    rows
}

/// Returns a row's values for a connector, which keeps its organization or stays without one.
fn kept(before: &Model, row: Model) -> Model {
    let is_custom = before.r#type == ConnectorType::Custom;
    let r#type = if is_custom || row.r#type == ConnectorType::Custom {
        before.r#type
    } else {
        row.r#type
    };
    let visibility = match row.visibility {
        _ if !is_custom => ConnectorVisibility::Public,
        ConnectorVisibility::Organization if before.organization_id.is_none() => {
            ConnectorVisibility::Private
        }
        visibility => visibility,
    };
    Model {
        r#type,
        visibility,
        seq: before.seq,
        id: before.id.clone(),
        connector_id: before.connector_id.clone(),
        organization_id: before.organization_id.clone(),
        created_by: row.created_by.filter(|_| is_custom),
        source: before.source,
        ..row
    }
}

/// Counts of distinct results, so that a property without comparisons fails.
#[derive(Debug, Default)]
struct Seen {
    answers: BTreeMap<Option<bool>, usize>,
    changes: BTreeSet<String>,
}

on_both! {
    async fn an_event_tells_whether_a_connector_was_in_a_list_and_is(server: Server) {
        let seen = Mutex::new(Seen::default());
        let cases = (vec(a_write(), 4..12), vec(a_question(), 3));
        check(24, cases, |(writes, mut questions)| {
            questions.extend(fixed_questions());
            let (server, seen) = (&server, &seen);
            async move {
                server.clear().await;
                let all = Catalog::new(server.database.clone(), Sight::Everything);
                let asked: Vec<_> = questions
                    .iter()
                    .map(|question| (question.listing(), question.sight()))
                    .collect();
                let ids = async || {
                    let mut ids = Vec::new();
                    for question in &questions {
                        ids.push(question.ids(server).await);
                    }
                    ids
                };
                let mut world = World::default();
                let mut before = ids().await;
                for write in &writes {
                    let state = server.state().await;
                    world.write(server, write).await;
                    let after = ids().await;
                    let first = LogPosition {
                        number: state + 1,
                        mark: 0,
                    };
                    let events = all.all_events(first, i64::MAX).await.unwrap();
                    let states: Vec<_> = events.iter().map(Event::states).collect();
                    let mut sides: BTreeMap<String, [_; 2]> = BTreeMap::new();
                    for states in &states {
                        let id = states[1].or(states[0]).unwrap().id().to_owned();
                        let [earlier, later] =
                            states.map(|state| state.map(|state| format!("{state:?}")));
                        // The state before a change equals the state after the previous one.
                        prop_assert_eq!(&world.last.remove(&id), &earlier, "{:?}", write);
                        if let Some(later) = later {
                            world.last.insert(id.clone(), later);
                        }
                        sides.entry(id).or_insert(*states)[1] = states[1];
                    }
                    for (id, sides) in &sides {
                        for (side, lists) in sides.iter().zip([&before, &after]) {
                            for (at, (listing, sight)) in asked.iter().enumerate() {
                                let carried =
                                    side.map_or(Some(false), |state| listing.has(state, sight));
                                *seen.lock().unwrap().answers.entry(carried).or_default() += 1;
                                if let Some(has) = carried {
                                    prop_assert_eq!(
                                        has,
                                        lists[at].contains(id),
                                        "{:#?} {:#?} {:#?}",
                                        side,
                                        questions[at],
                                        write
                                    );
                                }
                            }
                        }
                    }
                    let kinds = sides
                        .values()
                        .map(|[before, after]| format!("{} {}", before.is_some(), after.is_some()));
                    let name = format!("{write:?}");
                    let name = name.split(['[', '{']).next().unwrap_or_default().to_owned();
                    seen.lock()
                        .unwrap()
                        .changes
                        .extend(kinds.map(|kind| format!("{name} {kind}")));
                    world.rows = rows(server).await;
                    before = after;
                }
                Ok(())
            }
        });
        let Seen { answers, changes } = seen.into_inner().unwrap();
        let count = |answer| answers.get(&answer).copied().unwrap_or_default();
        let known = count(Some(true)) + count(Some(false));
        assert!(
            count(Some(true)) > 50 && known > 4 * count(None) && count(None) > 0,
            "{answers:?}"
        );
        assert!(changes.len() >= 9, "{changes:?}");
    }

    /// An event of an earlier or newer version leaves only the missing state unknown.
    async fn an_event_without_a_record_tells_what_its_columns_say(server: Server) {
        let state = server.state().await;
        server.insert(vec![official("wiki", "Wiki")]).await;
        let read = async || {
            let all = Catalog::new(server.database.clone(), Sight::Everything);
            let first = LogPosition {
                number: state + 1,
                mark: 0,
            };
            all.all_events(first, i64::MAX)
                .await
                .unwrap()
                .pop()
                .unwrap()
        };
        let listing = |filter| {
            Listing::parse(Arguments {
                filter: Some(parsed(&filter, &viewer::Viewer::Anonymous)),
                ..Arguments::default()
            })
            .unwrap()
        };
        let lists = [
            json!({ "type": "OFFICIAL" }),
            json!({ "status": "MAINTENANCE" }),
            json!({ "name": { "equals": "wiki" } }),
            json!({ "name": { "equals": "x" }, "status": "ACTIVE" }),
            json!({ "or": [{ "type": "OFFICIAL" }, { "hasTools": true }] }),
        ]
        .map(listing);
        let answers = async || {
            let event = read().await;
            let [before, after] = event.states();
            assert!(before.is_none());
            lists
                .each_ref()
                .map(|list| list.has(after.unwrap(), &Sight::Everything))
        };
        let carried = [Some(true), Some(false), Some(true), Some(false), Some(true)];
        assert_eq!(answers().await, carried);
        for record in ["NULL", "'{}'", "'{\"after\":{\"colour\":1}}'"] {
            server
                .rows(&format!(
                    "UPDATE connector_event SET record = {record} WHERE number > {state}"
                ))
                .await;
            assert_eq!(
                answers().await,
                [Some(true), Some(false), None, None, Some(true)],
                "{record}"
            );
        }
        // The feed continues.
        let query = "{ personalConnectorChanges(last: 1) { nodes { kind } } }";
        let data = server.data("", query, json!({})).await;
        assert_eq!(
            data["personalConnectorChanges"]["nodes"],
            json!([{ "kind": "CREATED" }])
        );
    }
}

on_both_databases! {
    /// The database of the previous version is migrated. Its events have no record, and later events have one.
    async fn events_of_the_version_before_carry_no_record(storage: TestDatabase) {
        let storage = Arc::new(storage);
        let server = Box::pin(Server::start(storage.clone(), &[], fixed_clock())).await;
        let ann = server.token("ann@acme", WRITE);
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        drop(server);
        let names = migration::names();
        let at = names
            .iter()
            .position(|name| name.ends_with("event_records"))
            .unwrap();
        run(program_on(&storage, &["migrate", "--to", &names[at - 1]])).ok();
        run(program_on(&storage, &["migrate"])).ok();
        run(program_on(&storage, &["check-database"])).ok();

        let server = Box::pin(Server::start(storage.clone(), &[], fixed_clock())).await;
        assert_eq!(
            server
                .rows("SELECT number FROM connector_event WHERE record IS NOT NULL")
                .await,
            ""
        );
        let ann = server.token("ann@acme", WRITE);
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "name": "Pages" }))
            .await;
        let all = Catalog::new(server.database.clone(), Sight::Everything);
        let events = all
            .all_events(LogPosition { number: 0, mark: 0 }, i64::MAX)
            .await
            .unwrap();
        let of_wiki = events
            .iter()
            .flat_map(Event::states)
            .flatten()
            .filter(|state| state.id() == wiki);
        let filter = parsed(
            &json!({ "name": { "equals": "wiki" } }),
            &viewer::Viewer::Anonymous,
        );
        let list = Listing::parse(Arguments {
            filter: Some(filter),
            ..Arguments::default()
        })
        .unwrap();
        let told: Vec<_> = of_wiki
            .map(|state| list.has(state, &Sight::Everything))
            .collect();
        assert_eq!(told, [None, Some(true), Some(false)]);

        let state = server.state().await;
        for record in ["x", "{}", "{\"after\":{}}"] {
            let kept = server
                .rows(&format!(
                    "SELECT record FROM connector_event WHERE number = {state}"
                ))
                .await;
            server
                .rows(&format!(
                    "UPDATE connector_event SET record = '{record}' WHERE number = {state}"
                ))
                .await;
            let told = run(program_on(&storage, &["check-database"])).failed(1);
            assert!(
                told.contains(&format!("number {state}: its record is of other sides")),
                "{told}"
            );
            server
                .rows(&format!(
                    "UPDATE connector_event SET record = '{}' WHERE number = {state}",
                    kept.trim()
                ))
                .await;
            run(program_on(&storage, &["check-database"])).ok();
        }
    }
}
