//! Findings of checks that are changes of a connector.

use super::HEALTH;
use crate::{
    on_both,
    support::{
        checks::{SCHEDULE, after, found, offering},
        mutations::{DELETE, UPDATE, WRITE},
    },
};
use entity::{Outcome, ServerType};
use personal_connectors::{
    domain::inspection::{Inspection, Tool},
    store::{Check, Target},
};
use serde_json::json;

on_both! {
    async fn only_what_differs_is_a_change(server: Server) {
        let row = server.only("a").await;
        let before = server
            .rows("SELECT revision, updated_at FROM personal_connector")
            .await;
        let late = |found: Inspection, seconds| Inspection {
            checked_at: after(seconds),
            ..found
        };
        let other = offering(&[("add", "Adds much."), ("sub", "Subtracts.")]);
        let turned = offering(&[("sub", "Subtracts."), ("add", "Adds much.")]);
        let steps = [
            (found(Outcome::Timeout), "[\"health\"]"),
            // An empty list of tools is no change.
            (
                Inspection {
                    tools_listed: true,
                    ..found(Outcome::Timeout)
                },
                "",
            ),
            (offering(&[("add", "Adds.")]), "[\"health\",\"tools\"]"),
            (offering(&[("add", "Adds.")]), ""),
            (
                Inspection {
                    message: "In other words.".to_owned(),
                    latency_ms: Some(7),
                    ..offering(&[("add", "Adds.")])
                },
                "",
            ),
            (other, "[\"tools\"]"),
            (turned, ""),
            // A failed listing leaves the stored tools unchanged.
            (found(Outcome::Unreachable), "[\"health\"]"),
            (found(Outcome::Open), "[\"health\"]"),
            (offering(&[]), "[\"tools\"]"),
        ];
        for (step, (found, fields)) in (1..).zip(steps) {
            let state = server.state().await;
            let found = late(found, step);
            assert_eq!(
                server.record_one(&row.id, found.clone()).await,
                1,
                "step {step}"
            );
            let expected = if fields.is_empty() {
                String::new()
            } else {
                format!("updated|{fields}|1|\n")
            };
            assert_eq!(server.events_after(state).await, expected, "step {step}");
            assert_eq!(
                server.state().await,
                state + i64::from(!fields.is_empty()),
                "step {step}"
            );
            let seen = server.fresh("", HEALTH, json!({ "id": row.id })).await;
            assert_eq!(
                seen["personalConnector"]["health"]["checkedAt"],
                json!(found.checked_at.to_string())
            );
        }
        assert_eq!(
            server
                .rows("SELECT revision, updated_at FROM personal_connector")
                .await,
            before
        );
        // Every part of a tool counts.
        let whole = Tool {
            name: "add".to_owned(),
            title: Some("T".to_owned()),
            description: Some("D".to_owned()),
            input_schema: Some("{}".to_owned()),
            output_schema: Some("{}".to_owned()),
            annotations: Some("{}".to_owned()),
        };
        for (step, less) in (100..).zip([
            whole.clone(),
            Tool {
                title: None,
                ..whole.clone()
            },
            Tool {
                description: None,
                ..whole.clone()
            },
            Tool {
                input_schema: None,
                ..whole.clone()
            },
            Tool {
                output_schema: None,
                ..whole.clone()
            },
            Tool {
                annotations: None,
                ..whole
            },
        ]) {
            server
                .rows("UPDATE connector_health SET tools_settle_at = NULL")
                .await;
            let state = server.state().await;
            let found = Inspection {
                tools: vec![less],
                ..offering(&[])
            };
            server.record_one(&row.id, late(found, step)).await;
            assert_eq!(
                server.events_after(state).await,
                "updated|[\"tools\"]|1|\n",
                "step {step}"
            );
        }
    }

    async fn tools_that_change_all_the_time_change_less(server: Server) {
        const NEXT: &str = "SELECT next_check_at FROM connector_health";
        let row = server.only("a").await;
        let version = |n: usize, seconds| Inspection {
            checked_at: after(seconds),
            ..offering(&[("add", format!("Version {n}.").as_str())])
        };
        let shown = async || {
            let seen = server
                .fresh(
                    "",
                    "query($id: ID!) { personalConnector(id: $id) {
                health { message } tools { nodes { description } } } }",
                    json!({ "id": row.id }),
                )
                .await;
            let seen = &seen["personalConnector"];
            (
                seen["tools"]["nodes"][0]["description"].clone(),
                seen["health"]["message"].clone(),
            )
        };
        let change = "updated|[\"tools\"]|1|\n";
        for (n, expected) in [
            (1, "updated|[\"health\",\"tools\"]|1|\n"),
            (2, change),
            (3, change),
        ] {
            let state = server.state().await;
            server.record_one(&row.id, version(n, 0)).await;
            assert_eq!(server.events_after(state).await, expected, "{n}");
        }
        let state = server.state().await;
        for n in 4..20 {
            assert_eq!(server.record_one(&row.id, version(n, 0)).await, 1);
        }
        assert_eq!(server.events_after(state).await, "");
        let (tools, message) = shown().await;
        assert_eq!(tools, "Version 3.");
        assert!(
            message
                .as_str()
                .unwrap()
                .ends_with("the tools shown are from an earlier check."),
            "{message}"
        );
        // A transaction is stamped when it has the lock, a moment after the clock's time.
        let next: i64 = server.rows(NEXT).await.trim().parse().unwrap();
        assert!((after(600).0..after(601).0).contains(&next), "{next}");
        // The tools of that time are stored once ten minutes are over.
        server.clock.set(after(601));
        server.record_one(&row.id, version(20, 601)).await;
        assert_eq!(server.events_after(state).await, change);
        let (tools, message) = shown().await;
        assert_eq!(tools, "Version 20.");
        assert!(
            !message.as_str().unwrap().contains("too often"),
            "{message}"
        );
        server.record_one(&row.id, version(21, 601)).await;
        assert_eq!(server.events_after(state).await, change);
    }

    async fn what_is_out_of_date_is_dropped(server: Server) {
        let row = server.only("a").await;
        server.clock.set(after(30));
        let at = |outcome, seconds| Inspection {
            checked_at: after(seconds),
            ..found(outcome)
        };
        assert_eq!(server.record_one(&row.id, at(Outcome::Open, 10)).await, 1);
        // The later of two concurrent checks wins, in either order of arrival.
        for (seconds, kept) in [(9, 0), (10, 1), (11, 1)] {
            assert_eq!(
                server
                    .record_one(&row.id, at(Outcome::Timeout, seconds))
                    .await,
                kept,
                "{seconds}"
            );
        }
        let both =
            [at(Outcome::Open, 21), at(Outcome::Timeout, 20)].map(|found| (row.id.clone(), found));
        assert_eq!(server.record(both.into()).await, 1);
        assert_eq!(server.health(&row.id).await["health"]["outcome"], "OPEN");
        let elsewhere = Target {
            server_url: Some("https://elsewhere.example".to_owned()),
            ..Target::of(&row)
        };
        let spoken = Target {
            server_type: Some(ServerType::Websocket),
            ..Target::of(&row)
        };
        let gone = Target {
            personal_connector_id: "pcon_gone".to_owned(),
            ..Target::of(&row)
        };
        let state = server.state().await;
        let mut tx = server.begin().await;
        let checks = [elsewhere, spoken, gone].map(|target| Check {
            target,
            found: at(Outcome::Blocked, 30),
        });
        assert_eq!(tx.record(&checks, SCHEDULE).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(server.state().await, state);
        assert_eq!(server.health(&row.id).await["health"]["outcome"], "OPEN");
    }

    async fn another_server_begins_anew(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.clear().await;
        let id = server.create(&ann, "Tool", "ORGANIZATION").await;
        server.record_one(&id, offering(&[("add", "Adds.")])).await;
        assert_eq!(server.kept_rows().await, "1|1|1|1\n");
        let state = server.state().await;
        server.clock.set(after(7));
        server.change(&ann, UPDATE, json!({ "id": id, "serverUrl": "https://elsewhere.example",
            "description": "Other" })).await;
        assert_eq!(
            server.events_after(state).await,
            "updated|[\"description\",\"serverUrl\",\"health\",\"tools\"]|2|ann\n"
        );
        assert_eq!(server.kept_rows().await, "1|0|0|0\n");
        // The connector is due at once.
        let due = "SELECT outcome, checked_at, failures, next_check_at FROM connector_health";
        assert_eq!(server.rows(due).await, format!("||0|{}\n", after(7).0));
        let state = server.state().await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": id, "serverType": "STDIO", "serverUrl": null }),
            )
            .await;
        assert_eq!(
            server.events_after(state).await,
            "updated|[\"serverUrl\",\"serverType\"]|3|ann\n"
        );
        assert_eq!(server.rows(due).await, "||0|\n");
        // Other changes leave the results unchanged.
        server.record_one(&id, found(Outcome::NotCheckable)).await;
        let kept = server.rows(due).await;
        server
            .change(&ann, UPDATE, json!({ "id": id, "name": "Other" }))
            .await;
        assert_eq!(server.rows(due).await, kept);
        assert!(kept.starts_with("not_checkable|"), "{kept}");
        server.mutate(&ann, DELETE, json!({ "id": id })).await;
        assert_eq!(server.kept_rows().await, "0|0|0|0\n");
    }

    async fn a_deleted_connector_leaves_nothing_behind(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.clear().await;
        let (id, other) = (
            server.create(&ann, "Tool", "PRIVATE").await,
            server.create(&ann, "Other", "PRIVATE").await,
        );
        for id in [&id, &other] {
            server
                .record_one(id, offering(&[("add", "Adds."), ("sub", "Subtracts.")]))
                .await;
        }
        assert_eq!(server.kept_rows().await, "2|2|4|2\n");
        server.mutate(&ann, DELETE, json!({ "id": id })).await;
        assert_eq!(server.kept_rows().await, "1|1|2|1\n");
    }
}
