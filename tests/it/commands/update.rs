//! `updateCustomConnector` and `deleteCustomConnector`.

use entity::{ConnectorSource, ConnectorVisibility, personal_connector::Model};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors::connector,
        harness::{NOW, timestamp},
        mutations::{
            ADMIN, CREATE, DELETE, NONE, STATUS, UPDATE, WRITE, draft, errors, text, with,
        },
        schema::input_fields,
    },
};

const LATER: &str = "2026-11-22T08:30:00.123456Z";

fn full() -> Value {
    draft(
        "Wiki",
        json!({
            "description": "Pages", "iconUrl": "https://example.com/icon.png", "category": "DESIGN", "version": "1.2.3",
            "metadata": { "b": 1, "a": 2 }, "visibility": "ORGANIZATION",
        }),
    )
}

/// The fields of an update that change nothing.
const CALL: [&str; 3] = ["id", "expectedRevision", "validateOnly"];

/// A change of each field, and null for each nullable one.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!("Pages")),
        ("description", json!("Ünïcode")),
        ("description", json!(null)),
        ("iconUrl", json!("https://example.com/other.png")),
        ("iconUrl", json!(null)),
        ("category", json!("COMMUNICATION")),
        ("category", json!(null)),
        ("version", json!("2.0.0")),
        ("version", json!(null)),
        ("serverUrl", json!("https://example.com/moved")),
        ("serverType", json!("WEBSOCKET")),
        ("serverType", json!(null)),
        ("metadata", json!({ "a": 2, "b": 1 })),
        ("metadata", json!(null)),
        ("visibility", json!("PRIVATE")),
    ]
}

on_both! {
    async fn changes_what_is_given_and_nothing_else(server: Server) {
        let changes = changes();
        for field in input_fields("UpdateCustomConnectorInput") {
            let is_of_call = CALL.contains(&field);
            assert!(
                is_of_call || changes.iter().any(|(one, _)| *one == field),
                "no change of {field}"
            );
        }
        let ann = server.token("ann@acme", WRITE);
        let mut expected = server.change(&ann, CREATE, full()).await;
        let id = expected["id"].clone();
        server.clock.set(timestamp(LATER));
        let mut revision = 1;
        for (field, value) in changes {
            let answer = server
                .change(&ann, UPDATE, json!({ "id": id, field: value }))
                .await;
            revision += 1;
            expected = with(
                expected,
                json!({ field: value, "updatedAt": LATER, "revision": revision }),
            );
            assert_eq!(answer.to_string(), expected.to_string(), "{field}");
            assert_eq!(server.see(&ann, text(&id)).await, expected, "{field}");
        }
        // Several fields at once are one change.
        let input = json!({ "id": id, "name": "Local", "serverType": "STDIO", "serverUrl": null });
        assert_eq!(server.change(&ann, UPDATE, input).await["revision"], 17);
    }

    async fn a_change_of_nothing_writes_nothing(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, full()).await;
        let before = server.written().await;
        server.clock.set(timestamp(LATER));
        for input in [
            json!({}),
            json!({ "name": "  Wiki " }),
            with(full(), json!({ "serverType": "HTTP" })),
            json!({ "expectedRevision": 1 }),
        ] {
            let changed = server
                .change(&ann, UPDATE, with(input, json!({ "id": made["id"] })))
                .await;
            assert_eq!(changed, made);
        }
        let same = json!({ "id": made["id"], "status": "ACTIVE" });
        assert_eq!(server.change(&ann, STATUS, same).await, made);
        assert_eq!(server.written().await, before);
        assert_eq!(made["updatedAt"], NOW);
    }

    async fn what_a_file_brought_is_a_hands_once_that_changes_it(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let imported = Model {
            source: ConnectorSource::Import,
            source_hash: Some("hash of the file's".to_owned()),
            ..connector(
                "imported",
                "Imported",
                "ann@acme",
                ConnectorVisibility::Private,
            )
        };
        server.insert(vec![imported]).await;
        let before = server.written().await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": "pcon_imported", "name": "Imported" }),
            )
            .await;
        assert_eq!(server.written().await, before);
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": "pcon_imported", "version": "1.0.0" }),
            )
            .await;
        let hash = server
            .rows("SELECT source_hash FROM personal_connector WHERE id = 'pcon_imported'")
            .await;
        assert_eq!(hash, "\n", "a repeated import leaves it alone");
    }

    async fn what_is_required_cannot_be_null(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let id = server.create(&ann, "Wiki", "PRIVATE").await;
        let before = server.written().await;
        let input = json!({ "id": id, "name": null, "visibility": null, "version": "x" });
        let expected = [
            "INVALID input.name",
            "INVALID input.visibility",
            "INVALID input.version",
        ];
        assert_eq!(server.errors(&ann, UPDATE, input).await, expected);
        assert_eq!(server.written().await, before);
    }

    async fn the_merged_object_is_checked_whole(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let id = server.create(&ann, "Wiki", "PRIVATE").await;
        server.create(&ann, "Taken", "PRIVATE").await;
        server.create(&ann, "Shared", "ORGANIZATION").await;
        for (change, expected) in [
            (json!({ "serverUrl": null }), "BLANK input.serverUrl"),
            (json!({ "serverType": "STDIO" }), "INVALID input.serverUrl"),
            (
                json!({ "serverUrl": "wss://example.com" }),
                "INVALID input.serverUrl",
            ),
            (json!({ "name": "TAKEN" }), "TAKEN input.name"),
            (
                json!({ "name": "shared", "visibility": "ORGANIZATION" }),
                "TAKEN input.name",
            ),
            (json!({ "name": "shared" }), ""),
            (json!({ "name": "taken", "visibility": "ORGANIZATION" }), ""),
            (json!({ "name": "wiki" }), ""),
            (
                json!({ "serverUrl": "wss://example.com", "serverType": "WEBSOCKET" }),
                "",
            ),
            (json!({ "serverUrl": null, "serverType": "STDIO" }), ""),
        ] {
            let before = server.written().await;
            let input = with(change.clone(), json!({ "id": id, "validateOnly": true }));
            let payload = server.mutate(&ann, UPDATE, input).await;
            let expected: Vec<_> = [expected]
                .into_iter()
                .filter(|code| !code.is_empty())
                .collect();
            assert_eq!(
                (errors(&payload), &payload["personalConnector"]),
                (
                    expected.iter().map(ToString::to_string).collect(),
                    &Value::Null
                ),
                "{change}"
            );
            assert_eq!(
                server.written().await,
                before,
                "validateOnly writes nothing: {change}"
            );
        }
    }

    async fn an_expected_revision_guards(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, full()).await;
        let id = &made["id"];
        let now = server
            .change(
                &ann,
                UPDATE,
                json!({ "id": id, "expectedRevision": 1, "version": "2.0.0" }),
            )
            .await;
        let before = server.written().await;
        for expected in [1, 3, 0, -1, i64::from(i32::MAX)] {
            for (field, change) in [
                (
                    UPDATE,
                    json!({ "description": "lost", "version": "not looked at" }),
                ),
                (UPDATE, json!({ "validateOnly": true })),
                (DELETE, json!({})),
                (STATUS, json!({ "status": "MAINTENANCE" })),
            ] {
                let input = with(change, json!({ "id": id, "expectedRevision": expected }));
                let payload = server.mutate(&ann, field, input).await;
                assert_eq!(
                    errors(&payload),
                    ["CONFLICT input.expectedRevision"],
                    "{field}"
                );
                assert_eq!(payload["personalConnector"], now, "{field}");
                assert_eq!(payload["deletedId"], Value::Null);
            }
        }
        assert_eq!(server.written().await, before);
        for (field, change) in [
            (
                STATUS,
                json!({ "status": "MAINTENANCE", "expectedRevision": 2 }),
            ),
            (DELETE, json!({ "expectedRevision": 3 })),
        ] {
            assert_eq!(
                server
                    .errors(&ann, field, with(change, json!({ "id": id })))
                    .await,
                NONE
            );
        }
    }

    async fn only_administrators_move_and_publish(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let id = server.create(&ann, "Wiki", "ORGANIZATION").await;
        let publish = json!({ "id": id, "visibility": "PUBLIC" });
        assert_eq!(
            server.errors(&ann, UPDATE, publish.clone()).await,
            ["FORBIDDEN input.visibility"]
        );
        server.change(&boss, UPDATE, publish.clone()).await;
        // A PUBLIC connector stays public when its creator edits it, but only at the approved address.
        server
            .change(
                &ann,
                UPDATE,
                with(publish, json!({ "description": "Pages" })),
            )
            .await;
        let moved = json!({ "id": id, "serverUrl": "https://elsewhere.example.com" });
        assert_eq!(
            server.errors(&ann, UPDATE, moved.clone()).await,
            ["FORBIDDEN input.serverUrl"]
        );
        let cleared =
            json!({ "id": id, "serverUrl": null, "serverType": "STDIO", "visibility": "PRIVATE" });
        assert_eq!(
            server.errors(&ann, UPDATE, cleared).await,
            ["FORBIDDEN input.serverUrl"]
        );
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": id, "serverUrl": "https://mcp.example.com" }),
            )
            .await;
        server.change(&boss, UPDATE, moved.clone()).await;
        // Once it is no longer PUBLIC, its creator may move it again, but not publish it.
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": id, "visibility": "ORGANIZATION" }),
            )
            .await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": id, "serverUrl": "https://mcp.example.com" }),
            )
            .await;
        assert_eq!(
            server
                .errors(&ann, UPDATE, json!({ "id": id, "visibility": "PUBLIC" }))
                .await,
            ["FORBIDDEN input.visibility"]
        );
    }

    async fn without_an_organization_all_stays_private(server: Server) {
        for scopes in [WRITE, ADMIN] {
            let ann = server.token("ann", scopes);
            let id = server.create(&ann, scopes[0], "PRIVATE").await;
            for visibility in ["ORGANIZATION", "PUBLIC"] {
                let input = json!({ "id": id, "visibility": visibility });
                assert_eq!(
                    server.errors(&ann, UPDATE, input).await,
                    ["INVALID input.visibility"]
                );
            }
            server
                .change(
                    &ann,
                    UPDATE,
                    json!({ "id": id, "visibility": "PRIVATE", "version": "1.0.0" }),
                )
                .await;
        }
    }

    async fn an_administrator_keeps_the_creators_names_apart(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let id = server.create(&ann, "Wiki", "PRIVATE").await;
        server.create(&ann, "Pages", "PRIVATE").await;
        server.create(&boss, "Board", "PRIVATE").await;
        let rename = |name: &str| json!({ "id": id, "name": name });
        assert_eq!(
            server.errors(&boss, UPDATE, rename("pages")).await,
            ["TAKEN input.name"]
        );
        let renamed = server.change(&boss, UPDATE, rename("board")).await;
        assert_eq!(renamed["createdBy"], "ann");
    }

    async fn deleting_takes_it_out_of_those_it_replaced(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let root = server.token("root", &["catalog:admin"]);
        let gone = server.create(&ann, "Gone", "ORGANIZATION").await;
        let bobs = server.create(&bob, "Bob's", "PRIVATE").await;
        let deprecated = |id: &str| json!({ "id": id, "status": "DEPRECATED", "statusMessage": "moved",
            "replacedById": gone });
        server.change(&bob, STATUS, deprecated(&bobs)).await;
        server.change(&root, STATUS, deprecated("pcon_jira")).await;
        let (bobs_before, jira_before) = (
            server.see(&bob, &bobs).await,
            server.see(&root, "pcon_jira").await,
        );
        let state = server.state().await;
        server.clock.set(timestamp(LATER));

        let payload = server.mutate(&ann, DELETE, json!({ "id": gone })).await;
        assert_eq!(
            payload,
            json!({ "deletedId": gone, "personalConnector": null, "userErrors": [] })
        );
        assert_eq!(server.see(&ann, &gone).await, Value::Null);
        let without = |before: Value, revision: i64| {
            with(
                before,
                json!({ "replacedBy": null, "updatedAt": LATER, "revision": revision }),
            )
        };
        assert_eq!(server.see(&bob, &bobs).await, without(bobs_before, 3));
        assert_eq!(
            server.see(&root, "pcon_jira").await,
            without(jira_before, 3)
        );
        let events = server.rows(&format!(
            "SELECT kind, personal_connector_id, changed_fields, revision, actor_id FROM connector_event \
             WHERE number > {state} ORDER BY number"
        )).await;
        let mut referrers = [bobs.as_str(), "pcon_jira"];
        referrers.sort_unstable();
        let [first, second] = referrers.map(|id| format!("updated|{id}|[\"replacedBy\"]|3|ann\n"));
        assert_eq!(events, format!("{first}{second}deleted|{gone}|[]|1|ann\n"));
        // Its name is free again, but its id is not reused.
        server.create(&ann, "Gone", "ORGANIZATION").await;
        assert_eq!(
            server.errors(&ann, DELETE, json!({ "id": gone })).await,
            ["NOT_FOUND input.id"]
        );
    }

    async fn the_catalogue_is_not_changed_by_hand(server: Server) {
        let boss = server.token(
            "boss@acme",
            &["connectors:write", "connectors:admin", "catalog:admin"],
        );
        let before = server.written().await;
        for field in [UPDATE, DELETE] {
            assert_eq!(
                server
                    .errors(&boss, field, json!({ "id": "pcon_jira" }))
                    .await,
                ["FORBIDDEN input.id"]
            );
        }
        for id in ["", "pcon_", "jira", "pcon_a\u{0}", "pcon_é"] {
            for (field, more) in [
                (UPDATE, json!({})),
                (DELETE, json!({})),
                (STATUS, json!({ "status": "ACTIVE" })),
            ] {
                let input = with(more, json!({ "id": id }));
                assert_eq!(
                    server.errors(&boss, field, input).await,
                    ["NOT_FOUND input.id"]
                );
            }
        }
        assert_eq!(server.written().await, before);
    }
}
