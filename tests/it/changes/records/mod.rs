//! Events record enough of connectors to decide whether they are in a list, before and after the change.

mod questions;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use personal_connectors::{
    domain::{
        changes::Event,
        cursor::LogPosition,
        listing::{Arguments, Listing},
        viewer::{self, Sight},
    },
    store::Catalog,
};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use crate::{
    on_both, on_both_databases,
    support::{
        connectors::official,
        harness::{Server, fixed_clock},
        model::check,
        mutations::{UPDATE, WRITE},
        process::{program_on, run},
    },
};

pub(super) use questions::a_question;
use questions::{fixed_questions, parsed};
pub(super) use writes::{World, a_write, rows};

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
