//! Cached responses with outcomes of checks, and with errors.

use super::{LIST, LONG, keeping, kept, number, post, query, send};
use crate::{
    on_both,
    support::{
        checks::{after, found},
        connection::Other,
        connectors::official,
    },
};
use entity::Outcome;
use personal_connectors::domain::inspection::Inspection;
use serde_json::{Value, json};
use std::collections::HashSet;
use tokio::time::Instant;

on_both! {
    /// Outcomes and tools belong to the catalogue's state. The time and details of a check change without it.
    async fn an_outcome_is_kept_and_never_stale(server: Server) {
        let server = keeping(&server, &[]).await;
        let row = official("a", "A");
        server.insert(vec![row.clone()]).await;
        let about = |selected: &str| {
            query(&format!(
                "{{ personalConnector(id: \"pcon_a\") {{ {selected} }} }}"
            ))
        };
        let spread = |fragment: &str| {
            query(&format!(
                "{{ personalConnector(id: \"pcon_a\") {{ ...C }} }} {fragment}"
            ))
        };
        let lasting = [
            about("health { outcome }"),
            about(
                "health { __typename ... { o: outcome } ... on ConnectorHealth { outcome } } tools { nodes { name } }",
            ),
            spread(
                "fragment C on PersonalConnector { health { ...H } } fragment H on ConnectorHealth { ... @skip(if: \
                 false) { outcome } }",
            ),
        ];
        let passing = [
            about("health { checkedAt }"),
            about("health { outcome message }"),
            about("health { uptime }"),
            about("health { latencyMs }"),
            about("health { history { nodes { outcome } } }"),
            about("h: health { outcome ... { at: checkedAt } }"),
            spread(
                "fragment C on PersonalConnector { health { outcome ...H } } fragment H on ConnectorHealth { \
                 authorizationServers }",
            ),
            spread(
                "fragment C on PersonalConnector { health { ... on ConnectorHealth { serverInfo { name } } } }",
            ),
        ];
        let list = |arguments: &str| {
            query(&format!(
                "{{ personalConnectors({arguments}) {{ nodes {{ id }} }} }}"
            ))
        };
        let listed = |input: &str, variable: Value| {
            let query = format!(
                "query($input: {input}) {{ personalConnectors({}: $input) {{ nodes {{ id }} }} }}",
                if input.contains("Filter") {
                    "filter"
                } else {
                    "orderBy"
                }
            );
            json!({ "query": query, "variables": { "input": variable } })
        };
        let of_checks = [
            list("filter: {checkedAt: {gte: \"2026-01-01T00:00:00Z\"}}"),
            list("filter: {not: {or: [{uptime: {gte: 1}}]}}"),
            list("orderBy: {field: CHECKED_AT}"),
            list("orderBy: {field: NAME}, thenBy: [{field: LATENCY}]"),
            list("orderBy: {field: UPTIME}"),
            listed(
                "PersonalConnectorFilter",
                json!({ "and": [{ "checkedAt": { "lt": "2026-01-01T00:00:00Z" } }] }),
            ),
            listed("PersonalConnectorOrder", json!({ "field": "UPTIME" })),
            query(
                "query($by: PersonalConnectorOrder = {field: CHECKED_AT}) { personalConnectors(orderBy: $by) { nodes { \
                 id } } }",
            ),
        ];
        let mut told = HashSet::new();
        let steps = [
            Outcome::Open,
            Outcome::Open,
            Outcome::Timeout,
            Outcome::Open,
        ];
        for (step, outcome) in (1..).zip(steps) {
            let checked_at = after(step);
            let message = format!("Step {step}.");
            let found = Inspection {
                checked_at,
                message,
                latency_ms: Some(u64::try_from(step).unwrap()),
                ..found(outcome)
            };
            assert_eq!(server.record(vec![(row.id.clone(), found)]).await, 1);
            for body in &lasting {
                let answer: Value =
                    serde_json::from_slice(&send(post(&server, "", body)).await.2).unwrap();
                let told = &answer["data"]["personalConnector"]["health"];
                let told = told
                    .get("outcome")
                    .or(told.get("o"))
                    .unwrap()
                    .as_str()
                    .unwrap();
                assert_eq!(told, format!("{outcome:?}").to_uppercase(), "{body}");
                kept(&server, &post(&server, "", body)).await;
            }
            let made = number(&server, "graphql_answers_made_total").await;
            for body in &passing[..3] {
                for _ in 0..2 {
                    told.insert(send(post(&server, "", body)).await.2);
                }
            }
            for body in passing.iter().chain(&of_checks) {
                server.forget_reads();
                send(post(&server, "", body)).await;
                assert!(!server.reads.lock().unwrap().is_empty(), "{body}");
            }
            assert_eq!(number(&server, "graphql_answers_made_total").await, made);
        }
        // Each step has its own time and message. The stored checks give two values of the uptime: all open, then two
        // of three.
        assert_eq!(told.len(), 4 + 4 + 2);
    }

    async fn what_was_an_error_may_be_none_the_next_time(server: Server) {
        let server = keeping(&server, &["--request-timeout", "1s"]).await;
        let mut other = Other::connect(&server).await;
        other.hold_up_reads().await;
        let all = query(LIST);
        // All requests wait for the first one, each until its own deadline.
        let asked = (0..4).map(|_| send(post(&server, "", &all)));
        for (_, _, body) in futures_util::future::join_all(asked).await {
            let answer: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                answer["errors"][0]["extensions"]["code"], "TIMEOUT",
                "{answer}"
            );
        }
        other.let_reads_go().await;
        let began = Instant::now();
        while send(post(&server, "", &all))
            .await
            .2
            .starts_with(b"{\"errors\"")
        {
            assert!(began.elapsed() < LONG, "it stays an error");
        }
    }
}
