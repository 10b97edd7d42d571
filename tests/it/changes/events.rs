//! Changes write one event each, under the next state number.

use serde_json::json;

use crate::{
    on_both,
    support::{
        clients::subscribers::{CHANGED, Socket, now},
        mutations::{ADMIN, CREATE, DELETE, STATUS, UPDATE, WRITE, draft},
    },
};

on_both! {
    /// A newer version, which runs beside this one or ran before it, may write enum values that this one does not know.
    async fn an_event_of_a_newer_version_is_told_to_nobody(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut socket = Socket::of(&server, &ann).await;
        let after = now(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": after }))
            .await;
        server.create(&ann, "One", "PRIVATE").await;
        assert_eq!(socket.change().await["kind"], "CREATED");
        server.rows(
            "INSERT INTO connector_event (number, kind, personal_connector_id, type, changed_fields, revision, \
             occurred_at, mark,
                 visibility_before, visibility_after, status_before, status_after, category_after)
             SELECT state + 1, 'updated', 'pcon_github', 'official', '[]', 2, 0, 7, 'public', 'public', 'active', \
             'active', 'newer'
             FROM catalog_state",
        ).await;
        server
            .rows("UPDATE catalog_state SET state = state + 1")
            .await;
        let two = server.create(&ann, "Two", "PRIVATE").await;
        assert_eq!(socket.change().await["personalConnectorId"], two);
        // A page of the log continues after the unknown event, and cached counts are computed again.
        let query = "query($after: String) {
            personalConnectorChanges(after: $after) { nodes { kind } pageInfo { hasNextPage } }
            personalConnectors(filter: { type: CUSTOM }) { totalCount }
        }";
        let data = server.data(&ann, query, json!({ "after": after })).await;
        let nodes = json!([{ "kind": "CREATED" }, { "kind": "CREATED" }]);
        assert_eq!(
            data["personalConnectorChanges"],
            json!({ "nodes": nodes, "pageInfo": { "hasNextPage": false } })
        );
        assert_eq!(data["personalConnectors"]["totalCount"], 2);
    }

    async fn each_kind_of_change_is_told(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let root = server.token("root", &["catalog:admin"]);
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        let new = server.create(&boss, "New Wiki", "PUBLIC").await;
        let alone = server
            .create(&server.token("dan", WRITE), "Alone", "PRIVATE")
            .await;
        for (token, field, input) in [
            (&ann, UPDATE, json!({ "id": wiki, "description": "Pages" })),
            (
                &ann,
                UPDATE,
                json!({
                    "id": wiki, "name": "Pages", "description": null, "iconUrl": "https://e.co/i", "category": "DESIGN",
                    "version": "1.0.0", "serverUrl": "wss://e.co", "serverType": "WEBSOCKET", "metadata": {},
                }),
            ),
            (
                &ann,
                UPDATE,
                json!({ "id": wiki, "visibility": "ORGANIZATION" }),
            ),
            (&boss, UPDATE, json!({ "id": wiki, "visibility": "PUBLIC" })),
            (&boss, UPDATE, json!({ "id": wiki, "visibility": "PUBLIC" })),
            (
                &ann,
                UPDATE,
                json!({ "id": wiki, "visibility": "PRIVATE", "category": null }),
            ),
            (
                &ann,
                STATUS,
                json!({ "id": wiki, "status": "MAINTENANCE", "statusMessage": "soon" }),
            ),
            (
                &ann,
                STATUS,
                json!({ "id": wiki, "status": "DEPRECATED", "replacedById": new }),
            ),
            (
                &root,
                STATUS,
                json!({ "id": "pcon_jira", "status": "DEPRECATED", "statusMessage": "old", "replacedById": new }),
            ),
            (&boss, DELETE, json!({ "id": new })),
            (&ann, DELETE, json!({ "id": wiki })),
        ] {
            server.errors(token, field, input).await;
        }
        // A rejected mutation writes no event.
        server.errors(&ann, CREATE, draft(" ", json!({}))).await;
        server.errors(&ann, DELETE, json!({ "id": alone })).await;
        let mut told = String::new();
        for sql in [
            "SELECT number, kind, personal_connector_id, type, organization_id, changed_fields, revision, actor_id, \
             actor_organization_id FROM connector_event ORDER BY number",
            "SELECT number, visibility_before, visibility_after, created_by_before, created_by_after, category_before, \
             category_after, status_before, status_after FROM connector_event ORDER BY number",
            "SELECT state FROM catalog_state",
        ] {
            told += &server.rows(sql).await;
            told.push('\n');
        }
        insta::assert_snapshot!("events", told);
    }

    async fn an_event_has_the_clocks_time(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.clock.set(crate::support::harness::timestamp(
            "2026-11-22T08:00:00.000001Z",
        ));
        server.create(&ann, "Wiki", "PRIVATE").await;
        let times = server
            .rows("SELECT number, occurred_at FROM connector_event ORDER BY number DESC LIMIT 2")
            .await;
        assert_eq!(times, "6|1795334400000001\n5|1795334400000000\n");
    }

    async fn a_restart_with_the_same_catalogue_changes_nothing(server: Server) {
        server
            .create(&server.token("ann@acme", WRITE), "Wiki", "PRIVATE")
            .await;
        let before = server.written().await;
        crate::support::harness::Server::start(server.storage.clone(), &[], server.clock.clone())
            .await;
        assert_eq!(server.written().await, before);
    }
}
