//! The feed of changes: what each viewer is told, from where to where, and that a copy that follows it is the list.

use std::collections::BTreeMap;

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp,
    personal_connector::Model,
};
use personal_connectors::{
    domain::cursor::of_changes,
    store::{Actor, Tx, UpdatedAt},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{
    on_both, on_both_databases,
    support::{
        connectors::{custom, official},
        harness::{NOW, Server, timestamp},
        model::{VIEWERS, Viewer, check, id},
        mutations::{ADMIN, CREATE, DELETE, STATUS, UPDATE, WRITE, draft, text},
        process::{Serving, program_on, token},
    },
};

const CHANGES: &str = "query($after: String, $first: Int, $filter: PersonalConnectorChangeFilter) {
    personalConnectorChanges(after: $after, first: $first, filter: $filter) {
        nodes { kind personalConnectorId personalConnector { id revision } changedFields revision actor occurredAt }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

impl Server {
    /// A page of the feed.
    async fn changes(&self, token: &str, variables: Value) -> Value {
        let mut data = self.data(token, CHANGES, variables).await;
        data["personalConnectorChanges"].take()
    }

    /// Where the changes begin that a list does not have.
    async fn now(&self, token: &str) -> String {
        let query = "{ personalConnectors(first: 0) { changesCursor } }";
        let data = self.data(token, query, json!({})).await;
        text(&data["personalConnectors"]["changesCursor"]).to_owned()
    }

    /// The one error of a query: its code and message.
    async fn refusal(&self, query: &str, variables: Value) -> (String, String) {
        let answer = self.execute("", query, variables).await;
        let error = &answer["errors"][0];
        assert_eq!(answer["data"], Value::Null, "{answer}");
        (
            text(&error["extensions"]["code"]).to_owned(),
            text(&error["message"]).to_owned(),
        )
    }
}

/// A page's changes, a line each, ids by their names.
fn lines(page: &Value, names: &[(&str, &str)]) -> String {
    let line = |node: &Value| {
        let id = text(&node["personalConnectorId"]);
        let (name, _) = names.iter().find(|(_, own)| *own == id).unwrap();
        let fields: Vec<_> = node["changedFields"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        format!(
            "{:<7} {name:<5} at {} now {} by {} {}\n",
            text(&node["kind"]),
            node["revision"],
            node["personalConnector"]["revision"],
            node["actor"].as_str().unwrap_or("-"),
            fields.join(",")
        )
    };
    let nodes = page["nodes"].as_array().unwrap();
    nodes.iter().map(line).collect()
}

on_both! {
    async fn each_is_told_what_they_saw_and_see(server: Server) {
        let (ann, boss) = (server.token("ann@acme", WRITE), server.token("boss@acme", ADMIN));
        let after = server.now("").await;
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        let open = server.create(&boss, "Open", "PUBLIC").await;
        for (token, field, input) in [
            (&ann, UPDATE, json!({ "id": wiki, "description": "Pages", "category": "DESIGN" })),
            (&ann, UPDATE, json!({ "id": wiki, "visibility": "ORGANIZATION", "version": "1.0.0" })),
            (&boss, UPDATE, json!({ "id": wiki, "visibility": "PUBLIC" })),
            (&boss, STATUS, json!({ "id": wiki, "status": "DEPRECATED", "replacedById": open })),
            (&ann, UPDATE, json!({ "id": wiki, "visibility": "PRIVATE" })),
            (&boss, DELETE, json!({ "id": open })),
            (&ann, UPDATE, json!({ "id": wiki, "visibility": "ORGANIZATION" })),
            // A change of nothing is none.
            (&ann, UPDATE, json!({ "id": wiki, "visibility": "ORGANIZATION" })),
        ] {
            server.change(token, field, input).await;
        }
        let mut told = String::new();
        for (who, scopes) in [("", &[][..]), ("ann@acme", WRITE), ("bob@acme", &[]), ("cid@other", &[]), ("ann", &[])] {
            let token = if who.is_empty() { String::new() } else { server.token(who, scopes) };
            let page = server.changes(&token, json!({ "after": after })).await;
            assert_eq!(page["pageInfo"]["hasNextPage"], false);
            let lines = lines(&page, &[("Wiki", &wiki), ("Open", &open)]);
            told.extend([who, "\n", &lines, "\n"]);
        }
        insta::assert_snapshot!("told", told);
    }

    async fn pages_follow_each_other(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        for name in ["A", "B", "C"] {
            server.create(&ann, name, "PRIVATE").await;
        }
        // All that is kept: the catalogue of five and three more.
        let all = server.changes(&ann, json!({})).await;
        assert_eq!(all["nodes"].as_array().unwrap().len(), 8);
        assert_eq!(all["pageInfo"]["hasPreviousPage"], false);
        let (mut after, mut pages) = (Value::Null, Vec::new());
        loop {
            let page = server.changes(&ann, json!({ "after": after, "first": 3 })).await;
            assert_eq!(page["pageInfo"]["hasPreviousPage"], after != Value::Null);
            after = page["pageInfo"]["endCursor"].clone();
            pages.extend(page["nodes"].as_array().unwrap().clone());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(json!(pages), all["nodes"]);
        // All cursors of a state are one, and an empty page has it too.
        assert_eq!(after, json!(server.now(&ann).await));
        let empty = server.changes(&ann, json!({ "after": after })).await;
        assert_eq!(empty, json!({
            "nodes": [],
            "pageInfo": { "hasNextPage": false, "hasPreviousPage": true, "startCursor": null, "endCursor": after },
        }));
        let none = server.changes(&ann, json!({ "first": 0 })).await;
        assert_eq!(none["pageInfo"]["hasNextPage"], true);
        let again = server.changes(&ann, json!({ "after": none["pageInfo"]["endCursor"] })).await;
        assert_eq!(again["nodes"], all["nodes"]);

        let query = "{ personalConnectorChanges(first: 2) { edges { cursor node { cursor } } pageInfo { startCursor endCursor } } }";
        let data = server.data(&ann, query, json!({})).await;
        let page = &data["personalConnectorChanges"];
        let cursors = [0, 1].map(|at| page["edges"][at]["cursor"].clone());
        assert_eq!(cursors, [0, 1].map(|at| page["edges"][at]["node"]["cursor"].clone()));
        assert_eq!(page["pageInfo"], json!({ "startCursor": cursors[0], "endCursor": cursors[1] }));
    }

    async fn arguments_are_refused_by_name(server: Server) {
        let list = "query($after: String) { personalConnectors(first: 1, after: $after) { changesCursor pageInfo { endCursor } } }";
        let data = server.data("", list, json!({})).await;
        let (of_list, cursor_of_changes) = (
            data["personalConnectors"]["pageInfo"]["endCursor"].clone(),
            data["personalConnectors"]["changesCursor"].clone(),
        );
        let ids: Vec<_> = (0..101).map(|i| format!("pcon_{i}")).collect();
        for (query, variables, message) in [
            (CHANGES, json!({ "after": of_list }), "after is a cursor of a list of connectors"),
            (list, json!({ "after": cursor_of_changes }), "after is a cursor of changes"),
            (CHANGES, json!({ "after": "5" }), "after must be a cursor"),
            (CHANGES, json!({ "after": "" }), "after must be a cursor"),
            (CHANGES, json!({ "first": 101 }), "first must be from 0 to 100"),
            (CHANGES, json!({ "first": -1 }), "first must be from 0 to 100"),
            (CHANGES, json!({ "filter": { "personalConnectorId": ids } }), "filter must have at most 100 values"),
        ] {
            let (code, told) = server.refusal(query, variables).await;
            assert_eq!(code, "BAD_USER_INPUT", "{told}");
            assert!(told.starts_with(message), "{told}");
        }
    }

    /// The state was further on when the cursor was given: in another database, or before a backup was restored.
    async fn a_cursor_ahead_of_the_state_has_expired(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let before = server.state().await;
        server.create(&ann, "Wiki", "PRIVATE").await;
        let after = server.now("").await;
        server.rows(&format!("DELETE FROM connector_event WHERE number > {before}")).await;
        server.rows(&format!("UPDATE catalog_state SET state = {before}")).await;
        let (code, told) = server.refusal(CHANGES, json!({ "after": after })).await;
        assert_eq!(code, "CURSOR_EXPIRED");
        assert!(told.contains("start over"), "{told}");
    }

    async fn old_events_are_forgotten_and_the_rest_is_whole(server: Server) {
        let now = timestamp(NOW).0;
        // A clock that goes after: old events behind one that is not.
        let start = server.state().await;
        for (at, name) in [(1, "A"), (2, "B"), (9, "C"), (3, "D"), (9, "E")] {
            let mut tx = Tx::begin(&server.database, Actor::default(), Timestamp(now + at)).await.unwrap();
            tx.insert(vec![official(name, name)]).await.unwrap().unwrap();
            tx.commit().await.unwrap();
        }
        let mut positions = Vec::new();
        for number in 0..=start + 5 {
            positions.push(server.position(number).await);
        }
        let cursors = |number: i64| of_changes(positions[usize::try_from(number).unwrap()]);
        let names = async |after: i64| {
            let page = server.changes("", json!({ "after": cursors(after) })).await;
            let nodes = page["nodes"].as_array().unwrap();
            nodes.iter().map(|node| text(&node["personalConnectorId"])[5..].to_owned()).collect::<String>()
        };
        let forget = async |at: i64| server.database.forget_events(Timestamp(now + at), Timestamp(now + 100)).await.unwrap();
        assert_eq!(forget(0).await, 0);
        let whole = server.changes("", json!({ "after": cursors(0) })).await;
        assert_eq!(whole["nodes"].as_array().unwrap().len(), 5 + 5);
        assert_eq!(forget(1).await, start);
        assert_eq!(forget(1).await, 0);
        assert_eq!(names(start).await, "ABCDE");
        assert_eq!(forget(5).await, 2);
        assert_eq!(names(start + 2).await, "CDE");
        let (code, told) = server.refusal(CHANGES, json!({ "after": cursors(start + 1) })).await;
        assert_eq!(code, "CURSOR_EXPIRED", "{told}");
        // Without a cursor it begins with what is kept.
        assert_eq!(lines(&server.changes("", json!({})).await, &[("C", "pcon_C"), ("D", "pcon_D"), ("E", "pcon_E")]).lines().count(), 3);
        assert_eq!(forget(10).await, 3);
        assert_eq!(names(start + 5).await, "");
        assert_eq!(server.changes("", json!({})).await["pageInfo"]["endCursor"], json!(cursors(start + 5)));
        assert_eq!(server.now("").await, cursors(start + 5));
        assert_eq!(server.refusal(CHANGES, json!({ "after": cursors(start + 4) })).await.0, "CURSOR_EXPIRED");
        assert_eq!(server.rows("SELECT COUNT(*) AS n FROM connector_event").await, "0\n");
        // What comes next is told.
        server.insert(vec![official("F", "F")]).await;
        assert_eq!(names(start + 5).await, "F");
    }

    async fn what_is_forgotten_at_a_time_is_bounded(server: Server) {
        let rows: Vec<_> = (0..1100).map(|i| official(&format!("x{i}"), &format!("X{i}"))).collect();
        server.insert(rows).await;
        let later = Timestamp(timestamp(NOW).0 + 1);
        assert_eq!(server.database.forget_events(later, later).await.unwrap(), 1000);
        assert_eq!(server.database.forget_events(later, later).await.unwrap(), 105);
        assert_eq!(server.database.forget_events(later, later).await.unwrap(), 0);
    }

    /// What a list shows and what follows its cursor meet, while somebody writes.
    async fn nothing_is_between_a_list_and_what_follows_it(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        let writing = async {
            for i in 0..200 {
                let input = json!({ "id": wiki, "description": format!("{i}") });
                server.change(&ann, UPDATE, input).await;
            }
        };
        let mut seen = Vec::new();
        let reading = async {
            let query = "query($id: [ID!]) { personalConnectors(filter: {id: $id}) { nodes { revision } changesCursor } }";
            loop {
                let mut data = server.data(&ann, query, json!({ "id": wiki })).await;
                seen.push(data["personalConnectors"].take());
            }
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
        assert!(seen.len() > 20, "{}", seen.len());
        for list in seen {
            let revision = list["nodes"][0]["revision"].as_i64().unwrap();
            let variables = json!({ "after": list["changesCursor"], "first": 1, "filter": { "personalConnectorId": wiki } });
            let page = server.changes(&ann, variables).await;
            let next = page["nodes"][0]["revision"].as_i64().unwrap_or(202);
            assert_eq!(next, revision + 1, "{list}");
        }
    }
}

on_both_databases! {
    async fn the_service_forgets_what_is_old(storage: TestDatabase) {
        let mut command = program_on(&storage, &[]);
        command.env("CONNECTORS_EVENT_RETENTION", "1s");
        let server = Serving::start(command);
        let ann = token("ann@acme", "connectors:write");
        let cursor = server.data("", "{ personalConnectors { changesCursor } }", json!({})).await;
        let after = &cursor["personalConnectors"]["changesCursor"];
        let create = "mutation { createCustomConnector(input: { name: \"Wiki\", serverType: STDIO }) { userErrors { message } } }";
        server.data(&ann, create, json!({})).await;
        let mut expired = false;
        for _ in 0..600 {
            let answer = server.ask(&ann, CHANGES, json!({ "after": after })).await.unwrap();
            if let Some(error) = answer["errors"].get(0) {
                assert_eq!(error["extensions"]["code"], "CURSOR_EXPIRED");
                expired = true;
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(expired);
        server.stop().ok();
    }
}

/// A change of the catalogue, past the mutations' rules. Places are counted around the connectors there are.
#[derive(Clone, Debug)]
enum Write {
    Insert(Row),
    Update(usize, Row),
    Delete(usize),
}

/// What can be random about a connector.
#[derive(Clone, Debug)]
struct Row {
    owner: Option<&'static str>,
    built: bool,
    visibility: ConnectorVisibility,
    category: Option<ConnectorCategory>,
    status: ConnectorStatus,
}

fn a_row() -> impl Strategy<Value = Row> {
    use ConnectorVisibility::{Organization, Private, Public};
    (
        option::weighted(
            0.8,
            select(vec!["ann@acme", "bob@acme", "cid@other", "ann", "dan"]),
        ),
        any::<bool>(),
        select(vec![Private, Organization, Public]),
        option::of(select(vec![
            ConnectorCategory::Design,
            ConnectorCategory::Custom,
        ])),
        select(vec![ConnectorStatus::Active, ConnectorStatus::Maintenance]),
    )
        .prop_map(|(owner, built, visibility, category, status)| Row {
            owner,
            built,
            visibility,
            category,
            status,
        })
}

fn a_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        2 => a_row().prop_map(Write::Insert),
        4 => (any::<usize>(), a_row()).prop_map(|(at, row)| Write::Update(at, row)),
        1 => any::<usize>().prop_map(Write::Delete),
    ]
}

/// The catalogue as it is, and every change of it: before, after, and by whom.
#[derive(Debug, Default)]
struct World {
    rows: Vec<Model>,
    made: usize,
    log: Vec<(Option<Model>, Option<Model>, Option<&'static str>)>,
}

impl World {
    /// Makes several changes in one transaction.
    async fn write(
        &mut self,
        server: &Server,
        writes: &[Write],
        by: Option<&'static str>,
        at: i64,
    ) {
        let split = |who: &str| match who.split_once('@') {
            Some((user, organization)) => (Some(user.to_owned()), Some(organization.to_owned())),
            None => (Some(who.to_owned()), None),
        };
        let (user, organization) = by.map_or((None, None), split);
        let actor = Actor { user, organization };
        let mut tx = Tx::begin(&server.database, actor, Timestamp(at))
            .await
            .unwrap();
        for write in writes {
            let count = self.rows.len().max(1);
            match write {
                Write::Insert(row) => {
                    let id = id(self.made);
                    self.made += 1;
                    let name = format!("Name {}", self.made);
                    let base = match row.owner {
                        None => official(&id[5..], &name),
                        Some(owner) => custom(&id[5..], &name, owner, ConnectorVisibility::Private),
                    };
                    let row = tx
                        .insert(vec![row.of(base)])
                        .await
                        .unwrap()
                        .unwrap()
                        .pop()
                        .unwrap();
                    self.log.push((None, Some(row.clone()), by));
                    self.rows.push(row);
                }
                Write::Update(at, row) if !self.rows.is_empty() => {
                    let before = &mut self.rows[*at % count];
                    let after = row.of(before.clone());
                    let after = tx
                        .update(before, after, UpdatedAt::Now)
                        .await
                        .unwrap()
                        .unwrap();
                    if after.revision != before.revision {
                        self.log
                            .push((Some(before.clone()), Some(after.clone()), by));
                        *before = after;
                    }
                }
                Write::Delete(at) if !self.rows.is_empty() => {
                    let row = self.rows.swap_remove(*at % count);
                    tx.delete(&row).await.unwrap();
                    self.log.push((Some(row), None, by));
                }
                Write::Update(..) | Write::Delete(_) => {}
            }
        }
        tx.commit().await.unwrap();
    }
}

impl Row {
    /// A connector stays with its organization, or everyone's.
    fn of(&self, base: Model) -> Model {
        let everyones = base.r#type != ConnectorType::Custom;
        let visibility = match self.visibility {
            _ if everyones => ConnectorVisibility::Public,
            ConnectorVisibility::Organization if base.organization_id.is_none() => {
                ConnectorVisibility::Private
            }
            visibility => visibility,
        };
        let r#type = match (everyones, self.built) {
            (false, _) => ConnectorType::Custom,
            (true, false) => ConnectorType::Official,
            (true, true) => ConnectorType::AitronosBuilt,
        };
        let creator = self
            .owner
            .map(|owner| owner.split('@').next().unwrap().to_owned());
        Model {
            visibility,
            r#type,
            category: self.category,
            status: self.status,
            created_by: creator.or(base.created_by).filter(|_| !everyones),
            ..base
        }
    }
}

/// A filter as GraphQL has it, and as it is meant.
#[derive(Clone, Debug, Default)]
struct Filter {
    ids: Option<Vec<usize>>,
    types: Option<Vec<ConnectorType>>,
    categories: Option<Vec<ConnectorCategory>>,
    statuses: Option<Vec<ConnectorStatus>>,
}

impl Filter {
    fn variable(&self) -> Value {
        fn upper<T: std::fmt::Debug>(list: Option<&Vec<T>>) -> Value {
            let name = |value: &T| match format!("{value:?}").as_str() {
                "AitronosBuilt" => "AITRONOS_BUILT".to_owned(),
                name => name.to_uppercase(),
            };
            json!(list.map(|list| list.iter().map(name).collect::<Vec<_>>()))
        }
        json!({
            "personalConnectorId": self.ids.as_ref().map(|ids| ids.iter().copied().map(id).collect::<Vec<_>>()),
            "type": upper(self.types.as_ref()),
            "category": upper(self.categories.as_ref()),
            "status": upper(self.statuses.as_ref()),
        })
    }

    fn matches(&self, row: &Model) -> bool {
        self.ids
            .as_ref()
            .is_none_or(|ids| ids.iter().any(|one| id(*one) == row.id))
            && self
                .types
                .as_ref()
                .is_none_or(|types| types.contains(&row.r#type))
            && self
                .categories
                .as_ref()
                .is_none_or(|all| row.category.is_some_and(|one| all.contains(&one)))
            && self
                .statuses
                .as_ref()
                .is_none_or(|all| all.contains(&row.status))
    }
}

fn a_filter() -> impl Strategy<Value = Filter> {
    use ConnectorType::{AitronosBuilt, Custom, Official};
    (
        option::weighted(0.3, vec(0..8_usize, 0..4)),
        option::weighted(
            0.3,
            vec(select(vec![AitronosBuilt, Custom, Official]), 0..3),
        ),
        option::weighted(
            0.3,
            vec(
                select(vec![ConnectorCategory::Design, ConnectorCategory::Custom]),
                0..2,
            ),
        ),
        option::weighted(
            0.3,
            vec(
                select(vec![ConnectorStatus::Active, ConnectorStatus::Maintenance]),
                0..2,
            ),
        ),
    )
        .prop_map(|(ids, types, categories, statuses)| Filter {
            ids,
            types,
            categories,
            statuses,
        })
}

/// What a viewer should be told: the contract's words over who sees which row.
fn expected(world: &World, viewer: Viewer, filter: &Filter) -> Vec<Value> {
    let tell = |(before, after, by): &(Option<Model>, Option<Model>, Option<&'static str>)| {
        let seen = |row: &Option<Model>| row.clone().filter(|row| viewer.sees(row));
        let (before, after, row) = (
            seen(before),
            seen(after),
            after.as_ref().or(before.as_ref())?,
        );
        if ![&before, &after]
            .into_iter()
            .flatten()
            .any(|row| filter.matches(row))
        {
            return None;
        }
        let kind = match (&before, &after) {
            (None, _) => "CREATED",
            (Some(_), Some(_)) => "UPDATED",
            (Some(_), None) => "DELETED",
        };
        let present = world
            .rows
            .iter()
            .find(|now| now.id == row.id && viewer.sees(now));
        let present = present.filter(|_| kind != "DELETED");
        let seen = after.as_ref().or(before.as_ref())?;
        let all = viewer.scopes.contains(&"catalog:admin");
        let organization = |who: &str| {
            who.split_once('@')
                .map(|(_, organization)| organization.to_owned())
        };
        let known = by.filter(|by| {
            all || *by == viewer.who
                || (organization(by).is_some() && organization(by) == organization(viewer.who))
        });
        let known = known.filter(|_| kind != "DELETED");
        Some(json!({
            "kind": kind,
            "personalConnectorId": row.id,
            "personalConnector": present.map(|now| json!({ "id": now.id, "revision": now.revision })),
            "revision": seen.revision,
            "actor": known.map(|who| who.split('@').next()),
        }))
    };
    world.log.iter().filter_map(tell).collect()
}

/// A step of the life of a copy.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>),
    /// Reads a page of so many, and is killed after it has used so many of its changes.
    Follow(u64, Option<usize>),
    /// Forgets what is older than so many steps.
    Forget(i64),
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(a_write(), 1..4).prop_map(Step::Write),
        6 => (1..6_u64, option::weighted(0.3, 0..5_usize)).prop_map(|(first, killed)| Step::Follow(first, killed)),
        1 => (0..12_i64).prop_map(Step::Forget),
    ]
}

/// All of a connector that its own changes decide. What replaces it comes and goes by changes of its own.
const OWN: &str = "id name type connectorId description iconUrl category version status statusMessage serverUrl serverType \
    metadata visibility organizationId createdBy createdAt updatedAt revision viewerCanUpdate viewerCanDelete";

/// A copy of the list, and what its keeper remembers.
#[derive(Debug, Default)]
struct Copy {
    connectors: BTreeMap<String, Value>,
    /// Where the next page of the list begins, and where changes are followed from when it is read.
    listing: Option<(Value, Value)>,
    /// Where the next page of changes begins.
    cursor: Option<Value>,
}

impl Copy {
    /// Reads a page, of the list until that is whole, then of changes. Gives whether there is nothing more to read.
    async fn read(
        &mut self,
        server: &Server,
        token: &str,
        first: u64,
        killed: Option<usize>,
    ) -> bool {
        if let Some(cursor) = self.cursor.clone() {
            self.follow(server, token, cursor, first, killed).await
        } else {
            self.list(server, token, first, killed.is_some()).await;
            false
        }
    }

    async fn list(&mut self, server: &Server, token: &str, first: u64, killed: bool) {
        let query = format!(
            "query($first: Int, $after: String) {{ personalConnectors(first: $first, after: $after) {{
                changesCursor nodes {{ {OWN} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let after = self.listing.as_ref().map(|(after, _)| after.clone());
        let data = server
            .data(token, &query, json!({ "first": first, "after": after }))
            .await;
        let page = &data["personalConnectors"];
        for connector in page["nodes"].as_array().unwrap() {
            self.connectors
                .insert(text(&connector["id"]).to_owned(), connector.clone());
        }
        let (_, begin) = self
            .listing
            .take()
            .unwrap_or((Value::Null, page["changesCursor"].clone()));
        if killed {
            *self = Self::default();
        } else if page["pageInfo"]["hasNextPage"] == true {
            self.listing = Some((page["pageInfo"]["endCursor"].clone(), begin));
        } else {
            self.cursor = Some(begin);
        }
    }

    async fn follow(
        &mut self,
        server: &Server,
        token: &str,
        after: Value,
        first: u64,
        killed: Option<usize>,
    ) -> bool {
        let query = format!(
            "query($first: Int, $after: String) {{ personalConnectorChanges(first: $first, after: $after) {{
                nodes {{ kind personalConnectorId personalConnector {{ {OWN} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let answer = server
            .execute(token, &query, json!({ "first": first, "after": after }))
            .await;
        if let Some(error) = answer["errors"].get(0) {
            assert_eq!(error["extensions"]["code"], "CURSOR_EXPIRED", "{error}");
            *self = Self::default();
            return false;
        }
        let page = &answer["data"]["personalConnectorChanges"];
        let changes = page["nodes"].as_array().unwrap();
        for change in changes.iter().take(killed.unwrap_or(usize::MAX)) {
            let id = text(&change["personalConnectorId"]).to_owned();
            if change["kind"] == "DELETED" {
                self.connectors.remove(&id);
            } else if !change["personalConnector"].is_null() {
                self.connectors
                    .insert(id, change["personalConnector"].clone());
            }
        }
        if killed.is_none() {
            self.cursor = Some(page["pageInfo"]["endCursor"].clone());
        }
        killed.is_none() && page["pageInfo"]["hasNextPage"] == false
    }
}

/// Empties the catalogue, and says from where the changes are a case's own.
async fn begin(server: &Server) -> String {
    server.clear().await;
    server.now("").await
}

on_both! {
    async fn everybody_is_told_what_they_should_be(server: Server) {
        let actors = option::weighted(0.8, select(vec!["ann@acme", "bob@acme", "cid@other", "ann", "eve@elsewhere"]));
        let writes = vec((vec(a_write(), 1..5), actors), 1..12);
        let filters = vec(a_filter(), VIEWERS.len());
        check(16, (writes, filters, 1..9_u64), |(writes, filters, first)| {
            let server = &server;
            async move {
                let begun = begin(server).await;
                let mut world = World::default();
                for (writes, by) in &writes {
                    world.write(server, writes, *by, 0).await;
                }
                for (viewer, filter) in VIEWERS.into_iter().zip(&filters) {
                    let token = viewer.token(server);
                    for filter in [filter, &Filter::default()] {
                        let (mut after, mut told) = (json!(begun), Vec::new());
                        loop {
                            let variables = json!({ "after": after, "first": first, "filter": filter.variable() });
                            let page = server.changes(&token, variables).await;
                            told.extend(page["nodes"].as_array().unwrap().clone());
                            after = page["pageInfo"]["endCursor"].clone();
                            if page["pageInfo"]["hasNextPage"] == false {
                                break;
                            }
                        }
                        for change in &mut told {
                            let change = change.as_object_mut().unwrap();
                            change.remove("changedFields");
                            change.remove("occurredAt");
                        }
                        prop_assert_eq!(told, expected(&world, viewer, filter), "{:?} {:?}", viewer, filter);
                    }
                }
                Ok(())
            }
        });
    }

    async fn a_copy_that_follows_is_the_list(server: Server) {
        let steps = vec(a_step(), 1..40);
        check(16, (select(&VIEWERS[..]), steps), |(viewer, steps)| {
            let server = &server;
            async move {
                begin(server).await;
                let token = viewer.token(server);
                let (mut world, mut copy) = (World::default(), Copy::default());
                let base = timestamp(NOW).0;
                for (at, step) in (base..).zip(&steps) {
                    match step {
                        Step::Write(writes) => world.write(server, writes, None, at).await,
                        Step::Follow(first, killed) => {
                            copy.read(server, &token, *first, *killed).await;
                        }
                        Step::Forget(age) => while server.database.forget_events(Timestamp(at - age), Timestamp(at)).await.unwrap() > 0 {},
                    }
                }
                while !copy.read(server, &token, 7, None).await {}
                let query = format!("{{ personalConnectors(first: 100) {{ nodes {{ {OWN} }} }} }}");
                let data = server.data(&token, &query, json!({})).await;
                let list = data["personalConnectors"]["nodes"].as_array().unwrap();
                let list: BTreeMap<_, _> = list.iter().map(|one| (text(&one["id"]).to_owned(), one.clone())).collect();
                prop_assert_eq!(copy.connectors, list);
                Ok(())
            }
        });
    }

    /// Of a connector whose creator changed, only those are told so who may know the creator.
    async fn fields_are_told_to_those_who_see_them(server: Server) {
        let row = server.insert(vec![custom("pub", "Pub", "ann@acme", ConnectorVisibility::Public)]).await.pop().unwrap();
        let after = server.now("").await;
        let mut tx = server.begin().await;
        let zoes = Model { created_by: Some("zoe".to_owned()), version: Some("1.0.0".to_owned()), ..row.clone() };
        tx.update(&row, zoes, UpdatedAt::Now).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        for (token, fields) in [
            (String::new(), json!(["version"])),
            (server.token("ann@other", &[]), json!(["version"])),
            (server.token("ann", &[]), json!(["version"])),
            (server.token("bob@acme", &[]), json!(["version", "createdBy"])),
            (server.token("root", &["catalog:admin"]), json!(["version", "createdBy"])),
        ] {
            let page = server.changes(&token, json!({ "after": after })).await;
            assert_eq!(page["nodes"][0]["changedFields"], fields);
        }
    }
}

/// `createCustomConnector` and the feed, in one document each: what a mutation made is the next change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_connector_is_the_next_change() {
    let server = Server::on_sqlite(&[]).await;
    let ann = server.token("ann@acme", WRITE);
    let after = server.now(&ann).await;
    let made = server.change(&ann, CREATE, draft("Wiki", json!({}))).await;
    let page = server.changes(&ann, json!({ "after": after })).await;
    let expected = json!([{
        "kind": "CREATED", "personalConnectorId": made["id"], "personalConnector": { "id": made["id"], "revision": 1 },
        "changedFields": [], "revision": 1, "actor": "ann", "occurredAt": NOW,
    }]);
    assert_eq!(page["nodes"], expected);
}
