//! The feed of changes: pages, cursors and pruning.

mod followers;
mod world;

use entity::{ConnectorVisibility, Timestamp, personal_connector::Model};
use personal_connectors::{
    domain::cursor::of_changes,
    store::{Actor, Tx},
};
use serde_json::{Value, json};

use crate::{
    on_both, on_both_databases,
    support::{
        connectors::{custom, edit, import, official},
        harness::{NOW, Server, timestamp},
        mutations::{ADMIN, CREATE, DELETE, STATUS, UPDATE, WRITE, draft, text},
        process::{Serving, program_on, token},
    },
};

const CHANGES: &str = "query($after: String, $first: Int, $before: String, $last: Int, $filter: \
    PersonalConnectorChangeFilter) {
    personalConnectorChanges(after: $after, first: $first, before: $before, last: $last, filter: $filter) {
        nodes { kind personalConnectorId personalConnector { id revision } changedFields changes { field before after \
        } revision actor occurredAt }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

impl Server {
    /// Reads a page of the feed.
    async fn changes(&self, token: &str, variables: Value) -> Value {
        let mut data = self.data(token, CHANGES, variables).await;
        data["personalConnectorChanges"].take()
    }

    /// Returns a list's `changesCursor`, after which the first change is one that the list lacks.
    async fn now(&self, token: &str) -> String {
        let query = "{ personalConnectors(first: 0) { changesCursor } }";
        let data = self.data(token, query, json!({})).await;
        text(&data["personalConnectors"]["changesCursor"]).to_owned()
    }

    /// Returns the code and message of a query's only error.
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

/// Returns a page's changes, one a line, with names for ids.
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
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let after = server.now("").await;
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        let open = server.create(&boss, "Open", "PUBLIC").await;
        for (token, field, input) in [
            (
                &ann,
                UPDATE,
                json!({ "id": wiki, "description": "Pages", "category": "DESIGN" }),
            ),
            (
                &ann,
                UPDATE,
                json!({ "id": wiki, "visibility": "ORGANIZATION", "version": "1.0.0" }),
            ),
            (&boss, UPDATE, json!({ "id": wiki, "visibility": "PUBLIC" })),
            (
                &boss,
                STATUS,
                json!({ "id": wiki, "status": "DEPRECATED", "replacedById": open }),
            ),
            (&ann, UPDATE, json!({ "id": wiki, "visibility": "PRIVATE" })),
            (&boss, DELETE, json!({ "id": open })),
            (
                &ann,
                UPDATE,
                json!({ "id": wiki, "visibility": "ORGANIZATION" }),
            ),
            // A mutation without an effect writes no event.
            (
                &ann,
                UPDATE,
                json!({ "id": wiki, "visibility": "ORGANIZATION" }),
            ),
        ] {
            server.change(token, field, input).await;
        }
        let mut told = String::new();
        for (who, scopes) in [
            ("", &[][..]),
            ("ann@acme", WRITE),
            ("bob@acme", &[]),
            ("cid@other", &[]),
            ("ann", &[]),
        ] {
            let token = if who.is_empty() {
                String::new()
            } else {
                server.token(who, scopes)
            };
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
        // All stored changes are those of the five connectors in the catalogue, and three more.
        let all = server.changes(&ann, json!({})).await;
        assert_eq!(all["nodes"].as_array().unwrap().len(), 8);
        assert_eq!(all["pageInfo"]["hasPreviousPage"], false);
        let (mut after, mut pages) = (Value::Null, Vec::new());
        loop {
            let page = server
                .changes(&ann, json!({ "after": after, "first": 3 }))
                .await;
            assert_eq!(page["pageInfo"]["hasPreviousPage"], after != Value::Null);
            after = page["pageInfo"]["endCursor"].clone();
            pages.extend(page["nodes"].as_array().unwrap().clone());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(json!(pages), all["nodes"]);
        // All cursors of one state are equal, and an empty page has the same one.
        assert_eq!(after, json!(server.now(&ann).await));
        let empty = server.changes(&ann, json!({ "after": after })).await;
        assert_eq!(
            empty,
            json!({
                "nodes": [],
                "pageInfo": { "hasNextPage": false, "hasPreviousPage": true, "startCursor": null, "endCursor": after },
            })
        );
        let none = server.changes(&ann, json!({ "first": 0 })).await;
        assert_eq!(none["pageInfo"]["hasNextPage"], true);
        let again = server
            .changes(&ann, json!({ "after": none["pageInfo"]["endCursor"] }))
            .await;
        assert_eq!(again["nodes"], all["nodes"]);

        let query = "{ personalConnectorChanges(first: 2) { edges { cursor node { cursor } } pageInfo { startCursor \
                     endCursor } } }";
        let data = server.data(&ann, query, json!({})).await;
        let page = &data["personalConnectorChanges"];
        let cursors = [0, 1].map(|at| page["edges"][at]["cursor"].clone());
        assert_eq!(
            cursors,
            [0, 1].map(|at| page["edges"][at]["node"]["cursor"].clone())
        );
        assert_eq!(
            page["pageInfo"],
            json!({ "startCursor": cursors[0], "endCursor": cursors[1] })
        );
    }

    async fn arguments_are_refused_by_name(server: Server) {
        let list = "query($after: String) { personalConnectors(first: 1, after: $after) { changesCursor pageInfo { \
                    endCursor } } }";
        let data = server.data("", list, json!({})).await;
        let (of_list, cursor_of_changes) = (
            data["personalConnectors"]["pageInfo"]["endCursor"].clone(),
            data["personalConnectors"]["changesCursor"].clone(),
        );
        let ids: Vec<_> = (0..101).map(|i| format!("pcon_{i}")).collect();
        for (query, variables, message) in [
            (
                CHANGES,
                json!({ "after": of_list }),
                "after is a cursor of a list of connectors",
            ),
            (
                list,
                json!({ "after": cursor_of_changes }),
                "after is a cursor of changes",
            ),
            (CHANGES, json!({ "after": "5" }), "after is not a cursor"),
            (CHANGES, json!({ "after": "" }), "after is not a cursor"),
            (
                CHANGES,
                json!({ "first": 101 }),
                "first must be from 0 to 100",
            ),
            (
                CHANGES,
                json!({ "first": -1 }),
                "first must be from 0 to 100",
            ),
            (
                CHANGES,
                json!({ "last": 101 }),
                "last must be from 0 to 100",
            ),
            (
                CHANGES,
                json!({ "first": 1, "last": 1 }),
                "first and last: give one of the two, not both",
            ),
            (
                CHANGES,
                json!({ "before": of_list }),
                "before is a cursor of a list of connectors",
            ),
            (
                CHANGES,
                json!({ "filter": { "personalConnectorId": ids } }),
                "the list personalConnectorId of a filter must have at most 100 items",
            ),
        ] {
            let (code, told) = server.refusal(query, variables).await;
            let is_of_cursor = message.contains(" is ");
            let expected = if is_of_cursor {
                "CURSOR_INVALID"
            } else {
                "BAD_USER_INPUT"
            };
            assert_eq!(code, expected, "{told}");
            assert!(told.starts_with(message), "{told}");
        }
    }

    /// The cursor is from a later state, in another database or before a restored backup.
    async fn a_cursor_ahead_of_the_state_has_expired(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let before = server.state().await;
        server.create(&ann, "Wiki", "PRIVATE").await;
        let after = server.now("").await;
        server
            .rows(&format!(
                "DELETE FROM connector_event WHERE number > {before}"
            ))
            .await;
        server
            .rows(&format!("UPDATE catalog_state SET state = {before}"))
            .await;
        let (code, told) = server.refusal(CHANGES, json!({ "after": after })).await;
        assert_eq!(code, "CURSOR_EXPIRED");
        assert!(told.contains("Start over"), "{told}");
    }

    async fn old_events_are_forgotten_and_the_rest_is_whole(server: Server) {
        let now = timestamp(NOW).0;
        // The clock goes back, so an old event comes after a newer one.
        let start = server.state().await;
        for (at, name) in [(1, "A"), (2, "B"), (9, "C"), (3, "D"), (9, "E")] {
            let mut tx = Tx::begin(&server.database, Actor::default(), Timestamp(now + at))
                .await
                .unwrap();
            tx.insert_imports(vec![import(&official(name, name))])
                .await
                .unwrap()
                .unwrap();
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
            nodes
                .iter()
                .map(|node| text(&node["personalConnectorId"])[5..].to_owned())
                .collect::<String>()
        };
        let forget = async |at: i64| {
            server
                .database
                .forget_events(Timestamp(now + at), Timestamp(now + 100))
                .await
                .unwrap()
        };
        assert_eq!(forget(0).await, 0);
        let whole = server.changes("", json!({ "after": cursors(0) })).await;
        assert_eq!(whole["nodes"].as_array().unwrap().len(), 5 + 5);
        assert_eq!(forget(1).await, start);
        assert_eq!(forget(1).await, 0);
        assert_eq!(names(start).await, "ABCDE");
        assert_eq!(forget(5).await, 2);
        assert_eq!(names(start + 2).await, "CDE");
        let (code, told) = server
            .refusal(CHANGES, json!({ "after": cursors(start + 1) }))
            .await;
        assert_eq!(code, "CURSOR_EXPIRED", "{told}");
        // Without a cursor it starts with the oldest stored change.
        assert_eq!(
            lines(
                &server.changes("", json!({})).await,
                &[("C", "pcon_C"), ("D", "pcon_D"), ("E", "pcon_E")]
            )
            .lines()
            .count(),
            3
        );
        assert_eq!(forget(10).await, 3);
        assert_eq!(names(start + 5).await, "");
        assert_eq!(
            server.changes("", json!({})).await["pageInfo"]["endCursor"],
            json!(cursors(start + 5))
        );
        assert_eq!(server.now("").await, cursors(start + 5));
        assert_eq!(
            server
                .refusal(CHANGES, json!({ "after": cursors(start + 4) }))
                .await
                .0,
            "CURSOR_EXPIRED"
        );
        assert_eq!(
            server
                .rows("SELECT COUNT(*) AS n FROM connector_event")
                .await,
            "0\n"
        );
        // The feed continues with the next change.
        server.insert(vec![official("F", "F")]).await;
        assert_eq!(names(start + 5).await, "F");
    }

    async fn what_is_forgotten_at_a_time_is_bounded(server: Server) {
        let rows: Vec<_> = (0..1100)
            .map(|i| official(&format!("x{i}"), &format!("X{i}")))
            .collect();
        server.insert(rows).await;
        let later = Timestamp(timestamp(NOW).0 + 1);
        assert_eq!(
            server.database.forget_events(later, later).await.unwrap(),
            1000
        );
        assert_eq!(
            server.database.forget_events(later, later).await.unwrap(),
            105
        );
        assert_eq!(
            server.database.forget_events(later, later).await.unwrap(),
            0
        );
    }

    /// A list and the changes after its cursor give the present list, with concurrent writes.
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
            let query = "query($id: [ID!]) { personalConnectors(filter: {id: $id}) { nodes { revision } changesCursor \
                         } }";
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
            let variables = json!({ "after": list["changesCursor"], "first": 1,
                "filter": { "personalConnectorId": wiki } });
            let page = server.changes(&ann, variables).await;
            let next = page["nodes"][0]["revision"].as_i64().unwrap_or(202);
            assert_eq!(next, revision + 1, "{list}");
        }
    }

    /// A change of a connector's creator is shown only to viewers who may know the creator.
    async fn fields_are_told_to_those_who_see_them(server: Server) {
        let row = server
            .insert(vec![custom(
                "pub",
                "Pub",
                "ann@acme",
                ConnectorVisibility::Public,
            )])
            .await
            .pop()
            .unwrap();
        let after = server.now("").await;
        let mut tx = server.begin().await;
        let zoes = Model {
            created_by: Some("zoe".to_owned()),
            version: Some("1.0.0".to_owned()),
            ..row.clone()
        };
        tx.update(&row, edit(&zoes)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        for (token, fields) in [
            (String::new(), json!(["VERSION"])),
            (server.token("ann@other", &[]), json!(["VERSION"])),
            (server.token("ann", &[]), json!(["VERSION"])),
            (
                server.token("bob@acme", &[]),
                json!(["VERSION", "CREATED_BY"]),
            ),
            (
                server.token("root", &["catalog:admin"]),
                json!(["VERSION", "CREATED_BY"]),
            ),
        ] {
            let page = server.changes(&token, json!({ "after": after })).await;
            assert_eq!(page["nodes"][0]["changedFields"], fields);
            let values = [
                json!({ "field": "VERSION", "before": null, "after": "1.0.0" }),
                json!({ "field": "CREATED_BY", "before": "ann", "after": "zoe" }),
            ];
            let shown = page["nodes"][0]["changes"].as_array().unwrap();
            assert_eq!(shown[..], values[..fields.as_array().unwrap().len()]);
        }
    }
}

on_both_databases! {
    async fn the_service_forgets_what_is_old(storage: TestDatabase) {
        let mut command = program_on(&storage, &[]);
        command.env("CONNECTORS_EVENT_RETENTION", "1s");
        let server = Serving::start(command);
        let ann = token("ann@acme", "connectors:write");
        let cursor = server
            .data("", "{ personalConnectors { changesCursor } }", json!({}))
            .await;
        let after = &cursor["personalConnectors"]["changesCursor"];
        let create = "mutation { createCustomConnector(input: { name: \"Wiki\", serverType: STDIO }) { userErrors { \
                      message } } }";
        server.data(&ann, create, json!({})).await;
        let mut expired = false;
        for _ in 0..600 {
            let answer = server
                .ask(&ann, CHANGES, json!({ "after": after }))
                .await
                .unwrap();
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

/// `createCustomConnector` and the feed, in one document each: the mutation's change is the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_connector_is_the_next_change() {
    let server = Server::on_sqlite(&[]).await;
    let ann = server.token("ann@acme", WRITE);
    let after = server.now(&ann).await;
    let made = server.change(&ann, CREATE, draft("Wiki", json!({}))).await;
    let page = server.changes(&ann, json!({ "after": after })).await;
    let expected = json!([{
        "kind": "CREATED", "personalConnectorId": made["id"], "personalConnector": { "id": made["id"], "revision": 1 },
        "changedFields": [], "changes": [], "revision": 1, "actor": "ann", "occurredAt": NOW,
    }]);
    assert_eq!(page["nodes"], expected);
}
