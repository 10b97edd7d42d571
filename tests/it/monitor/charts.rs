//! Health over time: the start of an outcome, the range of an uptime, and checks for charts.

use entity::{Outcome, ServerType, personal_connector::Model};
use personal_connectors::domain::inspection::Inspection;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        checks::{after, found},
        connectors::official,
        harness::Server,
        mutations::with,
    },
};

const HOUR: i64 = 3600;

fn connector(id: &str) -> Model {
    Model {
        server_url: Some("https://mcp.example.com".to_owned()),
        server_type: Some(ServerType::Http),
        ..official(id, id)
    }
}

impl Server {
    /// Checks a connector at seconds after the start of the clock. The last three checks are stored.
    async fn check_at(&self, id: &str, checks: &[(i64, Outcome, Option<u64>)]) {
        for &(seconds, outcome, latency_ms) in checks {
            let found = Inspection {
                checked_at: after(seconds),
                latency_ms,
                ..found(outcome)
            };
            assert_eq!(self.record(vec![(id.to_owned(), found)]).await, 1);
        }
    }

    async fn health_of(&self, id: &str, selection: &str, variables: Value) -> Value {
        let query = format!(
            "query($id: ID!, $hours: Int = 24, $count: Int = 24, $range: DateTimeRange, $after: String) {{
                personalConnector(id: $id) {{ health {{ {selection} }} }}
                never: personalConnector(id: $id) @include(if: false) {{ health {{ buckets(hours: $hours, count: \
                $count) {{ to }}
                    history(range: $range, after: $after) {{ nodes {{ outcome }} }} }} }} }}"
        );
        let data = self.data("", &query, with(json!({ "id": id }), variables));
        data.await["personalConnector"]["health"].take()
    }
}

on_both! {
    async fn an_outcome_holds_since_the_first_check_that_found_it(server: Server) {
        server.clear().await;
        let program = Model {
            server_type: Some(ServerType::Stdio),
            server_url: None,
            ..official("b", "b")
        };
        server.insert(vec![connector("a"), program]).await;
        for (seconds, outcome, since) in [
            (0, Outcome::Open, "08:00:00Z"),
            (HOUR, Outcome::Open, "08:00:00Z"),
            (2 * HOUR, Outcome::Timeout, "10:00:00Z"),
            (3 * HOUR, Outcome::Timeout, "10:00:00Z"),
            (4 * HOUR, Outcome::Timeout, "10:00:00Z"),
            (5 * HOUR, Outcome::Timeout, "10:00:00Z"),
            // More checks than are stored.
            (6 * HOUR, Outcome::Timeout, "10:00:00Z"),
            (7 * HOUR, Outcome::Open, "15:00:00Z"),
        ] {
            server.check_at("pcon_a", &[(seconds, outcome, None)]).await;
            let health = server
                .health_of("pcon_a", "since checkedAt nextCheckAt", json!({}))
                .await;
            assert_eq!(health["since"], format!("2026-11-22T{since}"), "{seconds}");
            assert!(
                health["nextCheckAt"].as_str() > health["checkedAt"].as_str(),
                "{health}"
            );
        }
        server
            .check_at("pcon_b", &[(0, Outcome::NotCheckable, None)])
            .await;
        let health = server
            .health_of("pcon_b", "since nextCheckAt", json!({}))
            .await;
        assert_eq!(
            health,
            json!({ "since": "2026-11-22T08:00:00Z", "nextCheckAt": null })
        );
    }

    async fn an_uptime_tells_the_hours_that_it_covers(server: Server) {
        server.clear().await;
        server.insert(vec![connector("a"), connector("b")]).await;
        server
            .check_at(
                "pcon_a",
                &[
                    (0, Outcome::Open, None),
                    (HOUR, Outcome::Open, None),
                    (2 * HOUR, Outcome::Open, None),
                    (3 * HOUR, Outcome::Timeout, None),
                ],
            )
            .await;
        server.clock.set(after(4 * HOUR));
        let ask = "week: uptime(hours: 168) weekHours: uptimeHours(hours: 168) some: uptime(hours: 2) someHours: \
            uptimeHours(hours: 2)
            none: uptime(hours: 1) noneHours: uptimeHours(hours: 1)";
        // The check at 0 is no longer stored.
        let two_thirds = json!(2.0 / 3.0);
        assert_eq!(
            server.health_of("pcon_a", ask, json!({})).await,
            json!({ "week": two_thirds, "weekHours": 3.0, "some": 0.5, "someHours": 2.0, "none": 0.0,
                "noneHours": 1.0 })
        );
        server.clock.set(after(5 * HOUR));
        let none = server
            .health_of(
                "pcon_a",
                "uptime(hours: 1) uptimeHours(hours: 1)",
                json!({}),
            )
            .await;
        assert_eq!(none, json!({ "uptime": null, "uptimeHours": null }));
    }

    async fn buckets_count_checks(server: Server) {
        server.clear().await;
        server
            .insert(vec![connector("a"), connector("b"), connector("c")])
            .await;
        server
            .check_at(
                "pcon_a",
                &[
                    (0, Outcome::Open, Some(10)),
                    (HOUR / 2, Outcome::Timeout, None),
                    (HOUR + 1, Outcome::AuthRequired, Some(31)),
                ],
            )
            .await;
        server
            .check_at(
                "pcon_b",
                &[(10, Outcome::Open, Some(10)), (20, Outcome::Open, Some(11))],
            )
            .await;
        server.clock.set(after(HOUR + HOUR / 2));
        let all = "buckets(hours: $hours, count: $count) { from to checks working latencyMs }";
        let hours = json!({ "hours": 4, "count": 4 });
        assert_eq!(
            server.health_of("pcon_a", all, hours.clone()).await["buckets"],
            json!({
                "from": "2026-11-22T06:00:00Z", "to": "2026-11-22T10:00:00Z",
                "checks": [0, 0, 2, 1], "working": [0, 0, 1, 1], "latencyMs": [null, null, 10, 31],
            })
        );
        assert_eq!(
            server.health_of("pcon_b", all, hours).await["buckets"]["latencyMs"],
            json!([null, null, 11, null])
        );
        // The clock advances, and the buckets advance when one is over.
        server.clock.set(after(2 * HOUR - 1));
        let day = server
            .health_of("pcon_a", "buckets { from checks }", json!({}))
            .await;
        assert_eq!(day["buckets"]["from"], "2026-11-21T10:00:00Z");
        assert_eq!(day["buckets"]["checks"].as_array().unwrap().len(), 24);
        // All connectors in a list have the same spans, with or without checks.
        let list = "{ personalConnectors(orderBy: {field: NAME}) { nodes { health { buckets(hours: 1, count: 2) { from \
                    checks } } } } }";
        let list = server.data("", list, json!({})).await;
        let from = "2026-11-22T09:00:00Z";
        assert_eq!(
            list["personalConnectors"]["nodes"],
            json!([
                { "health": { "buckets": { "from": from, "checks": [1, 0] } } },
                { "health": { "buckets": { "from": from, "checks": [0, 0] } } },
                { "health": null },
            ])
        );
        for (variables, argument) in [
            (json!({ "hours": 0 }), "hours"),
            (json!({ "hours": 8761 }), "hours"),
            (json!({ "count": 0 }), "count"),
            (json!({ "count": 101 }), "count"),
        ] {
            let query = "query($hours: Int = 24, $count: Int = 24) {
                personalConnector(id: \"pcon_a\") { health { buckets(hours: $hours, count: $count) { checks } } } }";
            let answer = server.execute("", query, variables).await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
            assert!(
                error["message"].as_str().unwrap().starts_with(argument),
                "{answer}"
            );
        }
    }

    /// 24 points for each of 20 connectors, within the bytes of a page without them.
    async fn a_list_of_charts_is_small(server: Server) {
        server.clear().await;
        let rows: Vec<_> = (0..20).map(|n| connector(&format!("n{n}"))).collect();
        let rows = server.insert(rows).await;
        for hour in 0..3 {
            let found = Inspection {
                checked_at: after(hour * HOUR),
                latency_ms: Some(123),
                ..found(Outcome::Open)
            };
            server
                .record(
                    rows.iter()
                        .map(|row| (row.id.clone(), found.clone()))
                        .collect(),
                )
                .await;
        }
        server.clock.set(after(2 * HOUR));
        server.forget_reads();
        let query = "{ personalConnectors { nodes { id health { outcome since buckets { from to checks working \
                     latencyMs } } } } }";
        let (_, text) = server.wire("", json!({ "query": query }).to_string()).await;
        assert_eq!(text.matches("\"checks\":[0,").count(), 20, "{text}");
        assert!(text.len() < 10_000, "{}", text.len());
        // The connectors, their health, and all buckets.
        assert_eq!(server.reads.lock().unwrap().len(), 3);
    }

    async fn a_history_has_a_range(server: Server) {
        server.clear().await;
        server.insert(vec![connector("a")]).await;
        server
            .check_at(
                "pcon_a",
                &[
                    (0, Outcome::Open, None),
                    (10, Outcome::Timeout, None),
                    (20, Outcome::NotMcp, None),
                ],
            )
            .await;
        let ask = "history(range: $range, after: $after, first: 2) { nodes { outcome } pageInfo { endCursor \
                   hasNextPage } }";
        let first = server.health_of("pcon_a", ask, json!({})).await;
        let cursor = first["history"]["pageInfo"]["endCursor"].clone();
        for (range, after, outcomes, more) in [
            (json!({}), Value::Null, json!(["NOT_MCP", "TIMEOUT"]), true),
            (
                json!({ "gte": "2026-11-22T08:00:10Z" }),
                Value::Null,
                json!(["NOT_MCP", "TIMEOUT"]),
                false,
            ),
            (
                json!({ "lt": "2026-11-22T08:00:10Z" }),
                Value::Null,
                json!(["OPEN"]),
                false,
            ),
            (
                json!({ "gte": "2026-11-22T08:00:00Z", "lt": "2026-11-22T08:00:20Z" }),
                Value::Null,
                json!(["TIMEOUT", "OPEN"]),
                false,
            ),
            (
                json!({ "gte": "2026-11-22T08:00:21Z" }),
                Value::Null,
                json!([]),
                false,
            ),
            (
                json!({ "gte": null, "lt": null }),
                cursor.clone(),
                json!(["OPEN"]),
                false,
            ),
            (
                json!({ "gte": "2026-11-22T08:00:01Z" }),
                cursor,
                json!([]),
                false,
            ),
        ] {
            let page = server
                .health_of("pcon_a", ask, json!({ "range": range, "after": after }))
                .await;
            let nodes = page["history"]["nodes"].as_array().unwrap().iter();
            assert_eq!(
                nodes
                    .map(|check| check["outcome"].clone())
                    .collect::<Value>(),
                outcomes,
                "{range}"
            );
            assert_eq!(page["history"]["pageInfo"]["hasNextPage"], more, "{range}");
        }
    }
}
