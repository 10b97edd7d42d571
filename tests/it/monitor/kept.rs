//! A server whose responses vary keeps its tools, their date and the time of the next check.

use std::time::Duration;

use entity::{Outcome, ServerType, Timestamp, Transport, personal_connector::Model};
use personal_connectors::domain::inspection::{Inspection, Tool};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    on_both,
    support::{
        checks::{SCHEDULE, after, found, offering},
        connectors::official,
        harness::Server,
    },
};

const SEEN: &str = "query($id: ID!) { personalConnector(id: $id) {
    health { outcome toolsCheckedAt isTransportDeprecated extensions } tools { nodes { name } }
} }";

impl Server {
    async fn one(&self) -> Model {
        self.clear().await;
        let row = Model {
            server_url: Some("https://mcp.example.com".to_owned()),
            server_type: Some(ServerType::Http),
            ..official("a", "A")
        };
        self.insert(vec![row]).await.remove(0)
    }

    async fn keep(&self, id: &str, found: Inspection, seconds: i64) {
        let found = Inspection {
            checked_at: after(seconds),
            ..found
        };
        assert_eq!(self.record(vec![(id.to_owned(), found)]).await, 1);
    }

    async fn seen(&self, id: &str) -> Value {
        self.fresh("", SEEN, json!({ "id": id })).await["personalConnector"].take()
    }

    async fn last_event(&self, state: i64) -> String {
        let sql = format!("SELECT changed_fields FROM connector_event WHERE number > {state}");
        self.rows(&sql).await.trim().to_owned()
    }
}

fn with_schema(schema: &str) -> Inspection {
    let mut found = offering(&[("add", "Adds."), ("sub", "Subtracts.")]);
    found.tools[0].input_schema = Some(schema.to_owned());
    found
}

on_both! {
    async fn tools_stay_with_their_date_while_they_cannot_be_listed(server: Server) {
        let row = server.one().await;
        let tools = json!({ "nodes": [{ "name": "add" }] });
        let health = |outcome, seconds: Option<i64>| {
            json!({
                "outcome": outcome, "toolsCheckedAt": seconds.map(|seconds| after(seconds).to_string()),
                "isTransportDeprecated": false, "extensions": null,
            })
        };
        server.keep(&row.id, found(Outcome::AuthRequired), 1).await;
        assert_eq!(
            server.seen(&row.id).await,
            json!({ "health": health("AUTH_REQUIRED", None), "tools": { "nodes": [] } })
        );
        server.keep(&row.id, offering(&[("add", "Adds.")]), 2).await;
        assert_eq!(
            server.seen(&row.id).await,
            json!({ "health": health("OPEN", Some(2)), "tools": tools })
        );
        for (seconds, outcome, name) in [
            (3, Outcome::AuthRequired, "AUTH_REQUIRED"),
            (4, Outcome::Unreachable, "UNREACHABLE"),
            (5, Outcome::Timeout, "TIMEOUT"),
            (6, Outcome::NotMcp, "NOT_MCP"),
            (7, Outcome::Blocked, "BLOCKED"),
            (8, Outcome::Open, "OPEN"),
        ] {
            let state = server.state().await;
            server.keep(&row.id, found(outcome), seconds).await;
            assert_eq!(
                server.seen(&row.id).await,
                json!({ "health": health(name, Some(2)), "tools": tools })
            );
            assert_eq!(server.last_event(state).await, "[\"health\"]");
        }
        // The same tools have a new date, and are no change.
        let state = server.state().await;
        server.keep(&row.id, offering(&[("add", "Adds.")]), 9).await;
        assert_eq!(
            server.seen(&row.id).await["health"],
            health("OPEN", Some(9))
        );
        assert_eq!(server.state().await, state);
        // Removed tools are deleted.
        server.keep(&row.id, offering(&[]), 10).await;
        assert_eq!(
            server.seen(&row.id).await,
            json!({ "health": health("OPEN", Some(10)), "tools": { "nodes": [] } })
        );
    }

    async fn another_order_is_no_change(server: Server) {
        let row = server.one().await;
        server
            .keep(&row.id, with_schema(r#"{"a":{"c":1,"d":[1,2]},"b":2}"#), 1)
            .await;
        let state = server.state().await;
        let mut turned = with_schema(r#"{"b":2,"a":{"d":[1,2],"c":1}}"#);
        turned.tools.reverse();
        server.keep(&row.id, turned, 2).await;
        assert_eq!(server.state().await, state);
        // The order of a list matters.
        server
            .keep(&row.id, with_schema(r#"{"a":{"c":1,"d":[2,1]},"b":2}"#), 3)
            .await;
        assert_eq!(server.last_event(state).await, "[\"tools\"]");
    }

    async fn tools_that_an_earlier_version_kept_are_no_change(server: Server) {
        let row = server.one().await;
        let kept = with_schema(r#"{"b":2,"a":1}"#);
        server.keep(&row.id, kept.clone(), 1).await;
        // The digest of the tools in their former form.
        let former =
            |tools: &[Tool]| format!("{:x}", Sha256::digest(serde_json::to_vec(tools).unwrap()));
        let forget = format!(
            "UPDATE connector_health SET tools_checked_at = NULL, fresh_for = NULL, extensions = NULL, tools_digest = \
             '{}'",
            former(&kept.tools)
        );
        server.rows(&forget).await;
        let state = server.state().await;
        server.keep(&row.id, kept.clone(), 2).await;
        assert_eq!(server.state().await, state);
        // From then on the order of members does not matter.
        server
            .keep(&row.id, with_schema(r#"{"a":1,"b":2}"#), 3)
            .await;
        assert_eq!(server.state().await, state);
        server.rows(&forget).await;
        server
            .keep(&row.id, with_schema(r#"{"b":3,"a":1}"#), 4)
            .await;
        assert_eq!(server.last_event(state).await, "[\"tools\"]");
    }

    async fn a_server_puts_its_next_check_off(server: Server) {
        let row = server.one().await;
        let hours = async || {
            let next: i64 = server
                .rows("SELECT next_check_at FROM connector_health")
                .await
                .trim()
                .parse()
                .unwrap();
            let checked: i64 = server
                .rows("SELECT checked_at FROM connector_health")
                .await
                .trim()
                .parse()
                .unwrap();
            // The interval varies by up to a tenth.
            let hour = 3_600_000_000_i64;
            (next - checked + hour / 10) / hour
        };
        let fresh = |hours| Inspection {
            fresh_for: Some(Duration::from_hours(hours)),
            ..offering(&[("add", "Adds.")])
        };
        for (step, (found, expected)) in (1..).zip([
            (offering(&[]), 1..=1),
            (fresh(0), 1..=1),
            (fresh(4), 3..=4),
            (fresh(10_000), 21..=26),
            // A failure has its own interval.
            (
                Inspection {
                    outcome: Outcome::Timeout,
                    ..fresh(24)
                },
                1..=2,
            ),
            (found(Outcome::AuthRequired), 1..=1),
        ]) {
            server.keep(&row.id, found, step).await;
            let hours = hours().await;
            assert!(expected.contains(&hours), "{step}: {hours}");
        }
        // A check that the server postponed does not count as postponed by a clock.
        let postponed = async |now: Timestamp| {
            server
                .database
                .postponed(now, SCHEDULE, now, 10)
                .await
                .unwrap()
        };
        server.keep(&row.id, fresh(20), 10).await;
        assert_eq!(postponed(after(10)).await, Vec::<i64>::new());
        server
            .rows("UPDATE connector_health SET next_check_at = next_check_at + 36000000000")
            .await;
        assert_eq!(postponed(after(10)).await, [row.seq]);
        // Without the time that the server asked for, the same delay counts as postponed by a clock.
        let named = "UPDATE connector_health SET next_check_at = next_check_at - 36000000000, fresh_for = NULL";
        server.rows(named).await;
        assert_eq!(postponed(after(10)).await, [row.seq]);
    }

    async fn a_deprecated_transport_and_extensions_are_shown(server: Server) {
        let row = server.one().await;
        let extensions = r#"{"io.example/apps":{"b":1,"a":2}}"#;
        server
            .keep(
                &row.id,
                Inspection {
                    transport: Some(Transport::Sse),
                    extensions: Some(extensions.to_owned()),
                    ..offering(&[])
                },
                1,
            )
            .await;
        let seen = server.seen(&row.id).await;
        assert_eq!(seen["health"]["isTransportDeprecated"], true);
        assert_eq!(seen["health"]["extensions"].to_string(), extensions);
        for transport in [Transport::StreamableHttp, Transport::WebSocket] {
            server
                .keep(
                    &row.id,
                    Inspection {
                        transport: Some(transport),
                        ..offering(&[])
                    },
                    2,
                )
                .await;
            let seen = server.seen(&row.id).await;
            assert_eq!(
                (
                    &seen["health"]["isTransportDeprecated"],
                    &seen["health"]["extensions"]
                ),
                (&json!(false), &Value::Null)
            );
        }
    }
}
