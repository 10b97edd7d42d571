//! MCP servers inspected before they are added: `inspectServer`, and `createCustomConnector` with `verify`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::{NOW, Server, timestamp},
        mcp::{Plain, Reaction, answer, json_answer, response, result, two_tools, well_behaved},
        mutations::WRITE,
    },
};

const INSPECT: &str = "mutation($url: String!, $type: ServerType! = HTTP) {
    inspectServer(input: {serverUrl: $url, serverType: $type}) {
        inspection {
            outcome message checkedAt latencyMs transport protocolVersion instructions capabilities
            serverInfo { name title version description websiteUrl iconUrls }
            tools { nodes { name title description inputSchema outputSchema annotations } }
            resourceCount promptCount authorizationServers
        }
        draft { name description version iconUrl }
        userErrors { code field message }
    }
}";

const CREATE: &str = "mutation($input: CreateCustomConnectorInput!) {
    createCustomConnector(input: $input) {
        personalConnector { id name }
        inspection { outcome tools { nodes { name } } }
        userErrors { code field message }
    }
}";

/// Starts a GraphQL server on the same database that may call this machine.
async fn allowing(server: &Server, flags: &[&str]) -> Server {
    let flags = [&["--mcp-allow", "127.0.0.0/8"], flags].concat();
    Server::start(server.storage.clone(), &flags, server.clock.clone()).await
}

fn ann(server: &Server) -> String {
    server.token("ann@acme", WRITE)
}

async fn inspect(server: &Server, url: &str) -> Value {
    let mut data = server
        .data(&ann(server), INSPECT, json!({ "url": url }))
        .await;
    data["inspectServer"].take()
}

/// Responds like a server with a longer description of itself.
fn talkative(request: &crate::support::mcp::Request) -> Reaction {
    if request.asks() != "initialize" {
        return well_behaved(request);
    }
    let mut said = result(request).unwrap();
    said["serverInfo"]["description"] = json!("Adds and subtracts.");
    said["serverInfo"]["icons"] = json!([
        { "src": "data:image/png;base64,AAAA" },
        { "src": "https://icons.example/plain.png" },
    ]);
    json_answer(&response(request, &said))
}

on_both! {
    async fn tools_can_be_read_in_parts(server: Server) {
        let server = allowing(&server, &[]).await;
        let plain = Plain::new(talkative).await;
        let mutation = "mutation($url: String!, $first: Int, $after: String) { inspectServer(input: {serverUrl: $url}) {
            inspection { tools(first: $first, after: $after) { nodes { name } totalCount pageInfo { hasNextPage \
            endCursor } } }
        } }";
        let ask = async |first: Value, after: Value| {
            let variables = json!({ "url": plain.url, "first": first, "after": after });
            let mut data = server.data(&ann(&server), mutation, variables).await;
            data["inspectServer"]["inspection"]["tools"].take()
        };
        let all = ask(json!(null), json!(null)).await;
        assert_eq!(
            all["nodes"],
            json!([{ "name": "add" }, { "name": "subtract" }])
        );
        let first = ask(json!(1), json!(null)).await;
        assert_eq!(
            (&first["nodes"], &first["totalCount"]),
            (&json!([{ "name": "add" }]), &json!(2))
        );
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let second = ask(json!(1000), first["pageInfo"]["endCursor"].clone()).await;
        assert_eq!(second["nodes"], json!([{ "name": "subtract" }]));
        assert_eq!(
            second["pageInfo"],
            json!({ "hasNextPage": false, "endCursor": all["pageInfo"]["endCursor"] })
        );
        let variables = json!({ "url": plain.url, "first": 1001 });
        assert_eq!(
            server.error_code(&ann(&server), mutation, variables).await,
            "BAD_USER_INPUT"
        );
    }

    async fn a_look_before_adding(server: Server) {
        let server = allowing(&server, &[]).await;
        let plain = Plain::new(talkative).await;
        let mut seen = inspect(&server, &plain.url).await;
        let latency = seen["inspection"]["latencyMs"].take();
        assert!(latency.as_u64().is_some(), "{latency}");
        assert_eq!(
            seen,
            json!({
                "inspection": {
                    "outcome": "OPEN",
                    "message": "The server speaks MCP.",
                    "checkedAt": NOW,
                    "latencyMs": null,
                    "transport": "STREAMABLE_HTTP",
                    "protocolVersion": "2025-06-18",
                    "instructions": "Ask it little.",
                    "capabilities": ["prompts", "tools"],
                    "serverInfo": {
                        "name": "plain",
                        "title": "A plain server",
                        "version": "1.2.3",
                        "description": "Adds and subtracts.",
                        "websiteUrl": null,
                        "iconUrls": ["data:image/png;base64,AAAA", "https://icons.example/plain.png"],
                    },
                    "tools": { "nodes": two_tools() },
                    "resourceCount": null,
                    "promptCount": 1,
                    "authorizationServers": [],
                },
                "draft": {
                    "name": "A plain server",
                    "description": "Adds and subtracts.",
                    "version": "1.2.3",
                    "iconUrl": "https://icons.example/plain.png",
                },
                "userErrors": [],
            })
        );
        // A create accepts the draft unchanged.
        let mut input = seen["draft"].clone();
        input["serverUrl"] = json!("https://mcp.example.com");
        input["validateOnly"] = json!(true);
        let checked = server
            .data(&ann(&server), CREATE, json!({ "input": input }))
            .await;
        assert_eq!(checked["createCustomConnector"]["userErrors"], json!([]));
    }

    async fn what_is_not_there_is_an_outcome_and_what_is_no_url_an_error(server: Server) {
        let strict = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        let plain = Plain::new(well_behaved).await;
        let seen = inspect(&strict, &plain.url).await;
        assert_eq!(seen["inspection"]["outcome"], "BLOCKED");
        assert_eq!(
            (&seen["draft"], &seen["userErrors"]),
            (&Value::Null, &json!([]))
        );
        assert!(plain.requests.lock().unwrap().is_empty());
        let server = allowing(&server, &[]).await;
        let page =
            Plain::new(|_| answer(200, "content-type: text/html\r\n", "<title>Hello</title>"))
                .await;
        assert_eq!(
            inspect(&server, &page.url).await["inspection"]["outcome"],
            "NOT_MCP"
        );
        for url in [
            "",
            "mcp.example.com",
            "ftp://mcp.example.com",
            "http://ann:secret@127.0.0.1/",
        ] {
            let seen = inspect(&server, url).await;
            assert_eq!(seen["inspection"], Value::Null, "{url}");
            assert_eq!(
                seen["userErrors"][0]["field"],
                json!(["input", "serverUrl"]),
                "{url}"
            );
        }
        let program = json!({ "url": "", "type": "STDIO" });
        let seen = server.data(&ann(&server), INSPECT, program).await;
        assert_eq!(
            seen["inspectServer"]["inspection"]["outcome"],
            "NOT_CHECKABLE"
        );
    }

    async fn who_may_not_create_may_not_look(server: Server) {
        let server = allowing(&server, &[]).await;
        let plain = Plain::new(well_behaved).await;
        let ask = json!({ "url": plain.url });
        let reader = server.token("bob@acme", &[]);
        assert_eq!(
            server.error_code("", INSPECT, ask.clone()).await,
            "UNAUTHENTICATED"
        );
        assert_eq!(server.error_code(&reader, INSPECT, ask).await, "FORBIDDEN");
        let input = json!({ "name": "Plain", "serverUrl": plain.url, "verify": true });
        assert_eq!(
            server
                .error_code(&reader, CREATE, json!({ "input": input }))
                .await,
            "FORBIDDEN"
        );
        assert!(plain.requests.lock().unwrap().is_empty());
    }

    async fn inspections_have_a_rate_of_their_own(server: Server) {
        let server = allowing(&server, &["--inspection-rate", "2"]).await;
        let program = json!({ "url": "", "type": "STDIO" });
        let (ann, bob) = (ann(&server), server.token("bob@acme", WRITE));
        for _ in 0..2 {
            server.data(&ann, INSPECT, program.clone()).await;
        }
        assert_eq!(
            server.error_code(&ann, INSPECT, program.clone()).await,
            "RATE_LIMITED"
        );
        let input = json!({ "name": "Plain", "serverUrl": "http://127.0.0.1:9", "verify": true });
        assert_eq!(
            server
                .error_code(&ann, CREATE, json!({ "input": input }))
                .await,
            "RATE_LIMITED"
        );
        // The limit applies neither to other users nor to other operations.
        server.data(&bob, INSPECT, program.clone()).await;
        server.data(&ann, "{ viewer { userId } }", json!({})).await;
        server
            .clock
            .set(entity::Timestamp(timestamp(NOW).0 + 30 * 1_000_000));
        server.data(&ann, INSPECT, program.clone()).await;
        assert_eq!(
            server.error_code(&ann, INSPECT, program).await,
            "RATE_LIMITED"
        );
    }

    /// A request that waits for a server blocks no other query or write.
    async fn who_waits_for_a_server_holds_nobody_up(server: Server) {
        let flags = [
            "--max-concurrency",
            "1",
            "--max-inspections",
            "2",
            "--request-timeout",
            "4s",
        ];
        let server = allowing(&server, &flags).await;
        let hanging = Plain::new(|_| Reaction::Hang).await;
        let token = ann(&server);
        let looking = async |n: usize| {
            let input =
                json!({ "name": format!("Hanging {n}"), "serverUrl": hanging.url, "verify": true });
            server
                .execute(&token, CREATE, json!({ "input": input }))
                .await
        };
        let meanwhile = async {
            while hanging.requests.lock().unwrap().len() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // No inspection slot is free.
            let third = looking(3).await;
            assert_eq!(
                third["errors"][0]["extensions"]["code"], "UNAVAILABLE",
                "{third}"
            );
            let input = json!({ "name": "Quick", "serverUrl": "https://mcp.example.com" });
            let created = server.data(&token, CREATE, json!({ "input": input })).await;
            assert_eq!(
                created["createCustomConnector"]["personalConnector"]["name"],
                "Quick"
            );
            server
                .data(&token, "{ personalConnectors { totalCount } }", json!({}))
                .await;
        };
        let (first, second, ()) = tokio::join!(looking(1), looking(2), meanwhile);
        for late in [first, second] {
            let payload = &late["data"]["createCustomConnector"];
            assert_eq!(payload["inspection"]["outcome"], "TIMEOUT", "{late}");
            assert_eq!(
                payload["userErrors"][0]["field"],
                json!(["input", "serverUrl"])
            );
        }
    }

    async fn verified_creates(server: Server) {
        let server = allowing(&server, &[]).await;
        let token = ann(&server);
        let create = async |input: Value| {
            let mut data = server.data(&token, CREATE, json!({ "input": input })).await;
            data["createCustomConnector"].take()
        };
        let plain = Plain::new(well_behaved).await;
        let made = create(json!({ "name": "Plain", "serverUrl": plain.url, "verify": true,
            "idempotencyKey": "1" })).await;
        assert_eq!(
            (&made["personalConnector"]["name"], &made["userErrors"]),
            (&json!("Plain"), &json!([]))
        );
        assert_eq!(
            made["inspection"],
            json!({ "outcome": "OPEN", "tools": { "nodes": [{ "name": "add" }, { "name": "subtract" }] } })
        );
        // A retry needs no new inspection, and an invalid create none at all.
        let asked = plain.asked().len();
        let again = create(json!({ "name": "Plain", "serverUrl": plain.url, "verify": true,
            "idempotencyKey": "1" })).await;
        assert_eq!(
            (&again["personalConnector"], &again["inspection"]),
            (&made["personalConnector"], &Value::Null)
        );
        let name_taken =
            create(json!({ "name": "plain", "serverUrl": plain.url, "verify": true })).await;
        assert_eq!(
            (
                &name_taken["userErrors"][0]["code"],
                &name_taken["inspection"]
            ),
            (&json!("TAKEN"), &Value::Null)
        );
        assert_eq!(plain.asked().len(), asked);
        let only_checked = create(json!({ "name": "Other", "serverUrl": plain.url, "verify": true,
            "validateOnly": true })).await;
        assert_eq!(
            (
                &only_checked["personalConnector"],
                &only_checked["inspection"]["outcome"]
            ),
            (&Value::Null, &json!("OPEN"))
        );
        let private = Plain::new(|_| answer(401, "www-authenticate: Bearer\r\n", "")).await;
        let made =
            create(json!({ "name": "Private", "serverUrl": private.url, "verify": true })).await;
        assert_eq!(
            (
                &made["personalConnector"]["name"],
                &made["inspection"]["outcome"]
            ),
            (&json!("Private"), &json!("AUTH_REQUIRED"))
        );
        let page = Plain::new(|_| answer(404, "", "")).await;
        let refused = create(
            json!({ "name": "Page", "serverUrl": page.url, "verify": true, "idempotencyKey": "2" }),
        )
        .await;
        assert_eq!(
            (
                &refused["personalConnector"],
                &refused["inspection"]["outcome"]
            ),
            (&Value::Null, &json!("NOT_MCP"))
        );
        assert_eq!(
            refused["userErrors"],
            json!([{
                "code": "INVALID",
                "field": ["input", "serverUrl"],
                "message": "The server answers with HTTP status 404 Not Found.",
            }])
        );
        let program =
            create(json!({ "name": "Program", "serverType": "STDIO", "verify": true })).await;
        assert_eq!(
            (
                &program["personalConnector"],
                &program["inspection"]["outcome"]
            ),
            (&Value::Null, &json!("NOT_CHECKABLE"))
        );
        // Without `verify`, no server is called.
        let unseen = Plain::new(well_behaved).await;
        let made = create(json!({ "name": "Unseen", "serverUrl": unseen.url })).await;
        assert_eq!(
            (&made["personalConnector"]["name"], &made["inspection"]),
            (&json!("Unseen"), &Value::Null)
        );
        assert!(unseen.requests.lock().unwrap().is_empty());
    }
}
