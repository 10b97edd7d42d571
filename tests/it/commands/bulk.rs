//! Mutations of many connectors: each changes as in the mutation of one, all in one transaction.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    on_both,
    support::{
        harness::Server,
        mutations::{ADMIN, CATALOG, DELETE, NONE, STATUS, USER_ERROR, WRITE, errors, text, with},
    },
};

const STATUSES: &str = "setConnectorStatuses";
const DELETES: &str = "deleteCustomConnectors";

/// Returns the payload of a mutation of many connectors.
async fn send(server: &Server, token: &str, field: &str, input: Value) -> Value {
    let (first, rest) = field.split_at(1);
    let input_type = format!("{}{rest}Input", first.to_uppercase());
    let deleted = if field == DELETES { "deletedIds" } else { "" };
    let document = format!(
        "mutation($input: {input_type}!) {{ {field}(input: $input) {{
            {deleted} userErrors {{ {USER_ERROR} }}
            results {{ personalConnectorId outcome personalConnector {{ id status statusMessage revision }} userErrors \
            {{ {USER_ERROR} }} }}
        }} }}"
    );
    let mut data = server
        .data(token, &document, json!({ "input": input }))
        .await;
    data[field].take()
}

/// Returns the outcomes of the results.
fn outcomes(payload: &Value) -> Vec<&str> {
    let results = payload["results"].as_array().unwrap().iter();
    results.map(|result| text(&result["outcome"])).collect()
}

/// Returns the results as `ID: STATUS of the connector, errors`.
fn results(payload: &Value) -> Vec<String> {
    let results = payload["results"].as_array().unwrap().iter();
    let line = |result: &Value| {
        let connector = &result["personalConnector"];
        let status = connector["status"].as_str().unwrap_or("-");
        assert!(connector.is_null() || connector["id"] == result["personalConnectorId"]);
        let errors = errors(result).join(", ");
        format!(
            "{}: {status} {errors}",
            text(&result["personalConnectorId"])
        )
        .trim_end()
        .to_owned()
    };
    results.map(line).collect()
}

/// Returns the events after a state.
async fn events(server: &Server, state: i64) -> String {
    let sql = format!(
        "SELECT kind, personal_connector_id, changed_fields FROM connector_event WHERE number > {state} ORDER BY number"
    );
    server.rows(&sql).await
}

on_both! {
    async fn one_that_fails_is_rejected_alone_or_with_all(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let (a, b) = (
            server.create(&ann, "A", "PRIVATE").await,
            server.create(&ann, "B", "ORGANIZATION").await,
        );
        // Ann does not see Bob's private connector, and may not change his connector with visibility ORGANIZATION.
        let (hidden, his) = (
            server.create(&bob, "C", "PRIVATE").await,
            server.create(&bob, "D", "ORGANIZATION").await,
        );
        let ids = json!([
            b,
            "pcon_none",
            a,
            hidden,
            his,
            "pcon_jira",
            b,
            "",
            "pcon_none"
        ]);
        let input = json!({ "ids": ids, "status": "MAINTENANCE", "statusMessage": "until noon" });
        let expected = |status: &str| {
            [
                format!("{b}: {status}"),
                "pcon_none: - NOT_FOUND input.ids".to_owned(),
                format!("{a}: {status}"),
                format!("{hidden}: - NOT_FOUND input.ids"),
                format!("{his}: - FORBIDDEN input.ids"),
                "pcon_jira: - FORBIDDEN input.ids".to_owned(),
                ": - NOT_FOUND input.ids".to_owned(),
            ]
        };
        let (before, state) = (server.written().await, server.state().await);

        let checked = send(
            &server,
            &ann,
            STATUSES,
            with(input.clone(), json!({ "validateOnly": true })),
        )
        .await;
        assert_eq!(
            (results(&checked), errors(&checked)),
            (expected("-").into(), vec![])
        );
        let of = |others| [others, "FAILED", others, "FAILED", "FAILED", "FAILED", "FAILED"];
        assert_eq!(outcomes(&checked), of("VALID"));
        let all = json!({ "errorPolicy": "REJECT_ALL" });
        let rejected = send(&server, &ann, STATUSES, with(input.clone(), all.clone())).await;
        assert_eq!(results(&rejected), expected("-"));
        assert_eq!(errors(&rejected), ["INVALID input.ids"]);
        assert_eq!(outcomes(&rejected), of("NOT_WRITTEN"));
        let both = with(all.clone(), json!({ "validateOnly": true }));
        let both = send(&server, &ann, STATUSES, with(input.clone(), both)).await;
        assert_eq!(both, rejected);
        assert_eq!(
            rejected["userErrors"][0]["message"],
            "Nothing was changed, because 5 of 7 connectors cannot be."
        );
        assert_eq!(server.written().await, before);

        // Null means the default.
        let done = send(
            &server,
            &ann,
            STATUSES,
            with(
                input.clone(),
                json!({ "errorPolicy": null, "validateOnly": null }),
            ),
        )
        .await;
        assert_eq!(
            (results(&done), errors(&done)),
            (expected("MAINTENANCE").into(), vec![])
        );
        assert_eq!(outcomes(&done), of("DONE"));
        let fields = r#"["status","statusMessage"]"#;
        assert_eq!(
            events(&server, state).await,
            format!("updated|{b}|{fields}\nupdated|{a}|{fields}\n")
        );

        // A retry writes nothing.
        let before = server.written().await;
        assert_eq!(send(&server, &ann, STATUSES, input).await, done);
        assert_eq!(server.written().await, before);

        // If all can be changed, the policy makes no difference.
        let input = with(json!({ "ids": [a, b], "status": "ACTIVE" }), all);
        let done = send(&server, &ann, STATUSES, input).await;
        assert_eq!(
            results(&done),
            [format!("{a}: ACTIVE"), format!("{b}: ACTIVE")]
        );
        // An omitted message stays.
        assert_eq!(
            done["results"][0]["personalConnector"]["statusMessage"],
            "until noon"
        );
        let done = send(
            &server,
            &ann,
            STATUSES,
            json!({ "ids": a, "status": "ACTIVE", "statusMessage": null }),
        )
        .await;
        assert_eq!(
            done["results"][0]["personalConnector"]["statusMessage"],
            Value::Null
        );
    }

    async fn an_error_of_the_input_is_one(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let a = server.create(&ann, "A", "PRIVATE").await;
        let many: Vec<_> = (0..101).map(|number| format!("pcon_{number}")).collect();
        let before = server.written().await;
        let status = json!({ "ids": many, "status": "ACTIVE", "statusMessage": "x".repeat(1001) });
        let refused = send(&server, &ann, STATUSES, status.clone()).await;
        assert_eq!(
            errors(&refused),
            ["LIMIT_EXCEEDED input.ids", "TOO_LONG input.statusMessage"]
        );
        assert_eq!(
            (
                &refused["userErrors"][0]["limit"],
                &refused["userErrors"][0]["current"]
            ),
            (&json!(100), &json!(101))
        );
        assert_eq!(results(&refused), NONE);
        let refused = send(
            &server,
            &ann,
            STATUSES,
            with(status.clone(), json!({ "ids": [a] })),
        )
        .await;
        assert_eq!(
            (errors(&refused), results(&refused)),
            (vec!["TOO_LONG input.statusMessage".to_owned()], vec![])
        );
        let refused = send(&server, &ann, DELETES, json!({ "ids": many })).await;
        assert_eq!(
            (errors(&refused), results(&refused)),
            (vec!["LIMIT_EXCEEDED input.ids".to_owned()], vec![])
        );
        assert_eq!(
            results(&send(&server, &ann, DELETES, json!({ "ids": [] })).await),
            NONE
        );
        // An id that comes twice counts once.
        let same = send(&server, &ann, DELETES, json!({ "ids": vec!["pcon_0"; 101] })).await;
        assert_eq!((errors(&same), results(&same).len()), (vec![], 1));
        // A hundred are accepted.
        let taken = send(&server, &ann, DELETES, json!({ "ids": many[..100] })).await;
        assert_eq!((errors(&taken), results(&taken).len()), (vec![], 100));
        assert_eq!(server.written().await, before);
        // Without a scope the error is about the token.
        for (token, code) in [
            (String::new(), "UNAUTHENTICATED"),
            (server.token("ann@acme", &[]), "FORBIDDEN"),
        ] {
            for field in [
                "setConnectorStatuses(input: {ids: [], status: ACTIVE})",
                "deleteCustomConnectors(input: {ids: []})",
            ] {
                let document =
                    format!("mutation {{ {field} {{ results {{ personalConnectorId }} }} }}");
                assert_eq!(
                    server.error_code(&token, &document, json!({})).await,
                    code,
                    "{field}"
                );
            }
        }
    }

    async fn deletes_many(server: Server) {
        let (ann, boss, root) = (
            server.token("ann@acme", WRITE),
            server.token("boss@acme", ADMIN),
            server.token("root", CATALOG),
        );
        let (a, b) = (
            server.create(&ann, "A", "PRIVATE").await,
            server.create(&ann, "B", "ORGANIZATION").await,
        );
        let c = server.create(&ann, "C", "ORGANIZATION").await;
        // The input's connector B replaces A, which is in the input too, and C, which is not.
        for id in [&a, &c] {
            server
                .change(
                    &ann,
                    STATUS,
                    json!({ "id": id, "status": "DEPRECATED", "replacedById": b }),
                )
                .await;
        }
        let before = server.written().await;
        let input = json!({ "ids": [b, a, "pcon_jira"] });
        for input in [
            with(input.clone(), json!({ "validateOnly": true })),
            with(input.clone(), json!({ "errorPolicy": "REJECT_ALL" })),
        ] {
            let checked = send(&server, &ann, DELETES, input.clone()).await;
            assert_eq!(checked["deletedIds"], json!([]));
            assert_eq!(results(&checked)[2], "pcon_jira: - FORBIDDEN input.ids");
            let rejects = input.get("errorPolicy").is_some();
            let others = if rejects { "NOT_WRITTEN" } else { "VALID" };
            assert_eq!(outcomes(&checked), [others, others, "FAILED"]);
        }
        assert_eq!(
            server
                .error_code(
                    &root,
                    "mutation { deleteCustomConnectors(input: {ids: []}) { deletedIds } }",
                    json!({})
                )
                .await,
            "FORBIDDEN"
        );
        assert_eq!(server.written().await, before);

        let state = server.state().await;
        let done = send(&server, &boss, DELETES, input.clone()).await;
        assert_eq!(done["deletedIds"], json!([b, a]));
        assert_eq!(outcomes(&done), ["DONE", "DONE", "FAILED"]);
        assert_eq!(
            results(&done),
            [
                format!("{b}: -"),
                format!("{a}: -"),
                "pcon_jira: - FORBIDDEN input.ids".to_owned()
            ]
        );
        let mut lines: Vec<_> = events(&server, state)
            .await
            .lines()
            .map(ToOwned::to_owned)
            .collect();
        // Both referrers lose their replacement, ordered by id.
        lines[..2].sort();
        let mut updated = vec![
            format!("updated|{a}|[\"replacedBy\"]"),
            format!("updated|{c}|[\"replacedBy\"]"),
        ];
        updated.sort();
        assert_eq!(
            lines,
            [
                updated,
                vec![format!("deleted|{b}|[]"), format!("deleted|{a}|[]")]
            ]
            .concat()
        );
        // A retry finds the connectors deleted.
        let again = send(&server, &boss, DELETES, input).await;
        assert_eq!(
            (&again["deletedIds"], results(&again)[0].clone()),
            (&json!([]), format!("{b}: - NOT_FOUND input.ids"))
        );
    }

    async fn each_is_deleted_once_whoever_else_writes(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(server.create(&ann, &format!("A{number}"), "PRIVATE").await);
        }
        let (server, state) = (Arc::new(server), 0);
        let mut running = JoinSet::new();
        for turn in 0..4 {
            let (server, ann, ids) = (server.clone(), ann.clone(), ids.clone());
            running.spawn(async move {
                let mut deleted = Vec::new();
                for ids in ids.chunks(5) {
                    if turn % 2 == 0 {
                        let payload = send(&server, &ann, DELETES, json!({ "ids": ids })).await;
                        deleted.extend(
                            payload["deletedIds"]
                                .as_array()
                                .unwrap()
                                .iter()
                                .map(|id| text(id).to_owned()),
                        );
                    } else {
                        let payload = server.mutate(&ann, DELETE, json!({ "id": ids[2] })).await;
                        deleted.extend(payload["deletedId"].as_str().map(ToOwned::to_owned));
                    }
                }
                deleted
            });
        }
        let mut deleted = running.join_all().await.concat();
        deleted.sort();
        ids.sort();
        assert_eq!(deleted, ids);
        let gone = events(&server, state)
            .await
            .lines()
            .filter(|line| line.starts_with("deleted|"))
            .count();
        assert_eq!(gone, 20);
    }
}
