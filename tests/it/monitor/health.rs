//! The results of checks: their storage, their visibility and their changes.

use std::time::Duration;

use entity::{Outcome, ServerType, personal_connector::Model};
use personal_connectors::{
    domain::inspection::{Inspection, Tool},
    store::{Check, Target},
};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        checks::{SCHEDULE, SECOND, after, found, offering},
        connectors::official,
        harness::Server,
        mcp::{Plain, Reaction, answer, two_tools, well_behaved},
        mutations::{CREATE, DELETE, NONE, UPDATE, WRITE, draft, errors},
    },
};

const CHECK: &str = "mutation($id: ID!) { checkConnector(input: {id: $id}) {
    personalConnector { id revision updatedAt health { outcome checkedAt } tools { totalCount } }
    inspection { outcome message tools { nodes { name } } }
    userErrors { code field message conflict { revision actor changedFields } }
} }";

const HEALTH: &str = "query($id: ID!) { personalConnector(id: $id) {
    health {
        outcome message checkedAt latencyMs transport protocolVersion authorizationServers uptime
        serverInfo { name title version description websiteUrl iconUrls }
        history { nodes { outcome message checkedAt latencyMs } }
    }
    tools { nodes { name title description inputSchema outputSchema annotations } totalCount }
} }";

impl Server {
    async fn record_one(&self, id: &str, found: Inspection) -> usize {
        self.record(vec![(id.to_owned(), found)]).await
    }

    /// Replaces the catalogue with one connector, which has only a server.
    async fn only(&self, id: &str) -> Model {
        self.clear().await;
        let row = Model {
            server_url: Some("https://mcp.example.com".to_owned()),
            server_type: Some(ServerType::Http),
            ..official(id, id)
        };
        self.insert(vec![row]).await.remove(0)
    }

    async fn health(&self, id: &str) -> Value {
        let query = "query($id: ID!) { personalConnector(id: $id) {
            health { outcome checkedAt } tools { nodes { name description } } } }";
        let data = self.data("", query, json!({ "id": id })).await;
        data["personalConnector"].clone()
    }

    /// Returns the kinds and changed fields of the events after a state.
    async fn events_after(&self, state: i64) -> String {
        let sql = format!(
            "SELECT kind, changed_fields, revision, actor_id FROM connector_event WHERE number > {state} ORDER BY \
             number"
        );
        self.rows(&sql).await
    }

    async fn check(&self, token: &str, id: &str) -> Value {
        let mut data = self.data(token, CHECK, json!({ "id": id })).await;
        data["checkConnector"].take()
    }

    /// Returns the number of rows with results of checks.
    async fn kept_rows(&self) -> String {
        let words = if self.storage.url.starts_with("sqlite") {
            "rowid"
        } else {
            "seq"
        };
        self.rows(&format!(
            "SELECT (SELECT COUNT(*) FROM connector_health) AS a, (SELECT COUNT(*) FROM connector_check) AS b,
                (SELECT COUNT(*) FROM connector_tool) AS c, (SELECT COUNT({words}) FROM connector_tool_search) AS d"
        )).await
    }
}

/// Starts a GraphQL server on the same database that may call this machine.
async fn allowing(server: &Server, flags: &[&str]) -> Server {
    let flags = [&["--mcp-allow", "127.0.0.0/8"], flags].concat();
    Server::start(server.storage.clone(), &flags, server.clock.clone()).await
}

on_both! {
    async fn a_check_is_kept(server: Server) {
        let server = allowing(&server, &[]).await;
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let plain = Plain::new(well_behaved).await;
        let input = draft(
            "Plain",
            json!({ "serverUrl": plain.url, "visibility": "ORGANIZATION" }),
        );
        let made = server.change(&ann, CREATE, input).await;
        let id = made["id"].as_str().unwrap();
        let before = server.data(&ann, HEALTH, json!({ "id": id })).await;
        assert_eq!(
            before["personalConnector"],
            json!({ "health": null, "tools": { "nodes": [], "totalCount": 0 } })
        );
        let state = server.state().await;
        server.clock.set(after(5));
        // Any viewer of the connector may check it.
        let checked = server.check(&bob, id).await;
        assert_eq!(errors(&checked), NONE);
        assert_eq!(
            checked["personalConnector"],
            json!({
                "id": id,
                "revision": 1,
                "updatedAt": made["updatedAt"],
                "health": { "outcome": "OPEN", "checkedAt": "2026-11-22T08:00:05Z" },
                "tools": { "totalCount": 2 },
            })
        );
        assert_eq!(
            checked["inspection"]["tools"]["nodes"],
            json!([{ "name": "add" }, { "name": "subtract" }])
        );
        assert_eq!(
            server.events_after(state).await,
            "updated|[\"health\",\"tools\"]|1|bob\n"
        );
        let mut kept =
            server.data(&ann, HEALTH, json!({ "id": id })).await["personalConnector"].take();
        let latency = kept["health"]["latencyMs"].take();
        assert!(latency.is_u64(), "{latency}");
        assert_eq!(
            kept["health"]["history"]["nodes"][0]["latencyMs"].take(),
            latency
        );
        assert_eq!(
            kept,
            json!({
                "health": {
                    "outcome": "OPEN",
                    "message": "The server speaks MCP.",
                    "checkedAt": "2026-11-22T08:00:05Z",
                    "latencyMs": null,
                    "transport": "STREAMABLE_HTTP",
                    "protocolVersion": "2025-06-18",
                    "authorizationServers": [],
                    "uptime": 1.0,
                    "serverInfo": {
                        "name": "plain",
                        "title": "A plain server",
                        "version": "1.2.3",
                        "description": null,
                        "websiteUrl": null,
                        "iconUrls": [],
                    },
                    "history": { "nodes": [{
                        "outcome": "OPEN",
                        "message": "The server speaks MCP.",
                        "checkedAt": "2026-11-22T08:00:05Z",
                        "latencyMs": null,
                    }] },
                },
                "tools": {
                    "nodes": two_tools(),
                    "totalCount": 2,
                },
            })
        );
    }

    async fn checks_are_for_who_may_create_and_sees_the_connector(server: Server) {
        let server = allowing(&server, &["--inspection-rate", "3"]).await;
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let plain = Plain::new(well_behaved).await;
        let made = server
            .change(
                &ann,
                CREATE,
                draft("Plain", json!({ "serverUrl": plain.url })),
            )
            .await;
        let id = made["id"].as_str().unwrap();
        let program =
            json!({ "name": "Program", "serverType": "STDIO", "visibility": "ORGANIZATION" });
        let program = server.change(&ann, CREATE, program).await;
        assert_eq!(
            server.error_code("", CHECK, json!({ "id": id })).await,
            "UNAUTHENTICATED"
        );
        let reader = server.token("ann@acme", &[]);
        assert_eq!(
            server.error_code(&reader, CHECK, json!({ "id": id })).await,
            "FORBIDDEN"
        );
        for unseen in [id, "pcon_none"] {
            let refused = server.check(&bob, unseen).await;
            assert_eq!(errors(&refused), ["NOT_FOUND input.id"]);
            assert_eq!(
                (&refused["personalConnector"], &refused["inspection"]),
                (&Value::Null, &Value::Null)
            );
        }
        assert!(plain.requests.lock().unwrap().is_empty());
        server.clock.set(after(1));
        let checked = server.check(&bob, program["id"].as_str().unwrap()).await;
        assert_eq!(errors(&checked), NONE);
        assert_eq!(
            checked["personalConnector"]["health"]["outcome"],
            "NOT_CHECKABLE"
        );
        // Each counted as an inspection.
        assert_eq!(
            server.error_code(&bob, CHECK, json!({ "id": id })).await,
            "RATE_LIMITED"
        );
        assert_eq!(
            errors(&server.check(&ann, "not an id").await),
            ["NOT_FOUND input.id"]
        );
    }

    async fn what_happens_during_a_check_is_told(server: Server) {
        let server = allowing(&server, &["--request-timeout", "4s"]).await;
        let ann = server.token("ann@acme", WRITE);
        let hanging = Plain::new(|_| Reaction::Hang).await;
        let create = async |name| {
            let made = server
                .change(
                    &ann,
                    CREATE,
                    draft(name, json!({ "serverUrl": hanging.url })),
                )
                .await;
            made["id"].as_str().unwrap().to_owned()
        };
        let (moved, deleted, renamed) = (
            create("Moved").await,
            create("Deleted").await,
            create("Renamed").await,
        );
        server.clock.set(after(1));
        let meanwhile = async {
            while hanging.requests.lock().unwrap().len() < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let elsewhere = json!({ "id": moved, "serverUrl": "https://elsewhere.example" });
            server.change(&ann, UPDATE, elsewhere).await;
            server.mutate(&ann, DELETE, json!({ "id": deleted })).await;
            server
                .change(&ann, UPDATE, json!({ "id": renamed, "name": "Other" }))
                .await;
        };
        let checks = async {
            tokio::join!(
                server.check(&ann, &moved),
                server.check(&ann, &deleted),
                server.check(&ann, &renamed)
            )
        };
        let ((conflict, gone, kept), ()) = tokio::join!(checks, meanwhile);
        assert_eq!(errors(&conflict), ["CONFLICT input.id"]);
        let told = &conflict["userErrors"][0]["conflict"];
        assert_eq!(
            (&told["actor"], &told["changedFields"]),
            (&json!("ann"), &json!(["SERVER_URL"]))
        );
        assert_eq!(
            (
                &conflict["personalConnector"]["revision"],
                &conflict["personalConnector"]["health"]
            ),
            (&json!(2), &Value::Null)
        );
        assert_eq!(errors(&gone), ["NOT_FOUND input.id"]);
        assert_eq!(gone["personalConnector"], Value::Null);
        assert_eq!(errors(&kept), NONE);
        assert_eq!(
            (
                &kept["personalConnector"]["revision"],
                &kept["personalConnector"]["health"]["outcome"]
            ),
            (&json!(2), &json!("TIMEOUT"))
        );
        for payload in [conflict, gone, kept] {
            assert_eq!(payload["inspection"]["outcome"], "TIMEOUT");
        }
    }

    async fn a_verified_create_keeps_what_was_found(server: Server) {
        let server = allowing(&server, &[]).await;
        let ann = server.token("ann@acme", WRITE);
        let query = "mutation($input: CreateCustomConnectorInput!) { createCustomConnector(input: $input) {
            personalConnector { revision health { outcome } tools { nodes { name } } } userErrors { code } } }";
        let (plain, private) = (
            Plain::new(well_behaved).await,
            Plain::new(|_| answer(401, "www-authenticate: Bearer\r\n", "")).await,
        );
        for (name, url, outcome, tools) in [
            ("Plain", &plain.url, "OPEN", json!(["add", "subtract"])),
            ("Private", &private.url, "AUTH_REQUIRED", json!([])),
        ] {
            let state = server.state().await;
            let input = json!({ "name": name, "serverUrl": url, "verify": true });
            let made = server.data(&ann, query, json!({ "input": input })).await;
            let nodes = tools
                .as_array()
                .unwrap()
                .iter()
                .map(|name| json!({ "name": name }));
            assert_eq!(
                made["createCustomConnector"]["personalConnector"],
                json!({
                    "revision": 1, "health": { "outcome": outcome }, "tools": { "nodes": nodes.collect::<Vec<_>>() },
                })
            );
            let fields = if tools == json!([]) {
                "[\"health\"]"
            } else {
                "[\"health\",\"tools\"]"
            };
            assert_eq!(
                server.events_after(state).await,
                format!("created|[]|1|ann\nupdated|{fields}|1|ann\n")
            );
        }
    }

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

    async fn tools_are_paged_and_searched(server: Server) {
        let row = server.only("a").await;
        let names: Vec<_> = (0..250).map(|n| format!("tool_{n:03}")).collect();
        let mut tools: Vec<_> = names.iter().map(|name| (name.as_str(), "Counts")).collect();
        tools.extend([
            ("Zeta", "Éclair of the day"),
            ("éclair", "Bakes 100%_"),
            ("alpha", ""),
        ]);
        server.record_one(&row.id, offering(&tools)).await;
        let mut sorted: Vec<_> = tools.iter().map(|(name, _)| *name).collect();
        sorted.sort_unstable();
        let ask = "query($first: Int, $after: String, $search: String) { personalConnector(id: \"pcon_a\") {
            tools(first: $first, after: $after, search: $search) {
                nodes { name } edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor \
                endCursor } totalCount
            } } }";
        let page = async |variables: Value| {
            let mut data = server.data("", ask, variables).await;
            data["personalConnector"]["tools"].take()
        };
        let shown = |page: &Value| -> Vec<String> {
            let nodes = page["nodes"].as_array().unwrap().iter();
            nodes
                .map(|node| node["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(shown(&page(json!({})).await), sorted[..20]);
        let (mut walked, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = page(json!({ "first": 100, "after": after })).await;
            assert_eq!(page["totalCount"], 253);
            assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
            assert_eq!(page["edges"][0]["cursor"], page["pageInfo"]["startCursor"]);
            walked.extend(shown(&page));
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(walked, sorted);
        let beyond = page(json!({ "after": after })).await;
        assert_eq!(
            (&beyond["nodes"], &beyond["pageInfo"]["endCursor"]),
            (&json!([]), &after)
        );
        assert_eq!(
            page(json!({ "first": 0 })).await["pageInfo"]["hasNextPage"],
            true
        );
        for (search, expected) in [
            ("ECLA", &["Zeta", "éclair"][..]),
            ("eclair", &["Zeta", "éclair"]),
            ("day eclair", &["Zeta"]),
            ("bakes", &["éclair"]),
            ("ecla day", &[]),
            ("100", &["tool_100", "éclair"]),
            ("%", &[]),
            ("l", &[]),
            ("  ", &[]),
        ] {
            let found = page(json!({ "search": search, "first": 100 })).await;
            if search.trim().is_empty() {
                assert_eq!(found["totalCount"], 253);
            } else {
                assert_eq!(
                    (shown(&found), &found["totalCount"]),
                    (
                        expected.iter().map(ToString::to_string).collect(),
                        &json!(expected.len())
                    ),
                    "{search}"
                );
            }
        }
        let of_search =
            page(json!({ "search": "counts", "first": 1 })).await["pageInfo"]["endCursor"].take();
        assert_eq!(
            shown(&page(json!({ "search": "counts", "first": 1, "after": of_search })).await),
            ["tool_001"]
        );
        let list = server
            .data(
                "",
                "{ personalConnectors { pageInfo { endCursor } } }",
                json!({}),
            )
            .await;
        for (variables, message) in [
            (
                json!({ "after": of_search }),
                "after is a cursor of another search",
            ),
            (
                json!({ "after": list["personalConnectors"]["pageInfo"]["endCursor"] }),
                "after is a cursor of a list of connectors",
            ),
            (json!({ "after": "x" }), "after is not a cursor"),
            (json!({ "first": 101 }), "first must be"),
            (json!({ "search": "x".repeat(257) }), "search must be"),
        ] {
            let answer = server.execute("", ask, variables).await;
            let error = &answer["errors"][0];
            let code = if message.starts_with("after") {
                "CURSOR_INVALID"
            } else {
                "BAD_USER_INPUT"
            };
            assert_eq!(error["extensions"]["code"], code, "{answer}");
            assert!(
                error["message"].as_str().unwrap().starts_with(message),
                "{answer}"
            );
        }
        let after = server
            .execute(
                "",
                "query($after: String) { personalConnectors(after: $after) { totalCount } }",
                json!({ "after": after }),
            )
            .await;
        assert!(
            after["errors"][0]["message"]
                .as_str()
                .unwrap()
                .starts_with("after is a cursor of a connector's tools"),
            "{after}"
        );
    }

    /// Each connector of a list has its own results, whatever is selected.
    async fn lists_tell_each_of_its_own(server: Server) {
        server.clear().await;
        let rows = (0..30).map(|n| official(&format!("c{n:02}"), &format!("C{n:02}")));
        let rows = server.insert(rows.collect()).await;
        let tools: Vec<_> = (0..5).map(|n| format!("t{n}")).collect();
        let checks = rows
            .iter()
            .enumerate()
            .filter(|(n, _)| n % 3 > 0)
            .map(|(n, row)| {
                let tools: Vec<_> = tools[..n % 6]
                    .iter()
                    .map(|name| (name.as_str(), row.name.as_str()))
                    .collect();
                (row.id.clone(), offering(&tools))
            });
        server.record(checks.collect()).await;
        let query = "{ personalConnectors(first: 100) { nodes {
            name health { outcome uptime history { nodes { outcome } } } tools(first: 2) { nodes { name description } \
            totalCount pageInfo { hasNextPage } }
        } } }";
        let data = server.data("", query, json!({})).await;
        for (n, node) in data["personalConnectors"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let name = format!("C{n:02}");
            let (checked, count) = (n % 3 > 0, if n % 3 > 0 { (n % 6).min(5) } else { 0 });
            let health = json!({ "outcome": "OPEN", "uptime": 1.0, "history": { "nodes": [{ "outcome": "OPEN" }] } });
            let nodes: Vec<_> = tools[..count.min(2)]
                .iter()
                .map(|tool| json!({ "name": tool, "description": name }))
                .collect();
            assert_eq!(
                *node,
                json!({
                    "name": name,
                    "health": if checked { health } else { Value::Null },
                    "tools": { "nodes": nodes, "totalCount": count, "pageInfo": { "hasNextPage": count > 2 } },
                })
            );
        }
    }
}
