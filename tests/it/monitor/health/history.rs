//! The stored checks, and the time of the next one.

use crate::{
    on_both,
    support::{
        checks::{SECOND, after, found},
        connectors::official,
    },
};
use entity::{Outcome, ServerType, personal_connector::Model};
use personal_connectors::domain::inspection::Inspection;
use serde_json::{Value, json};

on_both! {
    async fn new_connectors_are_due_at_once(server: Server) {
        server.clear().await;
        let url = Some("https://mcp.example.com".to_owned());
        // A file may contain a time in the future.
        let row = |id: &str, server_type| Model {
            server_url: url.clone(),
            server_type,
            created_at: after(1_000_000),
            ..official(id, id)
        };
        server
            .insert(vec![
                row("a", Some(ServerType::Http)),
                row("b", Some(ServerType::Stdio)),
                row("c", None),
                official("d", "d"),
            ])
            .await;
        let due = server.rows("SELECT c.id, h.next_check_at FROM connector_health h JOIN personal_connector c ON c.seq \
                               = h.seq ORDER BY 1").await;
        assert_eq!(
            due,
            format!("pcon_a|{0}\npcon_b|\npcon_c|{0}\npcon_d|\n", after(0).0)
        );
    }

    async fn the_history_is_bounded(server: Server) {
        let row = server.only("a").await;
        let outcomes = [
            Outcome::Open,
            Outcome::Timeout,
            Outcome::AuthRequired,
            Outcome::NotMcp,
            Outcome::Unreachable,
        ];
        for (hour, outcome) in (0..).zip(outcomes) {
            let checked_at = after(hour * 3600);
            server
                .record_one(
                    &row.id,
                    Inspection {
                        checked_at,
                        latency_ms: Some(7),
                        ..found(outcome)
                    },
                )
                .await;
        }
        server.clock.set(after(4 * 3600));
        let ask = "query($id: ID!, $first: Int, $hours: Int! = 24) { personalConnector(id: $id) { health {
            uptime(hours: $hours) all: uptime(hours: 8760) history(first: $first) { nodes { outcome latencyMs } } } } \
            }";
        let seen = async |more: Value| {
            let variables = crate::support::mutations::with(json!({ "id": row.id }), more);
            server.data("", ask, variables).await["personalConnector"]["health"].take()
        };
        let check = |outcome: &str| json!({ "outcome": outcome, "latencyMs": 7 });
        let all = ["UNREACHABLE", "NOT_MCP", "AUTH_REQUIRED"].map(check);
        assert_eq!(seen(json!({})).await["history"]["nodes"], json!(all));
        assert_eq!(
            seen(json!({ "first": 2 })).await["history"]["nodes"],
            json!(all[..2])
        );
        assert_eq!(
            seen(json!({ "first": 0 })).await["history"]["nodes"],
            json!([])
        );
        // One page at a time, continuing after an empty page too.
        let page = "query($id: ID!, $after: String) { personalConnector(id: $id) { health {
            history(first: 2, after: $after) { edges { cursor node { outcome } } pageInfo { hasNextPage \
            hasPreviousPage startCursor endCursor } }
        } } }";
        let mut cursor = json!(null);
        for (outcomes, more) in [
            (["UNREACHABLE", "NOT_MCP"].as_slice(), true),
            (&["AUTH_REQUIRED"], false),
            (&[], false),
        ] {
            let data = server
                .data("", page, json!({ "id": row.id, "after": cursor }))
                .await;
            let history = &data["personalConnector"]["health"]["history"];
            let edges = history["edges"].as_array().unwrap();
            let found: Vec<_> = edges
                .iter()
                .map(|edge| edge["node"]["outcome"].as_str().unwrap())
                .collect();
            assert_eq!(found, outcomes);
            let info = &history["pageInfo"];
            assert_eq!(
                (&info["hasNextPage"], &info["hasPreviousPage"]),
                (&json!(more), &json!(!cursor.is_null()))
            );
            assert_eq!(
                info["startCursor"],
                edges
                    .first()
                    .map_or(json!(null), |edge| edge["cursor"].clone())
            );
            assert_eq!(
                info["endCursor"],
                edges.last().map_or(cursor, |edge| edge["cursor"].clone())
            );
            cursor = info["endCursor"].clone();
        }
        let third = json!(1.0 / 3.0);
        for (hours, part) in [(1, json!(0.0)), (2, third.clone()), (8760, third.clone())] {
            let seen = seen(json!({ "hours": hours })).await;
            assert_eq!((&seen["uptime"], &seen["all"]), (&part, &third), "{hours}");
        }
        server.clock.set(after(5 * 3600 + 1));
        assert_eq!(seen(json!({ "hours": 1 })).await["uptime"], Value::Null);
        for (more, argument) in [
            (json!({ "hours": 0 }), "hours"),
            (json!({ "hours": 8761 }), "hours"),
            (json!({ "first": 101 }), "first"),
            (json!({ "first": -1 }), "first"),
        ] {
            let answer = server
                .execute(
                    "",
                    ask,
                    crate::support::mutations::with(json!({ "id": row.id }), more),
                )
                .await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
            assert!(
                error["message"].as_str().unwrap().starts_with(argument),
                "{answer}"
            );
        }
    }

    async fn what_fails_is_due_later_and_later(server: Server) {
        let row = server.only("a").await;
        let mut waited = Vec::new();
        for (n, outcome) in (1..).zip([
            Outcome::Timeout,
            Outcome::NotMcp,
            Outcome::Open,
            Outcome::NotCheckable,
        ]) {
            server
                .record_one(
                    &row.id,
                    Inspection {
                        checked_at: after(n),
                        ..found(outcome)
                    },
                )
                .await;
            let due = server
                .rows("SELECT failures, next_check_at FROM connector_health")
                .await;
            let (failures, next) = due.trim().split_once('|').unwrap();
            let hours =
                (next.parse::<i64>().unwrap() - after(n).0 + 1800 * SECOND) / (3600 * SECOND);
            waited.push((failures.parse::<i64>().unwrap(), hours));
        }
        assert_eq!(waited, [(1, 2), (2, 4), (0, 1), (1, 2)]);
    }
}
