//! Viewers who follow the feed read the right changes, and a copy that follows it equals the list.

use std::{collections::BTreeMap, sync::LazyLock};

use entity::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::world::{World, Write, a_filter, a_write, expected};
use crate::{
    on_both,
    support::{
        harness::{NOW, Server, timestamp},
        model::{VIEWERS, check},
        mutations::text,
        schema::leaves,
    },
};

/// A step in the life of a copy.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>),
    /// Reads a page of this size, and is killed after it applied this many of its changes.
    Follow(u64, Option<usize>),
    /// Prunes events that are older than this many steps.
    Forget(i64),
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(a_write(), 1..4).prop_map(Step::Write),
        6 => (1..6_u64, option::weighted(0.3, 0..5_usize)).prop_map(|(first, killed)| Step::Follow(first, killed)),
        1 => (0..12_i64).prop_map(Step::Forget),
    ]
}

/// All fields of a connector that its own changes decide. Its replacement has changes of its own.
static OWN: LazyLock<String> = LazyLock::new(|| leaves("PersonalConnector"));

/// A copy of the list, and the state of its follower.
#[derive(Debug, Default)]
struct Copy {
    connectors: BTreeMap<String, Value>,
    /// The cursor of the next page of the list, and the cursor after which to follow changes once it is complete.
    listing: Option<(Value, Value)>,
    /// The cursor of the next page of changes.
    cursor: Option<Value>,
}

impl Copy {
    /// Reads a page, first of the list until it is complete, then of changes. Returns whether nothing is left to read.
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
        let own = OWN.as_str();
        let query = format!(
            "query($first: Int, $after: String) {{ personalConnectors(first: $first, after: $after) {{
                changesCursor nodes {{ {own} }} pageInfo {{ hasNextPage endCursor }} }} }}"
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
        let own = OWN.as_str();
        let query = format!(
            "query($first: Int, $after: String) {{ personalConnectorChanges(first: $first, after: $after) {{
                nodes {{ kind personalConnectorId personalConnector {{ {own} }} }} pageInfo {{ hasNextPage endCursor \
                }} }} }}"
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
/// Returns all changes after a cursor, read page by page from the latest on. No page of given connectors is empty.
async fn latest(
    server: &Server,
    token: &str,
    after: &str,
    last: u64,
    filter: &Value,
) -> Vec<Value> {
    let (mut before, mut told) = (Value::Null, Vec::new());
    loop {
        let variables = json!({ "after": after, "before": before, "last": last, "filter": filter });
        let page = server.changes(token, variables).await;
        assert_eq!(page["pageInfo"]["hasNextPage"], before != Value::Null);
        let nodes = page["nodes"].as_array().unwrap().clone();
        before = page["pageInfo"]["startCursor"].clone();
        let more = page["pageInfo"]["hasPreviousPage"] == true;
        assert!(!more || !nodes.is_empty(), "{page}");
        told.splice(0..0, nodes);
        if !more {
            break;
        }
    }
    told.iter_mut().for_each(untimed);
    told
}

/// Returns the histories of the list's connectors: the id, the last change, and the changes in pages from either end.
async fn histories(
    server: &Server,
    token: &str,
    size: u64,
) -> Vec<(Value, Value, Vec<Value>, Vec<Value>)> {
    let change = "kind personalConnectorId personalConnector { id revision } changedFields changes { field before \
                  after } revision actor occurredAt";
    let list = format!(
        "{{ personalConnectors(first: 100) {{ nodes {{ id lastChange {{ {change} }} }} }} }}"
    );
    let page = format!("query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {{ \
        personalConnector(id: $id) {{
        changes(first: $first, after: $after, last: $last, before: $before) {{
            nodes {{ {change} }} edges {{ cursor }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
        }} }} }}");
    let data = server.data(token, &list, json!({})).await;
    let mut all = Vec::new();
    for node in data["personalConnectors"]["nodes"].as_array().unwrap() {
        let read = async |from_latest: bool| {
            let (mut cursor, mut told) = (Value::Null, Vec::new());
            loop {
                let (size_name, cursor_name, more, next) = if from_latest {
                    ("first", "after", "hasNextPage", "endCursor")
                } else {
                    ("last", "before", "hasPreviousPage", "startCursor")
                };
                let variables = json!({ "id": node["id"], size_name: size, cursor_name: cursor });
                let data = server.data(token, &page, variables).await;
                let changes = &data["personalConnector"]["changes"];
                let mut nodes = changes["nodes"].as_array().unwrap().clone();
                nodes.iter_mut().for_each(untimed);
                let is_last = changes["pageInfo"][more] == false;
                assert!(is_last || !nodes.is_empty(), "{changes}");
                cursor = changes["pageInfo"][next].clone();
                let at = if from_latest { told.len() } else { 0 };
                told.splice(at..at, nodes);
                if is_last {
                    return told;
                }
            }
        };
        let mut newest = node["lastChange"].clone();
        untimed(&mut newest);
        all.push((
            node["id"].clone(),
            newest,
            read(true).await,
            read(false).await,
        ));
    }
    all
}

fn untimed(change: &mut Value) {
    if let Some(change) = change.as_object_mut() {
        change.remove("occurredAt");
    }
}

/// Empties the catalogue, and returns the cursor after which all changes belong to the case.
async fn begin(server: &Server) -> String {
    server.clear().await;
    server.now("").await
}

on_both! {
    async fn everybody_is_told_what_they_should_be(server: Server) {
        let actors = option::weighted(
            0.8,
            select(vec![
                "ann@acme",
                "bob@acme",
                "cid@other",
                "ann",
                "eve@elsewhere",
            ]),
        );
        let writes = vec((vec(a_write(), 1..5), actors), 1..12);
        let filters = vec(a_filter(), VIEWERS.len());
        check(
            16,
            (writes, filters, 1..9_u64),
            |(writes, filters, first)| {
                let server = &server;
                async move {
                    let begun = begin(server).await;
                    let mut world = World::default();
                    for (writes, by) in &writes {
                        world.write(server, writes, *by, timestamp(NOW).0).await;
                    }
                    for (viewer, filter) in VIEWERS.into_iter().zip(&filters) {
                        let token = server.viewer_token(viewer);
                        for filter in [filter, &Value::Null] {
                            let (mut after, mut told) = (json!(begun), Vec::new());
                            loop {
                                let variables =
                                    json!({ "after": after, "first": first, "filter": filter });
                                let page = server.changes(&token, variables).await;
                                told.extend(page["nodes"].as_array().unwrap().clone());
                                after = page["pageInfo"]["endCursor"].clone();
                                if page["pageInfo"]["hasNextPage"] == false {
                                    break;
                                }
                            }
                            told.iter_mut().for_each(untimed);
                            let expected = expected(&world, viewer, filter);
                            prop_assert_eq!(&told, &expected, "{:?} {:?}", viewer, filter);
                            let latest = latest(server, &token, &begun, first, filter).await;
                            prop_assert_eq!(&latest, &expected, "{:?} {:?}", viewer, filter);
                        }
                        let all = expected(&world, viewer, &Value::Null);
                        for (id, last, from_latest, from_oldest) in
                            histories(server, &token, first).await
                        {
                            let of_it = all
                                .iter()
                                .rev()
                                .filter(|change| change["personalConnectorId"] == id);
                            let of_it: Vec<_> = of_it.cloned().collect();
                            prop_assert_eq!(&json!(last), &json!(of_it.first()), "{:?}", viewer);
                            prop_assert_eq!(&from_latest, &of_it, "{:?}", viewer);
                            prop_assert_eq!(&from_oldest, &of_it, "{:?}", viewer);
                        }
                    }
                    Ok(())
                }
            },
        );
    }

    async fn a_copy_that_follows_is_the_list(server: Server) {
        let steps = vec(a_step(), 1..40);
        check(16, (select(&VIEWERS[..]), steps), |(viewer, steps)| {
            let server = &server;
            async move {
                begin(server).await;
                let token = server.viewer_token(viewer);
                let (mut world, mut copy) = (World::default(), Copy::default());
                let base = timestamp(NOW).0;
                for (at, step) in (base..).zip(&steps) {
                    match step {
                        Step::Write(writes) => world.write(server, writes, None, at).await,
                        Step::Follow(first, killed) => {
                            copy.read(server, &token, *first, *killed).await;
                        }
                        Step::Forget(age) => {
                            while server
                                .database
                                .forget_events(Timestamp(at - age), Timestamp(at))
                                .await
                                .unwrap()
                                > 0
                            {}
                        }
                    }
                }
                while !copy.read(server, &token, 7, None).await {}
                let own = OWN.as_str();
                let query = format!("{{ personalConnectors(first: 100) {{ nodes {{ {own} }} }} }}");
                let data = server.data(&token, &query, json!({})).await;
                let list = data["personalConnectors"]["nodes"].as_array().unwrap();
                let list: BTreeMap<_, _> = list
                    .iter()
                    .map(|one| (text(&one["id"]).to_owned(), one.clone()))
                    .collect();
                prop_assert_eq!(copy.connectors, list);
                Ok(())
            }
        });
    }
}
