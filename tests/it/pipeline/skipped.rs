//! Objects whose fields are all skipped (GraphQL, sections 3.13 and 6.4.4).

use serde_json::json;

use crate::{
    on_both,
    support::{
        clients::subscribers::{Socket, now},
        mutations::{CREATE, WRITE},
    },
};

on_both! {
    async fn an_object_without_fields_is_no_null(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Wiki", "PRIVATE").await;
        let object = json!({});
        for (query, expected) in [
            ("{ viewer @include(if: $no) { userId } }", json!({})),
            (
                "{ viewer { userId @skip(if: $yes) } }",
                json!({ "viewer": object }),
            ),
            (
                "{ viewer { ... @include(if: $no) { userId } } }",
                json!({ "viewer": object }),
            ),
            (
                "{ viewer { ...V @include(if: $no) } } fragment V on Viewer { userId }",
                json!({ "viewer": object }),
            ),
            (
                "{ viewer { ...V } } fragment V on Viewer { userId @skip(if: $yes) }",
                json!({ "viewer": object }),
            ),
            (
                "{ viewer { userId @include(if: $yes) scopes @include(if: $no) } }",
                json!({ "viewer": { "userId": "ann" } }),
            ),
            (
                "{ node(id: \"pcon_github\") { id @skip(if: $yes) } }",
                json!({ "node": object }),
            ),
            (
                "{ node(id: \"pcon_gone\") { id @skip(if: $yes) } }",
                json!({ "node": null }),
            ),
            (
                "{ nodes(ids: [\"pcon_github\", \"pcon_gone\"]) { ... on PersonalConnector @include(if: $no) { name } \
                 } }",
                json!({ "nodes": [object, null] }),
            ),
            (
                "{ personalConnector(id: \"pcon_github\") { name @skip(if: $yes) } }",
                json!({ "personalConnector": object }),
            ),
            (
                "{ personalConnector(id: \"pcon_gone\") { name @skip(if: $yes) } }",
                json!({ "personalConnector": null }),
            ),
            (
                "{ personalConnectors(first: 2) { nodes { name @skip(if: $yes) } } }",
                json!({ "personalConnectors": { "nodes": [object, object] } }),
            ),
            (
                "{ personalConnectors(first: 1) { pageInfo { endCursor @skip(if: $yes) } edges { node { replacedBy { \
                 id @skip(if: $yes) } } } } }",
                json!({ "personalConnectors": { "pageInfo": object, "edges": [{ "node": { "replacedBy": null } }] } }),
            ),
            (
                "{ personalConnectors(first: 1) { facets { type { count @skip(if: $yes) } } } }",
                json!({ "personalConnectors": { "facets": { "type": [object, object, object] } } }),
            ),
            (
                "{ personalConnectorChanges(first: 1) { nodes { kind @skip(if: $yes) } } }",
                json!({ "personalConnectorChanges": { "nodes": [object] } }),
            ),
            (
                "{ __type(name: \"Viewer\") { name @skip(if: $yes) } }",
                json!({ "__type": object }),
            ),
            (
                "{ __schema { queryType { name @skip(if: $yes) } } }",
                json!({ "__schema": { "queryType": object } }),
            ),
        ] {
            let declared = [
                ("$yes", "$yes: Boolean! = true"),
                ("$no", "$no: Boolean! = false"),
            ];
            let declared = declared.iter().filter(|(name, _)| query.contains(name));
            let declared: Vec<_> = declared.map(|(_, declared)| *declared).collect();
            let query = format!("query({}) {query}", declared.join(", "));
            let data = server.data(&ann, &query, json!({})).await;
            assert_eq!(data, expected, "{query}");
        }
        let skipped = server.data(&ann, "mutation { createCustomConnector(input: {name: \"A\", serverType: STDIO}) \
                                         @skip(if: true) { userErrors { code } } }", json!({})).await;
        assert_eq!(skipped, json!({}));
        let errors = server.data(&ann, "mutation { createCustomConnector(input: {name: \"\"}) { userErrors { code \
                                        @skip(if: true) } } }", json!({})).await;
        let errors = errors[CREATE]["userErrors"].as_array().unwrap().clone();
        assert!(
            !errors.is_empty() && errors.iter().all(|error| *error == object),
            "{errors:?}"
        );
    }

    async fn an_event_has_what_is_selected(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut socket = Socket::of(&server, &ann).await;
        let variables = json!({ "after": now(&server, &ann).await });
        let id = server.create(&ann, "Wiki", "PRIVATE").await;
        let fragment =
            "fragment C on PersonalConnectorChange { kind personalConnectorId @include(if: $yes) }";
        for (selection, fragment, expected) in [
            (
                "kind @include(if: $yes) personalConnectorId @skip(if: $yes)",
                "",
                json!({ "kind": "CREATED" }),
            ),
            (
                "kind @skip(if: $yes) cursor @include(if: $no)",
                "",
                json!({}),
            ),
            (
                "personalConnector { id @skip(if: $yes) }",
                "",
                json!({ "personalConnector": {} }),
            ),
            (
                "personalConnector { name @include(if: $yes) id @include(if: $no) }",
                "",
                json!({ "personalConnector": { "name": "Wiki" } }),
            ),
            (
                "...C",
                fragment,
                json!({ "kind": "CREATED", "personalConnectorId": id }),
            ),
        ] {
            let query = format!(
                "subscription($yes: Boolean! = true, $no: Boolean! = false, $after: String) {{ \
                 personalConnectorChanged(after: $after) {{ {selection} revision @skip(if: $yes) @include(if: $no) }} \
                 }} {fragment}"
            );
            socket.subscribe("1", &query, variables.clone()).await;
            assert_eq!(socket.change().await, expected, "{query}");
            socket.send(json!({ "id": "1", "type": "complete" })).await;
        }
    }
}
