//! The history of a connector: its changes with values, and who sees them.

use std::sync::Arc;

use entity::{
    ConnectorVisibility::{Organization, Private, Public},
    Outcome,
    personal_connector::Model,
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        checks::{found, offering},
        connectors::custom,
        harness::Server,
        mutations::{ADMIN, DELETE, STATUS, UPDATE, WRITE, text},
        process::{program_on, run},
    },
};

const FIELDS: &str = "kind changedFields changes { field before after isBeforeCut isAfterCut }";

impl Server {
    /// Returns the values of a connector's last change, from its history and from the feed.
    async fn last_values(&self, token: &str, id: &str) -> Value {
        let query = format!(
            "query($id: ID!) {{
                personalConnector(id: $id) {{ lastChange {{ {FIELDS} }} changes(first: 1) {{ nodes {{ {FIELDS} }} }} }}
                personalConnectorChanges(last: 1, filter: {{personalConnectorId: [$id]}}) {{ nodes {{ {FIELDS} }} }}
            }}"
        );
        let mut data = self.data(token, &query, json!({ "id": id })).await;
        let feed = data["personalConnectorChanges"]["nodes"][0].take();
        let connector = &data["personalConnector"];
        if !connector.is_null() {
            assert_eq!(connector["lastChange"], feed);
            assert_eq!(connector["changes"]["nodes"], json!([feed]));
        }
        let fields = feed["changes"].as_array().unwrap();
        let names: Vec<_> = fields
            .iter()
            .map(|change| change["field"].clone())
            .collect();
        assert_eq!(feed["changedFields"], json!(names));
        feed["changes"].clone()
    }
}

fn value(field: &str, before: impl Into<Value>, after: impl Into<Value>) -> Value {
    let (before, after) = (before.into(), after.into());
    json!({ "field": field, "before": before, "after": after, "isBeforeCut": false, "isAfterCut": false })
}

on_both! {
    async fn values_are_those_of_the_fields(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let wiki = &server.create(&ann, "Wiki", "PRIVATE").await;
        assert_eq!(server.last_values(&ann, wiki).await, json!([]));
        let input = json!({
            "id": wiki, "name": "Pages", "description": "Our \"pages\"\n", "category": "DESIGN", "version": "1.0.0",
            "metadata": { "b": [1.50, null], "a": "ä" }, "visibility": "ORGANIZATION",
        });
        server.change(&ann, UPDATE, input).await;
        let expected = json!([
            value("NAME", json!("Wiki"), json!("Pages")),
            value("DESCRIPTION", Value::Null, json!("Our \"pages\"\n")),
            value("CATEGORY", json!("CUSTOM"), json!("DESIGN")),
            value("VERSION", Value::Null, json!("1.0.0")),
            value(
                "METADATA",
                Value::Null,
                json!({ "b": [1.5, null], "a": "ä" })
            ),
            value("VISIBILITY", json!("PRIVATE"), json!("ORGANIZATION")),
        ]);
        assert_eq!(server.last_values(&ann, wiki).await, expected);
        // The connector became visible to Bob with this change, so he sees none of its values.
        let bob = server.token("bob@acme", &[]);
        assert_eq!(server.last_values(&bob, wiki).await, json!([]));

        server
            .record(vec![(wiki.clone(), offering(&[("add", "Adds.")]))])
            .await;
        let tools = value("TOOLS", Value::Null, Value::Null);
        let expected = json!([value("HEALTH", Value::Null, json!("OPEN")), tools]);
        assert_eq!(server.last_values(&bob, wiki).await, expected);
        server
            .record(vec![(wiki.clone(), found(Outcome::Timeout))])
            .await;
        let expected = json!([value("HEALTH", json!("OPEN"), json!("TIMEOUT"))]);
        assert_eq!(server.last_values(&bob, wiki).await, expected);
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": wiki, "serverUrl": "https://other.example.com/mcp" }),
            )
            .await;
        let [before, after] =
            ["https://mcp.example.com", "https://other.example.com/mcp"].map(|url| json!(url));
        let expected = json!([
            value("SERVER_URL", before, after),
            value("HEALTH", json!("TIMEOUT"), Value::Null),
            tools
        ]);
        assert_eq!(server.last_values(&bob, wiki).await, expected);
    }

    async fn long_values_are_cut(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let wiki = &server.create(&ann, "Wiki", "PRIVATE").await;
        let long = "é".repeat(1000);
        let metadata = json!({ "text": long });
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": wiki, "description": long, "metadata": metadata }),
            )
            .await;
        let cut = |field, value| {
            json!({
                "field": field, "before": null, "after": value, "isBeforeCut": false, "isAfterCut": true,
            })
        };
        let expected = json!([
            cut("DESCRIPTION", json!("é".repeat(512))),
            cut("METADATA", Value::Null)
        ]);
        assert_eq!(server.last_values(&ann, wiki).await, expected);
        let stored = server.rows("SELECT CAST(LENGTH(changed_values) AS TEXT) AS n FROM connector_event ORDER BY \
                                  number DESC LIMIT 1").await;
        assert!(stored.trim().parse::<usize>().unwrap() < 1200, "{stored}");
    }

    /// A viewer who saw the connector before and after a change sees the change's values while they see the connector.
    async fn values_go_out_of_sight_with_the_connector(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let (bob, cid) = (
            server.token("bob@acme", &[]),
            server.token("cid@other", &[]),
        );
        let of_ann = |id, name, visibility| Model {
            server_url: Some("https://mcp.example.com".to_owned()),
            ..custom(id, name, "ann@acme", visibility)
        };
        let rows = vec![
            of_ann("wiki", "Wiki", Public),
            of_ann("new", "Secret plans", Private),
        ];
        server.insert(rows).await;
        let wiki = "pcon_wiki";
        server
            .change(
                &boss,
                STATUS,
                json!({ "id": wiki, "status": "DEPRECATED", "replacedById": "pcon_new" }),
            )
            .await;
        let status = value("STATUS", json!("ACTIVE"), json!("DEPRECATED"));
        for (token, replaced) in [
            (&ann, json!("pcon_new")),
            (&boss, json!("pcon_new")),
            (&bob, Value::Null),
            (&cid, Value::Null),
        ] {
            let expected = json!([status, value("REPLACED_BY", Value::Null, replaced)]);
            assert_eq!(server.last_values(token, wiki).await, expected);
        }
        // A replacement is named once it becomes visible.
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": "pcon_new", "visibility": "ORGANIZATION" }),
            )
            .await;
        let named = value("REPLACED_BY", Value::Null, json!("pcon_new"));
        assert_eq!(server.last_values(&bob, wiki).await, json!([status, named]));

        server
            .change(&boss, UPDATE, json!({ "id": wiki, "description": "Ours" }))
            .await;
        let after = json!([value("DESCRIPTION", Value::Null, json!("Ours"))]);
        assert_eq!(server.last_values(&cid, wiki).await, after);
        let none = json!([value("DESCRIPTION", Value::Null, Value::Null)]);
        let query = format!(
            "{{ personalConnectorChanges(last: 2, filter: {{personalConnectorId: [\"{wiki}\"]}}) {{ nodes {{ {FIELDS} \
             }} }} }}"
        );
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "visibility": "PRIVATE" }))
            .await;
        let hidden = server.data(&cid, &query, json!({})).await;
        assert_eq!(
            hidden["personalConnectorChanges"]["nodes"][0]["changes"],
            none
        );
        assert_eq!(
            hidden["personalConnectorChanges"]["nodes"][1]["kind"],
            "DELETED"
        );
        let shown = server.data(&ann, &query, json!({})).await;
        assert_eq!(
            shown["personalConnectorChanges"]["nodes"][0]["changes"],
            after
        );
        server.change(&ann, DELETE, json!({ "id": wiki })).await;
        for token in [&ann, &boss] {
            let gone = server.data(token, &query, json!({})).await;
            let nodes = &gone["personalConnectorChanges"]["nodes"];
            assert_eq!(nodes[1]["kind"], "DELETED");
            assert_eq!(
                nodes[0]["changes"],
                json!([value("VISIBILITY", Value::Null, Value::Null)])
            );
        }
    }

    /// An event of a version without values has only names. One of a newer version may name fields that this one lacks.
    async fn events_of_other_versions(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let wiki = &server.create(&ann, "Wiki", "PRIVATE").await;
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "version": "1.0.0" }))
            .await;
        let last = "WHERE number = (SELECT state FROM catalog_state)";
        server
            .rows(&format!(
                "UPDATE connector_event SET changed_values = NULL {last}"
            ))
            .await;
        assert_eq!(
            server.last_values(&ann, wiki).await,
            json!([value("VERSION", Value::Null, Value::Null)])
        );
        server
            .rows(&format!(
                "UPDATE connector_event SET changed_fields = '[\"colour\",\"version\"]' {last}"
            ))
            .await;
        assert_eq!(
            server.last_values(&ann, wiki).await,
            json!([value("VERSION", Value::Null, Value::Null)])
        );
    }

    /// A page of one connector's changes is complete, however many other changes are between them. A page of the whole
    /// feed may be empty, because it reads at most ten thousand changes.
    async fn others_changes_do_not_hide_a_history(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let wiki = &server.create(&ann, "Wiki", "PRIVATE").await;
        let others = "INSERT INTO connector_event (number, kind, personal_connector_id, type, changed_fields, \
            revision, occurred_at,
                visibility_before, visibility_after, status_before, status_after, mark)
            WITH RECURSIVE number (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < 11000)
            SELECT state + n, 'updated', 'pcon_others', 'custom', '[]', n, 1795334400000000, 'private', 'private', \
            'active', 'active', state + n
            FROM number CROSS JOIN catalog_state";
        server.rows(others).await;
        server
            .rows("UPDATE catalog_state SET state = state + 11000")
            .await;
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "name": "Pages" }))
            .await;
        server.rows(&others.replace("11000", "10500")).await;
        server
            .rows("UPDATE catalog_state SET state = state + 10500")
            .await;
        let query = "query($filter: PersonalConnectorChangeFilter, $before: String, $last: Int, $first: Int) {
            personalConnectorChanges(filter: $filter, before: $before, last: $last, first: $first) {
                nodes { kind personalConnector { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor \
                } } }";
        let page = async |variables: Value| {
            let mut data = server.fresh(&ann, query, variables).await;
            data["personalConnectorChanges"].take()
        };
        let own = json!({ "personalConnectorId": [wiki] });
        for (size, more) in [("first", "hasNextPage"), ("last", "hasPreviousPage")] {
            let both = page(json!({ "filter": own, size: 2 })).await;
            let kinds: Vec<_> = both["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|node| text(&node["kind"]))
                .collect();
            assert_eq!(
                (kinds.as_slice(), &both["pageInfo"][more]),
                (&["CREATED", "UPDATED"][..], &json!(false))
            );
            let one = page(json!({ "filter": own, size: 1 })).await;
            assert_eq!(
                (
                    one["nodes"].as_array().unwrap().len(),
                    &one["pageInfo"][more]
                ),
                (1, &json!(true))
            );
        }
        // Reads the feed backwards. Each page covers a part of the events.
        let (mut before, mut kinds, mut sizes) = (Value::Null, Vec::new(), Vec::new());
        loop {
            let page = page(json!({ "last": 3, "before": before })).await;
            let nodes = page["nodes"].as_array().unwrap();
            sizes.push(nodes.len());
            kinds.extend(
                nodes
                    .iter()
                    .rev()
                    .map(|node| text(&node["kind"]).to_owned()),
            );
            before = page["pageInfo"]["startCursor"].clone();
            if page["pageInfo"]["hasPreviousPage"] == false {
                break;
            }
        }
        assert_eq!(
            kinds,
            [
                "UPDATED", "CREATED", "CREATED", "CREATED", "CREATED", "CREATED", "CREATED"
            ]
        );
        assert_eq!(sizes[0], 0, "ten thousand changes of others are the latest");
    }

    /// As in the feed, cursors of another history and of lists are rejected.
    async fn cursors_of_a_history_are_verified(server: Server) {
        let rows = vec![custom("wiki", "Wiki", "ann@acme", Organization)];
        server.insert(rows).await;
        let ann = server.token("ann@acme", WRITE);
        let query = "query($after: String, $before: String, $first: Int, $last: Int) { personalConnector(id: \
            \"pcon_wiki\") {
            changes(after: $after, before: $before, first: $first, last: $last) { nodes { kind } } } }";
        let other = if server.storage.url.starts_with("sqlite") {
            Server::on_sqlite(&[]).await
        } else {
            Server::on_postgres(&[]).await
        };
        let list = "{ personalConnectors(first: 1) { changesCursor edges { cursor } } }";
        let foreign = other.data("", list, json!({})).await["personalConnectors"].take();
        for (variables, code) in [
            (
                json!({ "after": foreign["changesCursor"] }),
                "CURSOR_EXPIRED",
            ),
            (
                json!({ "before": foreign["changesCursor"] }),
                "CURSOR_EXPIRED",
            ),
            (
                json!({ "after": foreign["edges"][0]["cursor"] }),
                "CURSOR_INVALID",
            ),
            (json!({ "first": 1, "last": 1 }), "BAD_USER_INPUT"),
            (json!({ "last": 101 }), "BAD_USER_INPUT"),
        ] {
            assert_eq!(
                server.error_code(&ann, query, variables.clone()).await,
                code,
                "{variables}"
            );
        }
    }
}

crate::on_both_databases! {
    /// The migration keeps existing data, and its reversal keeps the earlier data.
    async fn the_values_come_and_go_with_their_migration(storage: TestDatabase) {
        let storage = Arc::new(storage);
        let migrate = |to: &str| run(program_on(&storage, &["migrate", "--to", to])).ok();
        migrate("m20261130_000008_open_enums");
        run(program_on(&storage, &["migrate"])).ok();
        let server = Box::pin(Server::start(storage.clone(), &[], crate::support::harness::fixed_clock())).await;
        let ann = server.token("ann@acme", WRITE);
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        server.change(&ann, UPDATE, json!({ "id": wiki, "version": "1.0.0" })).await;
        drop(server);
        migrate("m20261130_000008_open_enums");
        run(program_on(&storage, &["migrate"])).ok();
        run(program_on(&storage, &["check-database"])).ok();
        let server = Box::pin(Server::start(storage.clone(), &[], crate::support::harness::fixed_clock())).await;
        assert_eq!(server.last_values(&ann, &wiki).await, json!([value("VERSION", Value::Null, Value::Null)]));
        server.rows("UPDATE connector_event SET changed_values = '{}' WHERE number = 1").await;
        let told = run(program_on(&storage, &["check-database"])).failed(1);
        assert!(told.contains("number 1: it has values of fields and is no update"), "{told}");
    }
}
