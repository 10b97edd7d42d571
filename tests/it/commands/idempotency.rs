//! `idempotencyKey`: a create runs only once.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::{
    on_both,
    support::{
        harness::{NOW, Server, timestamp},
        mutations::{CREATE, DELETE, UPDATE, WRITE, draft, errors, text, with},
    },
};

fn keyed(name: &str) -> Value {
    draft(
        name,
        json!({ "idempotencyKey": "key 1", "metadata": { "b": 1, "a": 2 } }),
    )
}

on_both! {
    async fn the_same_input_gives_the_connector_as_it_now_is(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, keyed("Wiki")).await;
        let before = server.written().await;
        assert_eq!(server.change(&ann, CREATE, keyed("Wiki")).await, made);
        // An omitted field equals its default.
        let spelled = with(
            keyed("Wiki"),
            json!({ "category": "CUSTOM", "serverType": "HTTP", "visibility": "PRIVATE", "version": null }),
        );
        assert_eq!(server.change(&ann, CREATE, spelled).await, made);
        assert_eq!(server.written().await, before);

        let now = server
            .change(
                &ann,
                UPDATE,
                json!({ "id": made["id"], "name": "Pages", "visibility": "ORGANIZATION" }),
            )
            .await;
        assert_eq!(server.change(&ann, CREATE, keyed("Wiki")).await, now);

        server
            .mutate(&ann, DELETE, json!({ "id": made["id"] }))
            .await;
        let before = server.written().await;
        let payload = server.mutate(&ann, CREATE, keyed("Wiki")).await;
        assert_eq!(
            (errors(&payload), &payload["personalConnector"]),
            (
                vec!["NOT_FOUND input.idempotencyKey".to_owned()],
                &Value::Null
            )
        );
        assert_eq!(server.written().await, before);
    }

    async fn another_input_is_a_conflict(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.change(&ann, CREATE, keyed("Wiki")).await;
        let before = server.written().await;
        for other in [
            json!({ "name": "Wiki2" }),
            json!({ "description": "" }),
            json!({ "category": null }),
            json!({ "visibility": "ORGANIZATION" }),
            json!({ "metadata": { "a": 2, "b": 1 } }),
            json!({ "serverUrl": "https://mcp.example.com/" }),
            json!({ "iconUrl": "https://e.co" }),
            json!({ "version": "1.0.0" }),
            json!({ "serverType": "WEBSOCKET" }),
        ] {
            let payload = server
                .mutate(&ann, CREATE, with(keyed("Wiki"), other.clone()))
                .await;
            assert_eq!(
                errors(&payload),
                ["CONFLICT input.idempotencyKey"],
                "{other}"
            );
            assert_eq!(payload["personalConnector"], Value::Null);
        }
        assert_eq!(server.written().await, before);
    }

    async fn a_key_is_kept_for_24_hours(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, keyed("Wiki")).await;
        server
            .change(&ann, UPDATE, json!({ "id": made["id"], "name": "Old" }))
            .await;
        server.clock.set(timestamp("2026-11-23T07:59:59.999999Z"));
        let ann = server.token("ann@acme", WRITE);
        assert_eq!(
            server.change(&ann, CREATE, keyed("Wiki")).await["id"],
            made["id"]
        );
        // A retry does not extend its lifetime.
        server.clock.set(timestamp("2026-11-23T08:00:00Z"));
        let new = server.change(&ann, CREATE, keyed("Wiki")).await;
        assert_ne!(new["id"], made["id"]);
        assert_eq!(
            server.change(&ann, CREATE, keyed("Wiki")).await["id"],
            new["id"]
        );
        assert_eq!(
            server.rows("SELECT COUNT(*) FROM idempotency_key").await,
            "1\n"
        );
    }

    /// The stored digest of earlier versions had no version number, and covered the input's Rust `Debug` form.
    async fn a_key_of_the_version_before_is_honoured(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, keyed("Wiki")).await;
        let stored = server.rows("SELECT input_hash FROM idempotency_key").await;
        assert!(stored.starts_with("2:"), "{stored}");
        let shown = concat!(
            r#"Draft { name: "Wiki", description: None, icon_url: None, category: Some(Custom), version: None, "#,
            r#"server_url: Some("https://mcp.example.com"), server_type: Some(Http), "#,
            r#"metadata: Some("{\"b\":1,\"a\":2}") } Private"#,
        );
        let digest = format!("{:x}", Sha256::digest(shown));
        server
            .rows(&format!(
                "UPDATE idempotency_key SET input_hash = '{digest}'"
            ))
            .await;
        assert_eq!(server.change(&ann, CREATE, keyed("Wiki")).await, made);
        let other = with(keyed("Wiki"), json!({ "description": "" }));
        assert_eq!(
            server.errors(&ann, CREATE, other).await,
            ["CONFLICT input.idempotencyKey"]
        );
        assert_eq!(
            server
                .rows("SELECT input_hash FROM idempotency_key")
                .await
                .trim(),
            digest
        );
    }

    async fn a_failed_create_keeps_nothing(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Taken", "PRIVATE").await;
        for wrong in [
            json!({ "name": "taken" }),
            json!({ "version": "x" }),
            json!({ "visibility": "PUBLIC" }),
        ] {
            let payload = server
                .mutate(&ann, CREATE, with(keyed("Wiki"), wrong))
                .await;
            assert_ne!(errors(&payload), crate::support::mutations::NONE);
        }
        assert_eq!(
            server.rows("SELECT COUNT(*) FROM idempotency_key").await,
            "0\n"
        );
        server.change(&ann, CREATE, keyed("Wiki")).await;
    }

    async fn it_is_looked_up_before_quota_and_uniqueness(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--max-per-user", "1"],
            server.clock.clone(),
        )
        .await;
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, keyed("Wiki")).await;
        assert_eq!(server.change(&ann, CREATE, keyed("Wiki")).await, made);
        let another = with(keyed("Wiki"), json!({ "idempotencyKey": "key 2" }));
        assert_eq!(
            server.errors(&ann, CREATE, another).await,
            ["LIMIT_EXCEEDED", "TAKEN input.name"]
        );
    }

    async fn a_key_is_its_creators_in_the_organization(server: Server) {
        let mut ids = Vec::new();
        for who in ["ann@acme", "bob@acme", "ann@other", "ann", "bob"] {
            let token = server.token(who, WRITE);
            let made = server.change(&token, CREATE, keyed("Wiki")).await;
            assert!(!ids.contains(&made["id"]), "{who}");
            ids.push(made["id"].clone());
            // Each caller's key conflicts only with their own earlier input.
            let other = with(keyed("Wiki"), json!({ "description": who }));
            assert_eq!(
                server.errors(&token, CREATE, other).await,
                ["CONFLICT input.idempotencyKey"]
            );
        }
    }

    async fn concurrent_retries_make_one(server: Server) {
        let (ann, server) = (server.token("ann@acme", WRITE), Arc::new(server));
        let mut retries = JoinSet::new();
        for _ in 0..20 {
            let (server, ann) = (server.clone(), ann.clone());
            retries.spawn(async move { server.change(&ann, CREATE, keyed("Wiki")).await });
        }
        let made = retries.join_all().await;
        assert!(made.iter().all(|connector| *connector == made[0]));
        assert_eq!(
            server.see(&ann, text(&made[0]["id"])).await["createdAt"],
            NOW
        );
        assert_eq!(server.state().await, 6);
        assert_eq!(
            server
                .rows("SELECT COUNT(*) FROM personal_connector WHERE type = 'custom'")
                .await,
            "1\n"
        );
    }
}
