//! The results of checks: their storage, their visibility and their changes.

mod changes;
mod history;
mod tools;

use crate::{
    on_both,
    support::{
        checks::after,
        connectors::official,
        harness::Server,
        mcp::{Plain, Reaction, answer, two_tools, well_behaved},
        mutations::{CREATE, DELETE, NONE, UPDATE, WRITE, draft, errors},
    },
};
use entity::{ServerType, personal_connector::Model};
use personal_connectors::domain::inspection::Inspection;
use serde_json::{Value, json};
use std::time::Duration;

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
}
