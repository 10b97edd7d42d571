//! `checkConnectors`: checks that the monitor runs soon.

use std::time::Duration;

use entity::{ConnectorVisibility, Outcome, ServerType, personal_connector::Model};
use personal_connectors::{clock::Clock, store::Candidate};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        checks::{after, found},
        connectors::connector,
        mutations::{USER_ERROR, WRITE, errors, text},
    },
};

const SELECTION: &str =
    "results { personalConnectorId personalConnector { id } userErrors { code field message } }";

fn document() -> String {
    format!(
        "mutation($ids: [ID!]!) {{ checkConnectors(input: {{ids: $ids}}) {{ {SELECTION} userErrors {{ {USER_ERROR} }} \
         }} }}"
    )
}

/// Returns the results as `ID: errors`, with `+` for connectors that exist.
fn results(payload: &Value) -> Vec<String> {
    let results = payload["results"].as_array().unwrap().iter();
    let line = |result: &Value| {
        let found = if result["personalConnector"].is_null() {
            "-"
        } else {
            "+"
        };
        let line = format!(
            "{}: {found} {}",
            text(&result["personalConnectorId"]),
            errors(result).join(", ")
        );
        line.trim_end().to_owned()
    };
    results.map(line).collect()
}

fn rows() -> Vec<Model> {
    let row = |id: &str, visibility| connector(id, id, "bob@acme", visibility);
    vec![
        row("a", ConnectorVisibility::Public),
        row("b", ConnectorVisibility::Public),
        row("recent", ConnectorVisibility::Public),
        row("hidden", ConnectorVisibility::Private),
        Model {
            server_url: None,
            server_type: Some(ServerType::Stdio),
            ..row("program", ConnectorVisibility::Public)
        },
    ]
}

on_both! {
    async fn checks_are_made_due(server: Server) {
        server.insert(rows()).await;
        server.rows("UPDATE connector_health SET next_check_at = 9000000000000000 WHERE next_check_at IS NOT \
                     NULL").await;
        let due =
            "SELECT id FROM connector_health WHERE next_check_at < 9000000000000000 ORDER BY id";
        let ann = server.token("ann@acme", WRITE);
        let ids = json!({ "ids": ["pcon_b", "pcon_hidden", "pcon_none", "pcon_program", "pcon_b", "pcon_recent",
            "pcon_a"] });

        // No process runs the monitor.
        let refused = server.execute(&ann, &document(), ids.clone()).await;
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["code"], &extensions["retryAfter"]),
            (&json!("UNAVAILABLE"), &json!(60))
        );
        assert_eq!(server.rows(due).await, "");
        // Another process with the same database runs the monitor.
        let mut another = Candidate::new(Duration::from_hours(1), Clock::system());
        let lease = server
            .database
            .take_lease(&mut another)
            .await
            .unwrap()
            .unwrap();

        server
            .record(vec![("pcon_recent".to_owned(), found(Outcome::Open))])
            .await;
        server.rows("UPDATE connector_health SET next_check_at = 9000000000000000 WHERE next_check_at IS NOT \
                     NULL").await;
        server.clock.set(after(30));
        let state = server.state().await;
        let mut data = server.data(&ann, &document(), ids.clone()).await;
        let payload = data["checkConnectors"].take();
        assert_eq!(
            results(&payload),
            [
                "pcon_b: +",
                "pcon_hidden: - NOT_FOUND input.ids",
                "pcon_none: - NOT_FOUND input.ids",
                "pcon_program: + INVALID input.ids",
                "pcon_recent: + TOO_SOON input.ids",
                "pcon_a: +",
            ]
        );
        let message = "It was checked less than a minute ago: wait 30 s.";
        assert_eq!(payload["results"][4]["userErrors"][0]["message"], message);
        assert_eq!(server.rows(due).await, "pcon_a\npcon_b\n");
        // Queueing does not change the connectors, and the same request queues again.
        assert_eq!(server.state().await, state);
        let mut again = server.data(&ann, &document(), ids.clone()).await;
        assert_eq!(again["checkConnectors"].take(), payload);
        server.clock.set(after(60));
        let data = server.data(&ann, &document(), ids.clone()).await;
        assert_eq!(results(&data["checkConnectors"])[4], "pcon_recent: +");
        assert_eq!(server.rows(due).await, "pcon_a\npcon_b\npcon_recent\n");

        let many: Vec<_> = (0..101).map(|number| format!("pcon_{number}")).collect();
        let data = server.data(&ann, &document(), json!({ "ids": many })).await;
        assert_eq!(
            errors(&data["checkConnectors"]),
            ["LIMIT_EXCEEDED input.ids"]
        );
        for (token, code) in [
            (String::new(), "UNAUTHENTICATED"),
            (server.token("ann@acme", &[]), "FORBIDDEN"),
        ] {
            assert_eq!(
                server.error_code(&token, &document(), ids.clone()).await,
                code
            );
        }
        // Each counts as one inspection, of which ten a minute are allowed.
        let cid = server.token("cid@acme", WRITE);
        for _ in 0..10 {
            server.data(&cid, &document(), json!({ "ids": [] })).await;
        }
        assert_eq!(
            server
                .error_code(&cid, &document(), json!({ "ids": [] }))
                .await,
            "RATE_LIMITED"
        );
        // The process with the monitor has ended.
        server.database.give_up_lease(&lease).await.unwrap();
        let bob = server.token("bob@acme", WRITE);
        assert_eq!(
            server.error_code(&bob, &document(), ids).await,
            "UNAVAILABLE"
        );
    }
}
