//! Subscriptions as parts of `multipart/mixed`, as Apollo's clients request them.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    clients::subscribers::{CHANGED, LONG, told},
    harness::{Server, TestDatabase, client},
    mutations::WRITE,
    process::{Serving, program_on},
};

const ACCEPT: &str =
    "multipart/mixed;subscriptionSpec=1.0, application/graphql-response+json, application/json";

/// A client that reads a part after its boundary arrived.
struct Parts {
    response: Response,
    text: String,
}

impl Parts {
    async fn at(url: &str, token: &str, query: &str) -> Self {
        let request = client().post(url).header("accept", ACCEPT);
        let request = if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        };
        let request = request.header("content-type", "application/json");
        let body = json!({ "query": query }).to_string();
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let header = |name| response.headers()[name].to_str().unwrap();
        let expected = r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#;
        assert_eq!(header("content-type"), expected);
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        let text = String::new();
        Self { response, text }
    }

    async fn of(server: &Server, token: &str, query: &str) -> Self {
        Self::at(&format!("{}/graphql", server.url), token, query).await
    }

    /// Returns the next part; none after the last.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((part, rest)) = self.text.split_once("\r\n--graphql") {
                let (part, rest) = (part.to_owned(), rest.to_owned());
                self.text = rest;
                if part.is_empty() {
                    continue;
                }
                let (headers, json) = part.split_once("\r\n\r\n").unwrap();
                assert_eq!(headers, "\r\nContent-Type: application/json");
                return Some(serde_json::from_str(json).unwrap());
            }
            let Some(chunk) = timeout(LONG, self.response.chunk()).await.unwrap().unwrap() else {
                assert_eq!(self.text, "--\r\n");
                return None;
            };
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_a_part() {
    let server = Server::on_sqlite(&[]).await;
    let ann = server.token("ann@acme", WRITE);
    let mut parts = Parts::of(&server, &ann, CHANGED).await;
    for name in ["A", "B"] {
        server.create(&ann, name, "PRIVATE").await;
        let mut part = parts.next().await.unwrap();
        let change = part["payload"]["data"]["personalConnectorChanged"].take();
        assert_eq!(told(&change), ("CREATED", name), "{part}");
        assert_eq!(
            part,
            json!({ "payload": { "data": { "personalConnectorChanged": null } } })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_executed_is_told_in_a_payload() {
    let server = Server::on_sqlite(&[]).await;
    let query = "subscription { personalConnectorChanged(after: \"x\") { kind } }";
    let mut parts = Parts::of(&server, "", query).await;
    let part = parts.next().await.unwrap();
    assert_eq!(
        part["payload"]["errors"].as_array().unwrap().len(),
        1,
        "{part}"
    );
    assert_eq!(part.get("errors"), None);
    assert_eq!(parts.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_is_an_error_of_the_connection() {
    let server = Server::on_sqlite(&[]).await;
    let token = server.short_token("ann@acme", WRITE, Duration::from_secs(2));
    let mut parts = Parts::of(&server, &token, CHANGED).await;
    let part = parts.next().await.unwrap();
    let error =
        json!({ "message": "the token has expired", "extensions": { "code": "UNAUTHENTICATED" } });
    assert_eq!(part, json!({ "payload": null, "errors": [error] }));
    assert_eq!(parts.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_is_kept_alive_until_the_service_stops() {
    let storage = TestDatabase::sqlite();
    let server = Serving::start(program_on(&storage, &["--shutdown-timeout", "10m"]));
    let mut parts = Parts::at(&server.url, "", CHANGED).await;
    assert_eq!(parts.next().await, Some(json!({})));
    let stopped = tokio::task::spawn_blocking(|| server.stop());
    let part = parts.next().await.unwrap();
    let unavailable = json!({ "code": "UNAVAILABLE", "retryAfter": 1 });
    assert_eq!(part["errors"][0]["extensions"], unavailable);
    assert_eq!(parts.next().await, None);
    stopped.await.unwrap().ok();
}
