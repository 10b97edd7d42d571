//! `createCustomConnector`.

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::{NOW, Server},
        mutations::{ADMIN, CREATE, NONE, UPDATE, WRITE, draft, errors},
    },
};

on_both! {
    async fn fills_in_what_is_left_out(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server
            .change(&ann, CREATE, draft("  Wiki ", json!({})))
            .await;
        insta::assert_json_snapshot!("defaults", made);
        assert_eq!(server.see(&ann, made["id"].as_str().unwrap()).await, made);
        assert_eq!(made["createdAt"], NOW);

        let nothing = json!({ "category": null, "description": null, "iconUrl": null, "version": null,
            "metadata": null });
        let made = server
            .change(&ann, CREATE, draft("Bare", nothing.clone()))
            .await;
        for (field, value) in nothing.as_object().unwrap() {
            assert_eq!(made[field], *value, "{field}");
        }
        let made = server
            .change(
                &ann,
                CREATE,
                json!({ "name": "Local", "serverType": "STDIO" }),
            )
            .await;
        assert_eq!(
            (&made["serverUrl"], &made["serverType"]),
            (&Value::Null, &json!("STDIO"))
        );
        // Many clients send null for a missing value.
        let unset = json!({ "serverType": null, "visibility": null, "validateOnly": null, "verify": null,
            "idempotencyKey": null });
        let made = server.change(&ann, CREATE, draft("Unset", unset)).await;
        assert_eq!(
            (&made["serverType"], &made["visibility"]),
            (&json!("HTTP"), &json!("PRIVATE"))
        );
        let socket = json!({ "serverType": null, "serverUrl": "wss://mcp.example.com" });
        assert_eq!(
            server.errors(&ann, CREATE, draft("Socket", socket)).await,
            ["INVALID input.serverUrl"]
        );
    }

    async fn says_all_that_is_wrong_at_once(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Wiki", "PRIVATE").await;
        let before = server.written().await;
        let input = json!({
            "name": " ", "description": "x".repeat(2001), "iconUrl": "http://example.com/icon.png", "version": "1",
            "serverUrl": "ftp://example.com", "metadata": [1], "visibility": "PUBLIC", "idempotencyKey": "",
        });
        let payload = server.mutate(&ann, CREATE, input).await;
        insta::assert_json_snapshot!("all_errors", payload);
        // A valid name is looked up even if other fields are invalid.
        let input = draft("wiki", json!({ "version": "1", "serverUrl": null }));
        let expected = [
            "BLANK input.serverUrl",
            "INVALID input.version",
            "TAKEN input.name",
        ];
        assert_eq!(server.errors(&ann, CREATE, input).await, expected);
        assert_eq!(server.written().await, before);
    }

    async fn each_field_has_its_bounds(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let of = |c: &str, count: usize| json!(c.repeat(count));
        let url = |chars: usize| json!(format!("https://e.co/{}", "x".repeat(chars - 13)));
        let nested = |levels: usize| {
            let inner = (1..levels).fold(json!(1), |value, _| json!([value]));
            json!({ "a": inner })
        };
        // The object {"a":""} has 8 bytes.
        let bytes = |count: usize| json!({ "a": "x".repeat(count - 8) });
        for (field, value, code) in [
            ("name", json!(""), "BLANK"),
            ("name", json!(" \t\n"), "BLANK"),
            ("name", json!("\u{301}"), "BLANK"),
            ("name", json!("a\u{0}b"), "INVALID"),
            ("name", json!("a\nb"), "INVALID"),
            ("name", of("é", 100), ""),
            ("name", of("é", 101), "TOO_LONG"),
            ("description", json!("Ünïcode\nlines\tand tabs"), ""),
            ("description", json!("bell\u{7}"), "INVALID"),
            ("description", json!("a\u{0}b"), "INVALID"),
            ("description", of("é", 2000), ""),
            ("description", of("é", 2001), "TOO_LONG"),
            ("iconUrl", json!("http://example.com/i.png"), "INVALID"),
            ("iconUrl", json!("data:image/png;base64,AAAA"), "INVALID"),
            ("iconUrl", json!(""), "INVALID"),
            ("iconUrl", url(2048), ""),
            ("iconUrl", url(2049), "TOO_LONG"),
            ("version", json!("1.0"), "INVALID"),
            ("version", json!("v1.0.0"), "INVALID"),
            ("version", json!(""), "INVALID"),
            ("version", json!("1.0.0-rc.1+build.5"), ""),
            ("serverUrl", json!("wss://example.com"), "INVALID"),
            (
                "serverUrl",
                json!("https://ann:secret@example.com"),
                "INVALID",
            ),
            ("serverUrl", json!("https://ann@example.com"), "INVALID"),
            ("serverUrl", json!("example.com"), "INVALID"),
            ("serverUrl", json!("http://wiki-mcp:8000"), ""),
            ("serverUrl", json!(null), "BLANK"),
            ("serverUrl", json!(""), "BLANK"),
            ("serverUrl", url(2049), "TOO_LONG"),
            ("serverType", json!("WEBSOCKET"), ""),
            ("metadata", json!([1]), "INVALID"),
            ("metadata", json!("text"), "INVALID"),
            ("metadata", json!(1.5), "INVALID"),
            ("metadata", json!({}), ""),
            ("metadata", nested(16), ""),
            ("metadata", nested(17), "INVALID"),
            ("metadata", bytes(16 * 1024), ""),
            ("metadata", bytes(16 * 1024 + 1), "TOO_LONG"),
            ("idempotencyKey", json!(""), "BLANK"),
            ("idempotencyKey", of("k", 255), ""),
            ("idempotencyKey", of("k", 256), "TOO_LONG"),
            ("idempotencyKey", json!("a\u{0}b"), "INVALID"),
            ("visibility", json!("ORGANIZATION"), ""),
            ("visibility", json!("PUBLIC"), "FORBIDDEN"),
        ] {
            let input = draft("Wiki", json!({ field: value, "validateOnly": true }));
            let shown = input[field]
                .to_string()
                .chars()
                .take(60)
                .collect::<String>();
            let expected = if code.is_empty() {
                vec![]
            } else {
                vec![format!("{code} input.{field}")]
            };
            assert_eq!(
                server.errors(&ann, CREATE, input).await,
                expected,
                "{field}: {shown}"
            );
        }
        // A STDIO server has no URL, and a WEBSOCKET server has either kind.
        for (server_type, url, expected) in [
            (
                "STDIO",
                "https://example.com",
                vec!["INVALID input.serverUrl"],
            ),
            ("WEBSOCKET", "ws://example.com", vec![]),
            ("WEBSOCKET", "https://example.com", vec![]),
            (
                "WEBSOCKET",
                "ftp://example.com",
                vec!["INVALID input.serverUrl"],
            ),
        ] {
            let input = draft(
                "Wiki",
                json!({ "serverType": server_type, "serverUrl": url, "validateOnly": true }),
            );
            assert_eq!(
                server.errors(&ann, CREATE, input).await,
                expected,
                "{server_type} {url}"
            );
        }
        assert_eq!(server.state().await, 5, "validateOnly writes nothing");
    }

    async fn urls_stay_the_text_they_came_as(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        for (name, url) in [
            ("a", "HTTPS://Example.COM"),
            ("b", "https://example.com:443/a/../b?x=%7e#y"),
            ("c", "https://müller.example/mcp"),
        ] {
            let made = server
                .change(
                    &ann,
                    CREATE,
                    draft(name, json!({ "serverUrl": url, "iconUrl": url })),
                )
                .await;
            let seen = server.see(&ann, made["id"].as_str().unwrap()).await;
            assert_eq!(
                (&seen["serverUrl"], &seen["iconUrl"]),
                (&json!(url), &json!(url))
            );
        }
    }

    async fn names_are_unique_in_their_scope(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let bob = server.token("bob@acme", WRITE);
        let boss = server.token("boss@acme", ADMIN);
        let (cid, ann_elsewhere) = (
            server.token("cid@other", WRITE),
            server.token("ann@other", WRITE),
        );
        let ann_alone = server.token("ann", WRITE);
        server.create(&ann, "Café Wiki", "PRIVATE").await;
        server.create(&ann, "Zürich", "ORGANIZATION").await;
        server.create(&boss, "Open", "PUBLIC").await;
        for (token, name, visibility, taken) in [
            (&ann, "CAFE\u{301} WIKI", "PRIVATE", true),
            (&ann, "cafe wiki", "PRIVATE", true),
            (&ann, "Cafe Wikis", "PRIVATE", false),
            (&ann, "Café Wiki", "ORGANIZATION", false),
            (&bob, "Café Wiki", "PRIVATE", false),
            (&boss, "Café Wiki", "PRIVATE", false),
            (&bob, "zurich", "ORGANIZATION", true),
            (&boss, "ZURICH", "PUBLIC", true),
            (&bob, "OPEN", "ORGANIZATION", true),
            (&boss, "open", "PUBLIC", true),
            (&bob, "Zürich", "PRIVATE", false),
            (&ann, "Zürich", "PRIVATE", false),
            (&cid, "Zürich", "ORGANIZATION", false),
            (&cid, "Open", "ORGANIZATION", false),
            (&ann_elsewhere, "Café Wiki", "PRIVATE", false),
            (&ann_alone, "Café Wiki", "PRIVATE", false),
            // Names in the catalogue do not restrict custom connectors.
            (&ann, "GitHub", "PRIVATE", false),
        ] {
            let input = draft(
                name,
                json!({ "visibility": visibility, "validateOnly": true }),
            );
            let expected: &[&str] = if taken { &["TAKEN input.name"] } else { &[] };
            assert_eq!(
                server.errors(token, CREATE, input).await,
                expected,
                "{name} {visibility}"
            );
        }
        // The constraints of the tables accept the same names.
        for (token, name, visibility) in [
            (&bob, "cafe wiki", "PRIVATE"),
            (&ann, "cafe wiki", "ORGANIZATION"),
            (&cid, "zurich", "ORGANIZATION"),
            (&ann_alone, "cafe wiki", "PRIVATE"),
            (&ann_elsewhere, "cafe wiki", "PRIVATE"),
            (&bob, "zurich", "PRIVATE"),
        ] {
            server.create(token, name, visibility).await;
        }
    }

    async fn a_user_has_a_quota(server: Server) {
        let flags = ["--max-per-user", "2"];
        let server = Server::start(server.storage.clone(), &flags, server.clock.clone()).await;
        let ann = server.token("ann@acme", WRITE);
        let first = server.create(&ann, "One", "PRIVATE").await;
        server.create(&ann, "Two", "ORGANIZATION").await;
        let input = draft("one", json!({}));
        assert_eq!(
            server.errors(&ann, CREATE, input).await,
            ["LIMIT_EXCEEDED", "TAKEN input.name"]
        );
        let input = draft("Three", json!({ "validateOnly": true }));
        assert_eq!(server.errors(&ann, CREATE, input).await, ["LIMIT_EXCEEDED"]);
        // The present number is right even if the quota was higher before.
        let lower = Server::start(
            server.storage.clone(),
            &["--max-per-user", "1"],
            server.clock.clone(),
        )
        .await;
        let refused = lower.mutate(&ann, CREATE, draft("Three", json!({}))).await;
        assert_eq!(errors(&refused), ["LIMIT_EXCEEDED"]);
        let error = &refused["userErrors"][0];
        assert_eq!((&error["limit"], &error["current"]), (&json!(1), &json!(2)));
        assert_eq!(
            error["message"],
            "Your limit of custom connectors is 1, and you have 2: delete one first."
        );
        // The quota applies to each user in each organization, and counts only existing connectors.
        for other in ["bob@acme", "ann@other", "ann"] {
            server
                .create(&server.token(other, WRITE), "Three", "PRIVATE")
                .await;
        }
        server
            .change(&ann, UPDATE, json!({ "id": first, "name": "First" }))
            .await;
        server
            .mutate(
                &ann,
                crate::support::mutations::DELETE,
                json!({ "id": first }),
            )
            .await;
        server.create(&ann, "Three", "PRIVATE").await;
    }

    async fn metadata_is_kept_as_its_text(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let metadata = concat!(
            r#"{"z":1.10,"a":[1e2,-0,0.1e-7,1E+2,123456789012345678901234567890,-9223372036854775809],"#,
            r#""é":"\u00e9\/","z2":{"b":null,"a":true},"t":1.0}"#,
        );
        // Strings keep their meaning; their escapes may change.
        let kept = metadata.replace(r"\u00e9\/", "é/");
        let payload = "{ personalConnector { metadata } userErrors { code } } }";
        let whole = &format!(
            "mutation($input: CreateCustomConnectorInput!) {{ createCustomConnector(input: $input) {payload}"
        );
        let own = &format!("mutation($metadata: JSON, $name: String!) {{
            createCustomConnector(input: {{name: $name, serverType: STDIO, metadata: $metadata}}) {payload}");
        for (query, variables) in [
            (
                whole,
                format!(
                    r#"{{"input": {{"name": "a", "serverType": "STDIO", "metadata": {metadata}}}}}"#
                ),
            ),
            (own, format!(r#"{{"name": "b", "metadata": {metadata}}}"#)),
            (
                whole,
                format!(
                    r#"{{"input": {{"name": "c", "serverType": "STDIO", "metadata": {}}}}}"#,
                    metadata.replace(',', " ,\n\t")
                ),
            ),
        ] {
            let body = format!(r#"{{"query": {}, "variables": {variables}}}"#, json!(query));
            let (_, answer) = server.wire(&ann, body).await;
            assert_eq!(
                answer,
                format!(
                    r#"{{"data":{{"createCustomConnector":{{{},"userErrors":[]}}}}}}"#,
                    format_args!(r#""personalConnector":{{"metadata":{kept}}}"#)
                )
            );
        }
        let list = json!({ "query": "{ personalConnectors(filter: {type: CUSTOM}) { nodes { metadata } } }" });
        let (_, answer) = server.wire(&ann, list.to_string()).await;
        assert_eq!(answer.matches(&kept).count(), 3, "{answer}");
        let stored = server
            .rows("SELECT DISTINCT metadata FROM personal_connector WHERE type = 'custom'")
            .await;
        assert_eq!(stored.trim_end(), kept);
    }

    async fn metadata_has_no_marker_of_raw_json(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        for metadata in [
            json!({ "$serde_json::private::RawValue": "{\"a\": 1" }),
            json!({ "a": [{ "$serde_json::private::RawValue": "1" }] }),
        ] {
            let variables = json!({ "input": draft("Wiki", json!({ "metadata": metadata })) });
            let body = json!({ "query": crate::support::mutations::mutation(CREATE), "variables": variables });
            let (status, answer) = server.post(&ann, body.to_string()).await;
            assert_eq!(
                (status, &answer["errors"][0]["extensions"]["code"]),
                (400, &json!("BAD_REQUEST"))
            );
            assert_eq!(answer.get("data"), None);
        }
        // As a value, this text has no special meaning.
        let metadata = json!({ "a": "$serde_json::private::RawValue" });
        let made = server
            .change(&ann, CREATE, draft("Wiki", json!({ "metadata": metadata })))
            .await;
        assert_eq!(made["metadata"], metadata);
    }

    async fn only_checking_writes_nothing(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let before = server.written().await;
        let checked = draft(
            "Wiki",
            json!({ "validateOnly": true, "idempotencyKey": "k" }),
        );
        let payload = server.mutate(&ann, CREATE, checked.clone()).await;
        assert_eq!(
            (&payload["personalConnector"], errors(&payload)),
            (&Value::Null, vec![])
        );
        assert_eq!(server.written().await, before);
        // The key is unused, so no server was inspected.
        let input = draft("Other", json!({ "idempotencyKey": "k" }));
        server.change(&ann, CREATE, input).await;
        assert_eq!(server.errors(&ann, CREATE, checked).await, NONE);
    }

    async fn needs_a_token_with_a_scope(server: Server) {
        let query = crate::support::mutations::mutation(CREATE);
        for (token, code) in [
            (String::new(), "UNAUTHENTICATED"),
            (server.token("ann@acme", &[]), "FORBIDDEN"),
            (
                server.token("ann@acme", &["catalog:admin", "connectors:read"]),
                "FORBIDDEN",
            ),
        ] {
            let variables = json!({ "input": draft("Wiki", json!({})) });
            assert_eq!(server.error_code(&token, &query, variables).await, code);
        }
        assert_eq!(server.state().await, 5);
    }

    async fn visibility_needs_what_it_says(server: Server) {
        for (who, scopes, visibility, expected) in [
            ("ann@acme", WRITE, "ORGANIZATION", None),
            (
                "ann@acme",
                WRITE,
                "PUBLIC",
                Some("FORBIDDEN input.visibility"),
            ),
            ("boss@acme", ADMIN, "PUBLIC", None),
            (
                "root@acme",
                &["connectors:write", "catalog:admin"][..],
                "PUBLIC",
                Some("FORBIDDEN input.visibility"),
            ),
            ("ann", WRITE, "PRIVATE", None),
            (
                "ann",
                WRITE,
                "ORGANIZATION",
                Some("INVALID input.visibility"),
            ),
            ("ann", ADMIN, "PUBLIC", Some("INVALID input.visibility")),
        ] {
            let token = server.token(who, scopes);
            let input = draft(
                "Wiki",
                json!({ "visibility": visibility, "validateOnly": true }),
            );
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(
                server.errors(&token, CREATE, input).await,
                expected,
                "{who} {visibility}"
            );
        }
    }
}
