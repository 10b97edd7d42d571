//! Cached responses: which ones, for whom, and for how long.

mod bounds;
mod keys;
mod outcomes;

use crate::{
    on_both,
    support::{
        connection::Other,
        connectors::secret::{VIEWERS, furnish, hide},
        harness::{Server, client},
        mutations::{CREATE, DELETE, STATUS, UPDATE, WRITE, draft, mutation},
    },
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// Long enough for everything that happens within about a second, even on a busy machine.
const LONG: Duration = Duration::from_mins(1);

const LIST: &str = "{ personalConnectors(first: 100) { totalCount nodes { id name description status } changesCursor } \
                    }";

/// Starts a server on the same database that caches responses, whatever the test run's setting.
async fn keeping(server: &Server, flags: &[&str]) -> Server {
    with_cache(server, "8", flags).await
}

async fn with_cache(server: &Server, mebibytes: &str, flags: &[&str]) -> Server {
    let flags = [&["--answer-cache-mb", mebibytes], flags].concat();
    Server::start(server.storage.clone(), &flags, server.clock.clone()).await
}

fn post(server: &Server, token: &str, body: &Value) -> RequestBuilder {
    server.request(token, body.to_string())
}

fn get(server: &Server, query: &str) -> RequestBuilder {
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    client().get(format!("{}/graphql?query={query}", server.url))
}

/// Returns a response without the parts specific to each request.
async fn whole(response: Response) -> (u16, HeaderMap, Vec<u8>) {
    let (status, mut headers) = (response.status().as_u16(), response.headers().clone());
    assert!(headers.remove("x-request-id").is_some());
    headers.remove("date");
    (status, headers, response.bytes().await.unwrap().into())
}

async fn send(request: RequestBuilder) -> (u16, HeaderMap, Vec<u8>) {
    whole(request.send().await.unwrap()).await
}

/// Sends a request until the response is cached. On a busy machine, the state may be known too late for that.
async fn kept(server: &Server, request: &RequestBuilder) -> (u16, HeaderMap, Vec<u8>) {
    let began = Instant::now();
    loop {
        let found = number(server, "graphql_answers_found_total").await;
        server.forget_reads();
        let answer = send(request.try_clone().unwrap()).await;
        if number(server, "graphql_answers_found_total").await > found {
            assert_eq!(*server.reads.lock().unwrap(), []);
            return answer;
        }
        assert!(began.elapsed() < LONG, "it is never kept");
    }
}

async fn text(server: &Server, path: &str) -> String {
    let response = client().get(format!("{}{path}", server.url)).send().await;
    response.unwrap().text().await.unwrap()
}

async fn number(server: &Server, metric: &str) -> u64 {
    let metrics = text(server, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with(metric));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn query(query: &str) -> Value {
    json!({ "query": query })
}

on_both! {
    async fn what_is_asked_again_is_answered_alike_without_a_statement(server: Server) {
        let (ann, off) = (
            server.token("ann@acme", WRITE),
            with_cache(&server, "0", &[]).await,
        );
        let server = keeping(&server, &[]).await;
        let named = format!("query Dashboard {LIST}");
        for token in ["", ann.as_str()] {
            let made = send(post(&off, token, &query(&named))).await;
            assert_eq!(
                (made.0, &made.1["cache-control"]),
                (200, &"no-store".parse().unwrap())
            );
            assert_eq!(send(post(&server, token, &query(&named))).await, made);
            assert_eq!(
                kept(&server, &post(&server, token, &query(&named))).await,
                made
            );
        }
        // The first request may have any form.
        let made = send(get(&off, &named)).await;
        let found = kept(&server, &get(&server, &named)).await;
        assert_eq!(found, made);
        let etag = made.1["etag"].to_str().unwrap();
        let (status, headers, body) =
            kept(&server, &get(&server, &named).header("if-none-match", etag)).await;
        assert_eq!(
            (status, &headers["etag"], body.as_slice()),
            (304, &made.1["etag"], &[][..])
        );
        assert_eq!(
            send(get(&off, &named).header("if-none-match", etag))
                .await
                .1,
            headers
        );
        // The responses with 304 are counted, too.
        let told = "graphql_requests_total{type=\"query\",operation=\"Dashboard\",status=\"304\"} ";
        assert!(text(&server, "/metrics").await.contains(told));
        let found = number(&server, "graphql_answers_found_total").await;
        let asked = number(
            &server,
            "graphql_requests_total{type=\"query\",operation=\"Dashboard\",status=\"200\"}",
        )
        .await;
        assert!(found > 2 && found < asked, "{found} {asked}");
    }

    async fn an_own_change_is_seen_at_once(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let server = keeping(&server, &[]).await;
        let all = query(LIST);
        let list = || post(&server, &ann, &all);
        for number in 0..10 {
            let name = format!("Wiki {number}");
            let sees = async |what: &str| {
                String::from_utf8(send(list()).await.2)
                    .unwrap()
                    .contains(what)
            };
            kept(&server, &list()).await;
            let id = server.create(&ann, &name, "PRIVATE").await;
            assert!(sees(&name).await);
            kept(&server, &list()).await;
            server
                .change(
                    &ann,
                    UPDATE,
                    json!({ "id": id, "description": format!("Described {number}") }),
                )
                .await;
            assert!(sees(&format!("Described {number}")).await);
            kept(&server, &list()).await;
            server
                .change(&ann, STATUS, json!({ "id": id, "status": "MAINTENANCE" }))
                .await;
            assert!(sees("MAINTENANCE").await);
            kept(&server, &list()).await;
            server.mutate(&ann, DELETE, json!({ "id": id })).await;
            assert!(!sees(&name).await);
        }
    }

    /// A committed change is visible even if its client disconnected before the response.
    async fn a_change_whose_writer_hung_up_is_seen(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let server = keeping(
            &server,
            &["--request-timeout", "1s", "--database-wait", "30s"],
        )
        .await;
        let list = post(&server, &ann, &query(LIST));
        for name in ["Wiki", "Notes"] {
            let mut other = Other::connect(&server).await;
            other.hold_up_writes().await;
            let variables = json!({ "input": draft(name, json!({})) });
            let body = json!({ "query": mutation(CREATE), "variables": variables }).to_string();
            let given_up =
                tokio::time::timeout(Duration::from_millis(300), server.post(&ann, body.clone()));
            if name == "Wiki" {
                assert!(given_up.await.is_err());
            } else {
                let (_, answer) = server.post(&ann, body).await;
                assert_eq!(answer["errors"][0]["extensions"]["code"], "TIMEOUT");
            }
            kept(&server, &list).await;
            other.run("ROLLBACK", "ROLLBACK").await;
            let began = Instant::now();
            while !String::from_utf8(send(list.try_clone().unwrap()).await.2)
                .unwrap()
                .contains(name)
            {
                assert!(began.elapsed() < LONG, "it is not seen");
            }
            // All later readers see it too.
            assert!(
                String::from_utf8(kept(&server, &list).await.2)
                    .unwrap()
                    .contains(name)
            );
        }
    }

    async fn what_another_process_changed_is_seen_soon(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let server = keeping(&server, &[]).await;
        let other = with_cache(&server, "0", &[]).await;
        let list = post(&server, &ann, &query(LIST));
        for number in 0..5 {
            let before = kept(&server, &list).await;
            other
                .create(&ann, &format!("Wiki {number}"), "PRIVATE")
                .await;
            let now = send(post(&other, &ann, &query(LIST))).await;
            assert_ne!(now, before);
            let began = Instant::now();
            while send(list.try_clone().unwrap()).await != now {
                assert!(began.elapsed() < LONG, "it is not seen");
            }
            assert_eq!(kept(&server, &list).await, now);
        }
    }

    async fn nobody_is_given_an_answer_of_anybody_elses(server: Server) {
        const WHAT: &str = "id name createdBy organizationId viewerCanUpdate viewerCanDelete";
        let (off, server) = (
            with_cache(&server, "0", &[]).await,
            keeping(&server, &[]).await,
        );
        let old = furnish(&server).await;
        hide(&server, &old, entity::ConnectorVisibility::Organization).await;
        let queries = [
            format!(
                "{{ personalConnectors(first: 100) {{ totalCount nodes {{ {WHAT} replacedBy {{ id }} }} facets {{ type \
                 {{ count }} }} }} }}"
            ),
            format!(
                "{{ node(id: \"pcon_old\") {{ ... on PersonalConnector {{ {WHAT} replacedBy {{ {WHAT} }} }} }} }}"
            ),
            "{ viewer { userId organizationId scopes } }".to_owned(),
        ];
        for query in queries.map(|text| query(&text)) {
            let mut told = HashSet::new();
            // Each viewer asks once, and again when all have a cached response.
            for _ in 0..2 {
                for (who, scopes) in VIEWERS {
                    let token = if who.is_empty() {
                        String::new()
                    } else {
                        server.token(who, scopes)
                    };
                    let expected = send(post(&off, &token, &query)).await;
                    assert_eq!(send(post(&server, &token, &query)).await, expected, "{who}");
                    assert_eq!(
                        kept(&server, &post(&server, &token, &query)).await,
                        expected,
                        "{who}"
                    );
                    told.insert(expected.2);
                }
            }
            assert!(told.len() > 2, "{query} does not tell them apart");
            // The same user with other scopes.
            let fewer = server.token("root@other", &["connectors:write"]);
            assert_eq!(
                send(post(&server, &fewer, &query)).await,
                send(post(&off, &fewer, &query)).await
            );
        }
    }

    async fn errors_changes_and_the_feed_are_not_kept(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let server = keeping(&server, &[]).await;
        kept(&server, &post(&server, &ann, &query(LIST))).await;
        let made = number(&server, "graphql_answers_made_total").await;
        let found = number(&server, "graphql_answers_found_total").await;
        let id = json!({ "query": null, "extensions": { "persistedQuery": { "version": 1,
            "sha256Hash": "0".repeat(64) } } });
        for body in [
            query("{"),
            query("{ nope }"),
            query("query A { viewer { userId } } query B { viewer { userId } }"),
            id,
            query("{ personalConnectors(first: 101) { totalCount } }"),
            // A response with an error and data.
            query(
                "{ personalConnector(id: \"pcon_jira\") { id } personalConnectors(first: 101) { totalCount } }",
            ),
            query("{ __typename personalConnectors(first: 101) { totalCount } }"),
            json!({ "query": "query($a: Int!) { personalConnectors(first: $a) { totalCount } \
                              }", "variables": { "a": "x" } }),
            json!({ "query": "{ viewer { userId } \
                              }", "variables": { "a": { "b": 1, "c": { "d": 1 } } }, "operationName": "A" }),
            query(
                "mutation { createCustomConnector(input: {name: \"\"}) { userErrors { code } } }",
            ),
            query(
                "mutation { deleteCustomConnector(input: {id: \"pcon_none\"}) { userErrors { code } } }",
            ),
            query("{ personalConnectorChanges { nodes { kind } } }"),
            query(
                "{ ...F } fragment F on Query { feed: personalConnectorChanges(first: 1) { nodes { kind } } }",
            ),
            query(
                "{ ... on Query { viewer { userId } ... { personalConnectorChanges { nodes { kind } } } } }",
            ),
            query("subscription { personalConnectorChanged { kind } }"),
        ] {
            let first = send(post(&server, &ann, &body)).await;
            for _ in 0..2 {
                let again = send(post(&server, &ann, &body)).await;
                assert_eq!((again.0, again.2), (first.0, first.2.clone()), "{body}");
            }
            assert_eq!(
                number(&server, "graphql_answers_made_total").await,
                made,
                "{body}"
            );
            assert_eq!(
                number(&server, "graphql_answers_found_total").await,
                found,
                "{body}"
            );
        }
        let token = send(post(&server, "x", &query(LIST))).await;
        assert_eq!(token.0, 401);
    }
}
