//! `importConnectors`: the `import` command for administrators of the catalogue.

use fixtures::published;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::Server,
        mutations::{ADMIN, CATALOG, NONE, USER_ERROR, errors, with},
        process::{program_on, run},
    },
};

const COUNTS: &str = "total created updated unchanged olderVersions deleted disabled rejected withoutReplacement \
                      warnings isComplete lines";

async fn import(server: &Server, token: &str, input: Value) -> Value {
    let document = format!(
        "mutation($input: ImportConnectorsInput!) {{ importConnectors(input: $input) {{
            changesCursor report {{ {COUNTS} }} userErrors {{ {USER_ERROR} }} }} }}"
    );
    let mut data = server
        .data(token, &document, json!({ "input": input }))
        .await;
    data["importConnectors"].take()
}

/// Returns the counts above 0.
fn counts(payload: &Value) -> Value {
    let report = payload["report"].as_object().unwrap().iter();
    let counts = report.filter(|(_, value)| value.is_u64() && **value != json!(0));
    counts
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

on_both! {
    async fn imports_as_the_command_does(server: Server) {
        let root = server.token("root@platform", CATALOG);
        let registry = json!({ "name": "io.example/notes", "description": "Notes", "version": "1.0.0",
            "remotes": [{ "type": "streamable-http", "url": "https://notes.example/mcp" }] });
        let content = format!(
            "// A file.\n{}\n{registry}\n{}\n",
            published::served("a", "Ours"),
            with(published::served("b", "Theirs"), json!({ "name": " " })),
        );
        let input =
            json!({ "content": content, "organizationId": "acme", "visibility": "ORGANIZATION" });
        let (before, state) = (server.written().await, server.state().await);

        let dry = import(
            &server,
            &root,
            with(input.clone(), json!({ "dryRun": true })),
        )
        .await;
        assert_eq!(errors(&dry), NONE);
        assert_eq!(server.written().await, before);
        assert_eq!(dry["changesCursor"], Value::Null);
        let done = import(&server, &root, input.clone()).await;
        assert_eq!(done["report"], dry["report"]);
        // The cursor is that of the last change.
        let last = server
            .data(
                &root,
                "{ personalConnectorChanges(last: 1) { edges { cursor } } }",
                json!({}),
            )
            .await;
        assert_eq!(
            last["personalConnectorChanges"]["edges"][0]["cursor"],
            done["changesCursor"]
        );
        assert_eq!(
            counts(&done),
            json!({ "total": 3, "created": 2, "rejected": 1 })
        );
        let report = &done["report"];
        assert_eq!(report["isComplete"], false);
        assert_eq!(
            report["lines"],
            json!(["rejected: content:4: entry 3 ( ): name must not be blank"])
        );
        // The author is recorded.
        let events = format!(
            "SELECT kind, actor_id, actor_organization_id FROM connector_event WHERE number > {state}"
        );
        assert_eq!(
            server.rows(&events).await,
            "created|root|platform\ncreated|root|platform\n"
        );
        let seen = server
            .data(
                &root,
                "{ personalConnector(id: \"pcon_a\") { name visibility organizationId } }",
                json!({}),
            )
            .await;
        assert_eq!(
            seen["personalConnector"],
            json!({ "name": "Ours", "visibility": "ORGANIZATION", "organizationId": "acme" })
        );

        // A retry changes nothing.
        let before = server.written().await;
        let again = import(&server, &root, input.clone()).await;
        assert_eq!(
            (counts(&again), &again["changesCursor"]),
            (
                json!({ "total": 3, "unchanged": 2, "rejected": 1 }),
                &Value::Null
            )
        );
        assert_eq!(server.written().await, before);
    }

    async fn an_export_is_imported_unchanged(server: Server) {
        let ann = server.token("ann@acme", ADMIN);
        for visibility in ["PRIVATE", "ORGANIZATION", "PUBLIC"] {
            server.create(&ann, visibility, visibility).await;
        }
        let root = server.token("root@platform", CATALOG);
        let content = run(program_on(&server.storage, &["export"])).ok();
        let state = server.state().await;
        let done = import(&server, &root, json!({ "content": content })).await;
        assert_eq!(errors(&done), NONE);
        let total = &done["report"]["total"];
        assert_ne!(total, &json!(0));
        assert_eq!(
            counts(&done),
            json!({ "total": total, "unchanged": total }),
            "{done}"
        );
        assert_eq!(server.state().await, state);
    }

    async fn who_may_and_what_may_be(server: Server) {
        let document = "mutation($input: ImportConnectorsInput!) { importConnectors(input: $input) { report { total } \
                        } }";
        let input = json!({ "content": "[]" });
        for (token, code) in [
            (String::new(), "UNAUTHENTICATED"),
            (server.token("boss@acme", ADMIN), "FORBIDDEN"),
        ] {
            assert_eq!(
                server
                    .error_code(&token, document, json!({ "input": input }))
                    .await,
                code
            );
        }
        let root = server.token("root", CATALOG);
        let before = server.written().await;
        let refused = import(
            &server,
            &root,
            with(input.clone(), json!({ "organizationId": "" })),
        )
        .await;
        assert_eq!(
            (errors(&refused), &refused["report"]),
            (vec!["BLANK input.organizationId".to_owned()], &Value::Null)
        );
        // A malformed array stops the import.
        let refused = import(&server, &root, json!({ "content": "[{}, {" })).await;
        assert_eq!(errors(&refused), ["INVALID input.content"]);
        assert_eq!(counts(&import(&server, &root, input).await), json!({}));
        assert_eq!(server.written().await, before);
    }
}
