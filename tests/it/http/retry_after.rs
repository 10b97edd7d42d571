//! Every transient error, over every protocol, has the seconds to wait before a retry.

use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        clients::subscribers::{Events, Socket},
        harness::{Server, check_errors},
        mutations::WRITE,
    },
};

const MULTIPART: &str = "multipart/mixed;subscriptionSpec=1.0";
const CHECK: &str = "mutation($id: ID!) { checkConnector(input: { id: $id }) { userErrors { code } } viewer: \
                     __typename }";
const CREATE: &str = "mutation { createCustomConnector(input: { name: \"x\", serverType: STDIO }) { userErrors { code \
                      } } }";

/// Returns the first JSON of a multipart response with errors.
async fn multipart(server: &Server, token: &str, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let request = server.request(token, body).header(ACCEPT, MULTIPART);
    let text = request.send().await.unwrap().text().await.unwrap();
    let parts = text.lines().filter(|line| line.starts_with('{'));
    let mut parts = parts.map(|part| serde_json::from_str::<Value>(part).unwrap());
    parts.find(|part| *part != json!({})).unwrap()["payload"].take()
}

/// Returns the responses to an operation over each protocol.
async fn by_each_protocol(
    server: &Server,
    token: &str,
    query: &str,
    variables: Value,
) -> [Value; 4] {
    let by_http = server.execute(token, query, variables.clone()).await;
    let mut events = Events::of(server, token, query, variables.clone()).await;
    let (_, by_events) = events.next().await.unwrap();
    let by_multipart = multipart(server, token, query, variables.clone()).await;
    let mut socket = Socket::of(server, token).await;
    socket.subscribe("1", query, variables).await;
    let by_socket = socket.next().await["payload"].take();
    [by_http, by_events, by_multipart, by_socket]
}

fn extensions(answer: &Value) -> &Value {
    check_errors(None, answer);
    &answer["errors"][0]["extensions"]
}

on_both! {
    async fn beside_data(server: Server) {
        let start = async |flags: &[&str]| {
            Server::start(server.storage.clone(), flags, server.clock.clone()).await
        };
        let ann = server.token("ann@acme", WRITE);
        let id = json!({ "id": "pcon_none" });

        let rated = start(&["--inspection-rate", "1"]).await;
        rated.data(&ann, CHECK, id.clone()).await;
        for answer in by_each_protocol(&rated, &ann, CHECK, id).await {
            // The clock stands still. An inspection costs a minute.
            assert_eq!(
                extensions(&answer),
                &json!({ "code": "RATE_LIMITED", "retryAfter": 60 }),
                "{answer}"
            );
            assert_eq!(answer["data"]["viewer"], "Mutation");
        }

        if server.storage.url.starts_with("postgres") {
            // A read-only service waits for its operator.
            let unwritable = start(&["--read-only"]).await;
            for answer in by_each_protocol(&unwritable, &ann, CREATE, json!({})).await {
                assert_eq!(
                    extensions(&answer),
                    &json!({ "code": "UNAVAILABLE", "retryAfter": 60 }),
                    "{answer}"
                );
            }
        }
    }

    async fn of_a_whole_request(server: Server) {
        let start = async |flags: &[&str]| {
            Server::start(server.storage.clone(), flags, server.clock.clone()).await
        };
        let query = json!({ "query": "{ __typename }" }).to_string();
        // The rate is two requests a second, and four may come at once.
        for accept in [
            "application/json",
            "application/graphql-response+json",
            "text/event-stream",
            MULTIPART,
        ] {
            let rated = start(&["--rate-limit", "2"]).await;
            let ask = async || {
                rated
                    .request("", query.clone())
                    .header(ACCEPT, accept)
                    .send()
                    .await
                    .unwrap()
            };
            for _ in 0..4 {
                assert_eq!(ask().await.status(), 200, "{accept}");
            }
            let refused = ask().await;
            assert_eq!(refused.status(), 429);
            assert_eq!(refused.headers()["retry-after"], "1");
            let answer: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
            assert_eq!(
                extensions(&answer),
                &json!({ "code": "RATE_LIMITED", "retryAfter": 1 })
            );
        }
        let rated = start(&["--rate-limit", "2"]).await;
        let mut socket = Socket::of(&rated, "").await;
        for id in ["1", "2", "3", "4", "5"] {
            socket.subscribe(id, "{ __typename }", json!({})).await;
        }
        let refused = loop {
            let message = socket.next().await;
            if message["type"] == "error" {
                break message;
            }
        };
        let expected = json!({ "code": "RATE_LIMITED", "retryAfter": 1 });
        assert_eq!(refused["payload"][0]["extensions"], expected);

        // Too many streams are a 429 too.
        let few = start(&["--max-sockets", "1"]).await;
        let _open = Events::of(
            &few,
            "",
            "subscription { personalConnectorChanged { kind } }",
            json!({}),
        )
        .await;
        let (status, answer) = few
            .post("", json!({ "query": "{ __typename }" }).to_string())
            .await;
        assert_eq!((status, answer.get("errors")), (200, None));
        let body =
            json!({ "query": "subscription { personalConnectorChanged { kind } }" }).to_string();
        let refused = few
            .request("", body)
            .header(ACCEPT, "text/event-stream")
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                refused.status().as_u16(),
                refused.headers()["retry-after"].to_str().unwrap()
            ),
            (429, "1")
        );
        let answer: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        assert_eq!(extensions(&answer), &expected);
    }
}
