//! `setConnectorStatus`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    on_both,
    support::{
        harness::Server,
        mutations::{ADMIN, CATALOG, NONE, STATUS, WRITE, mutation, with},
    },
};

fn replaced(id: &str, by: &str) -> Value {
    json!({ "id": id, "status": "DEPRECATED", "replacedById": by })
}

on_both! {
    async fn what_is_left_out_stays_and_null_clears_it(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let id = server.create(&ann, "Wiki", "PRIVATE").await;
        let new = server.create(&ann, "New Wiki", "PRIVATE").await;
        for (revision, (input, expected)) in (2..).zip([
            (
                json!({ "status": "MAINTENANCE", "statusMessage": "Back\nsoon" }),
                json!(["MAINTENANCE", "Back\nsoon", null]),
            ),
            (
                json!({ "status": "DEPRECATED", "statusMessage": "Moved", "replacedById": new }),
                json!(["DEPRECATED", "Moved", { "id": new }]),
            ),
            (
                json!({ "status": "DEPRECATED", "replacedById": "pcon_jira" }),
                json!(["DEPRECATED", "Moved", { "id": "pcon_jira" }]),
            ),
            (
                json!({ "status": "DEPRECATED", "statusMessage": "Closed", "replacedById": null }),
                json!(["DEPRECATED", "Closed", null]),
            ),
            (
                json!({ "status": "DEPRECATED", "statusMessage": null, "replacedById": new }),
                json!(["DEPRECATED", null, { "id": new }]),
            ),
            // Another status clears a replacement.
            (
                json!({ "status": "MAINTENANCE" }),
                json!(["MAINTENANCE", null, null]),
            ),
            (
                json!({ "status": "ACTIVE", "statusMessage": "Back" }),
                json!(["ACTIVE", "Back", null]),
            ),
            (
                json!({ "status": "DEPRECATED" }),
                json!(["DEPRECATED", "Back", null]),
            ),
        ]) {
            let set = server
                .change(&ann, STATUS, with(input, json!({ "id": id })))
                .await;
            let [status, message, replacement] =
                ["status", "statusMessage", "replacedBy"].map(|field| &set[field]);
            assert_eq!(json!([status, message, replacement]), expected);
            assert_eq!(set["revision"], revision);
            assert_eq!(server.see(&ann, &id).await, set);
        }
    }

    async fn what_it_refuses(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let [a, b, c] = ["a", "b", "c"].map(|name| server.create(&ann, name, "ORGANIZATION"));
        let (a, b, c) = (a.await, b.await, c.await);
        let bobs = server.create(&bob, "Bob's", "PRIVATE").await;
        let elsewhere = server
            .create(&server.token("cid@other", WRITE), "c", "ORGANIZATION")
            .await;
        server.change(&ann, STATUS, replaced(&a, &b)).await;
        server.change(&ann, STATUS, replaced(&b, &c)).await;
        let before = server.written().await;
        let x = "x".repeat(1001);
        for (input, expected) in [
            (
                json!({ "id": a, "status": "ACTIVE", "replacedById": c }),
                vec!["INVALID input.replacedById"],
            ),
            (
                json!({ "id": a, "status": "MAINTENANCE", "replacedById": c }),
                vec!["INVALID input.replacedById"],
            ),
            (
                json!({ "id": a, "status": "MAINTENANCE", "statusMessage": x }),
                vec!["TOO_LONG input.statusMessage"],
            ),
            (
                json!({ "id": a, "status": "MAINTENANCE", "statusMessage": "a\u{0}b" }),
                vec!["INVALID input.statusMessage"],
            ),
            (replaced(&c, &c), vec!["INVALID input.replacedById"]),
            (replaced(&b, &a), vec!["INVALID input.replacedById"]),
            (replaced(&c, &a), vec!["INVALID input.replacedById"]),
            (replaced(&c, &bobs), vec!["NOT_FOUND input.replacedById"]),
            (
                replaced(&c, &elsewhere),
                vec!["NOT_FOUND input.replacedById"],
            ),
            (
                replaced(&c, "pcon_none"),
                vec!["NOT_FOUND input.replacedById"],
            ),
            (replaced(&c, ""), vec!["NOT_FOUND input.replacedById"]),
            // All errors at once.
            (
                with(replaced(&c, "pcon_none"), json!({ "statusMessage": x })),
                vec![
                    "TOO_LONG input.statusMessage",
                    "NOT_FOUND input.replacedById",
                ],
            ),
        ] {
            assert_eq!(
                server.errors(&ann, STATUS, input.clone()).await,
                expected,
                "{input}"
            );
        }
        assert_eq!(server.written().await, before);
        // A longer path in the other direction is no cycle.
        server.change(&ann, STATUS, replaced(&a, &c)).await;
    }

    async fn replacements_follow_one_another_so_far(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut ids = Vec::new();
        for number in 0..34 {
            ids.push(server.create(&ann, &format!("C{number}"), "PRIVATE").await);
        }
        // Each connector is put before the chain. A chain of 32 replacements is allowed.
        for number in 1..=32 {
            server
                .change(&ann, STATUS, replaced(&ids[number], &ids[number - 1]))
                .await;
        }
        assert_eq!(
            server
                .errors(&ann, STATUS, replaced(&ids[33], &ids[32]))
                .await,
            ["INVALID input.replacedById"]
        );
        // A chain of any length must not become a cycle.
        assert_eq!(
            server
                .errors(&ann, STATUS, replaced(&ids[0], &ids[31]))
                .await,
            ["INVALID input.replacedById"]
        );
        server
            .change(&ann, STATUS, replaced(&ids[0], &ids[33]))
            .await;
        assert_eq!(
            server
                .errors(&ann, STATUS, replaced(&ids[33], &ids[32]))
                .await,
            ["INVALID input.replacedById"]
        );
    }

    async fn who_may_set_it(server: Server) {
        let (ann, boss) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
        );
        let anns = server.create(&ann, "Wiki", "ORGANIZATION").await;
        let both = server.token("ann@acme", &["connectors:write", "catalog:admin"]);
        let (root, bob) = (
            server.token("root", CATALOG),
            server.token("bob@acme", WRITE),
        );
        for (token, id, expected) in [
            (&ann, "pcon_jira", Some("FORBIDDEN input.id")),
            (&boss, "pcon_jira", Some("FORBIDDEN input.id")),
            (&root, "pcon_jira", None),
            (&both, "pcon_jira", None),
            (&bob, &anns, Some("FORBIDDEN input.id")),
            (&root, &anns, Some("FORBIDDEN input.id")),
            (&ann, &anns, None),
            (&boss, &anns, None),
            (&both, &anns, None),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            for status in ["MAINTENANCE", "ACTIVE"] {
                let input = json!({ "id": id, "status": status });
                assert_eq!(server.errors(token, STATUS, input).await, expected, "{id}");
            }
        }
        // Without a scope the error is about the token, for any id.
        for id in ["pcon_jira", &anns, "pcon_none", ""] {
            let variables = json!({ "input": { "id": id, "status": "ACTIVE" } });
            for (token, code) in [
                (String::new(), "UNAUTHENTICATED"),
                (server.token("ann@acme", &[]), "FORBIDDEN"),
            ] {
                assert_eq!(
                    server
                        .error_code(&token, &mutation(STATUS), variables.clone())
                        .await,
                    code,
                    "{id}"
                );
            }
        }
    }

    async fn a_deprecated_one_stays_the_same_otherwise(server: Server) {
        let root = server.token("root", CATALOG);
        let before = server.see(&root, "pcon_jira").await;
        let set = server
            .change(
                &root,
                STATUS,
                json!({ "id": "pcon_jira", "status": "DEPRECATED", "statusMessage": "x" }),
            )
            .await;
        let expected = with(
            before,
            json!({ "status": "DEPRECATED", "statusMessage": "x", "revision": 2, "updatedAt": set["updatedAt"] }),
        );
        assert_eq!(set, expected);
        // A status that was set by hand survives a restart with the same catalogue.
        let again = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        assert_eq!(again.see(&root, "pcon_jira").await, expected);
        assert_eq!(
            again
                .errors(
                    &root,
                    STATUS,
                    json!({ "id": "pcon_jira", "status": "ACTIVE" })
                )
                .await,
            NONE
        );
    }

    async fn each_mutation_of_a_document_sees_those_before(server: Server) {
        // There are few connections, which mutations that wait for each other must not occupy.
        let server = Arc::new(
            Server::start(
                server.storage.clone(),
                &["--database-connections", "2"],
                server.clock.clone(),
            )
            .await,
        );
        let ann = server.token("ann@acme", WRITE);
        let query = "mutation($a: ID!, $b: ID!, $name: String!) {
            first: setConnectorStatus(input: {id: $a, status: DEPRECATED, replacedById: $b}) { personalConnector { \
            replacedBy { name } } }
            rename: updateCustomConnector(input: {id: $b, name: $name}) { personalConnector { replacedBy { name } } }
            again: setConnectorStatus(input: {id: $a, status: DEPRECATED, replacedById: $b}) { personalConnector { \
            replacedBy { name } } }
        }";
        let mut running = JoinSet::new();
        for number in 0..6 {
            let a = server.create(&ann, &format!("A{number}"), "PRIVATE").await;
            let b = server.create(&ann, &format!("B{number}"), "PRIVATE").await;
            let (server, ann) = (server.clone(), ann.clone());
            running.spawn(async move {
                let name = format!("C{number}");
                let data = server
                    .data(&ann, query, json!({ "a": a, "b": b, "name": name }))
                    .await;
                let replaced_by =
                    |field: &str| data[field]["personalConnector"]["replacedBy"]["name"].clone();
                assert_eq!(
                    (replaced_by("first"), replaced_by("again")),
                    (json!(format!("B{number}")), json!(name))
                );
            });
        }
        running.join_all().await;
    }
}
