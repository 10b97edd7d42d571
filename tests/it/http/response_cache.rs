//! Cached responses: which ones, for whom, and for how long.

use std::{collections::HashSet, time::Duration};

use entity::Outcome;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use personal_connectors::domain::inspection::Inspection;
use reqwest::{RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    on_both,
    support::{
        checks::{after, found},
        connection::Other,
        connectors::{
            official,
            secret::{VIEWERS, furnish, hide},
        },
        harness::{Server, client},
        mutations::{CREATE, DELETE, STATUS, UPDATE, WRITE, draft, mutation},
        random::random,
    },
};

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
            other
                .run(
                    "BEGIN IMMEDIATE",
                    "BEGIN; UPDATE catalog_state SET state = state",
                )
                .await;
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

    async fn a_request_may_have_its_answer_made_anew(server: Server) {
        let server = keeping(&server, &[]).await;
        let list = post(&server, "", &query(LIST));
        let found = kept(&server, &list).await;
        for directives in ["no-cache", "No-Cache", "max-age=0, no-cache", "no-store"] {
            server.forget_reads();
            let made = send(
                list.try_clone()
                    .unwrap()
                    .header("cache-control", directives),
            )
            .await;
            assert_eq!(made, found);
            // The page is read; the list was counted in this state.
            assert_eq!(server.reads.lock().unwrap().len(), 1, "{directives}");
        }
        for directives in ["max-age=0", "no-cache-please", ""] {
            assert_eq!(
                kept(
                    &server,
                    &list
                        .try_clone()
                        .unwrap()
                        .header("cache-control", directives)
                )
                .await,
                found
            );
        }
    }

    async fn what_is_asked_otherwise_is_answered_otherwise(server: Server) {
        let (off, server) = (
            with_cache(&server, "0", &[]).await,
            keeping(&server, &[]).await,
        );
        let document = "query A($n: Int, $s: String) { personalConnectors(first: $n, search: $s) { nodes { id } } }
                        query B($n: Int, $s: String) { personalConnectors(last: $n, search: $s) { nodes { name } } }";
        let bodies = [
            json!({ "operationName": "A" }),
            json!({ "operationName": "B" }),
            json!({ "operationName": "A", "variables": { "n": 1 } }),
            json!({ "operationName": "A", "variables": { "n": 2 } }),
            json!({ "operationName": "B", "variables": { "n": 2 } }),
            json!({ "operationName": "A", "variables": { "n": 1, "s": "jira" } }),
            json!({ "operationName": "A", "variables": { "n": 1, "s": null } }),
            json!({ "operationName": "A", "variables": {} }),
        ];
        for _ in 0..2 {
            for body in &bodies {
                let mut body = body.clone();
                body["query"] = json!(document);
                for (name, value) in [
                    ("accept", "application/json"),
                    ("accept", "application/graphql-response+json"),
                    ("graphql-cost", "report"),
                ] {
                    let expected = send(post(&off, "", &body).header(name, value)).await;
                    assert_eq!(expected.0, 200);
                    assert_eq!(
                        send(post(&server, "", &body).header(name, value)).await,
                        expected,
                        "{body} {value}"
                    );
                    assert_eq!(
                        kept(&server, &post(&server, "", &body).header(name, value)).await,
                        expected,
                        "{body} {value}"
                    );
                }
            }
        }
    }

    async fn each_coding_is_kept_as_it_is_sent(server: Server) {
        let (off, server) = (
            with_cache(&server, "0", &[]).await,
            keeping(&server, &[]).await,
        );
        let long = query("{ __schema { types { name description } } }");
        let short = query("{ viewer { userId } }");
        for (accepted, coding) in [
            ("gzip", "gzip"),
            ("br", "br"),
            ("gzip, deflate, br, zstd", "br"),
            ("gzip;q=1, br;q=0.5", "gzip"),
            ("identity", ""),
            ("", ""),
        ] {
            for (body, coding) in [(&long, coding), (&short, "")] {
                let made = send(post(&off, "", body).header("accept-encoding", accepted)).await;
                assert_eq!(
                    made.1
                        .get("content-encoding")
                        .map_or("", |value| value.to_str().unwrap()),
                    coding
                );
                let asked = post(&server, "", body).header("accept-encoding", accepted);
                assert_eq!(send(asked.try_clone().unwrap()).await, made, "{accepted}");
                assert_eq!(kept(&server, &asked).await, made, "{accepted}");
            }
        }
    }

    async fn nothing_is_found_while_the_state_is_not_known(server: Server) {
        let server = keeping(&server, &[]).await;
        let list = post(&server, "", &query(LIST));
        let before = kept(&server, &list).await;
        let mut other = Other::connect(&server).await;
        let away = "ALTER TABLE catalog_state RENAME TO away";
        other.run(away, away).await;
        let one = post(
            &server,
            "",
            &query("{ personalConnectors { nodes { id } } }"),
        );
        let reads = async || {
            server.forget_reads();
            assert_eq!(send(one.try_clone().unwrap()).await.0, 200);
            server.reads.lock().unwrap().len()
        };
        let began = Instant::now();
        // A poll may have been in progress. A state older than a second does not count.
        let mut in_a_row = 0;
        while in_a_row < 20 {
            in_a_row = if reads().await == 1 { in_a_row + 1 } else { 0 };
            assert!(began.elapsed() < LONG, "it is found for ever");
        }
        let back = "ALTER TABLE away RENAME TO catalog_state";
        other.run(back, back).await;
        assert_eq!(kept(&server, &list).await, before);
    }

    async fn many_who_ask_the_same_at_once_make_one_statement(server: Server) {
        let server = keeping(&server, &[]).await;
        let mut other = Other::connect(&server).await;
        other.slow_down_reads().await;
        let mut tries = 0;
        loop {
            server.forget_reads();
            // The document differs each time.
            let one = query(&format!(
                "query Try{tries} {{ personalConnectors {{ nodes {{ id }} }} }}"
            ));
            let answers =
                futures_util::future::join_all((0..20).map(|_| send(post(&server, "", &one))))
                    .await;
            assert!(
                answers
                    .iter()
                    .all(|answer| *answer == answers[0] && answer.0 == 200)
            );
            if server.reads.lock().unwrap().len() == 1 {
                break;
            }
            tries += 1;
            assert!(tries < 20, "all read");
        }
        // The first client disconnects, and the next one takes over.
        let two = query("{ personalConnectors { nodes { name } } }");
        let first = tokio::time::timeout(Duration::from_millis(100), send(post(&server, "", &two)));
        let rest = futures_util::future::join_all((0..5).map(|_| send(post(&server, "", &two))));
        let (_, rest) = tokio::join!(first, rest);
        assert!(
            rest.iter()
                .all(|answer| answer.0 == 200 && answer.2.starts_with(b"{\"data\""))
        );
        // Requests whose response is not cacheable do not wait for each other.
        let wrong = query(
            "{ a: personalConnectors { totalCount } b: personalConnectors(first: 101) { totalCount } }",
        );
        let answers =
            futures_util::future::join_all((0..5).map(|_| send(post(&server, "", &wrong)))).await;
        assert!(answers.iter().all(|answer| answer == &answers[0]));
        other.let_reads_go().await;
    }

    async fn what_is_kept_is_of_bounded_size(server: Server) {
        let server = with_cache(&server, "1", &[]).await;
        let document = "query($id: ID!) { node(id: $id) { id } personalConnectors { nodes { id name description \
                        metadata iconUrl serverUrl createdAt } } }";
        for number in 0..1500 {
            let body =
                json!({ "query": document, "variables": { "id": format!("pcon_{number}") } });
            assert_eq!(send(post(&server, "", &body)).await.0, 200);
        }
        let kept = number(&server, "graphql_answers_kept_bytes").await;
        assert!((256 << 10..=1 << 20).contains(&kept), "{kept}");
    }

    /// Random changes and queries by several viewers, through one process that caches responses and one that does not.
    async fn kept_answers_are_those_that_would_be_made(server: Server) {
        let (off, server) = (
            with_cache(&server, "0", &[]).await,
            keeping(&server, &["--max-concurrency", "100"]).await,
        );
        let viewers = [
            ("ann@acme", WRITE),
            ("bob@acme", WRITE),
            ("boss@acme", &["connectors:admin"]),
            ("cid@other", WRITE),
        ];
        let tokens = viewers.map(|(who, scopes)| server.token(who, scopes));
        let queries = [
            json!({ "query": LIST }),
            json!({ "query": "query($s: String) { personalConnectors(search: $s, orderBy: {field: UPDATED_AT}) { \
                              totalCount nodes { id name revision createdBy } facets { status { value count } } } \
                              }", "variables": { "s": "wiki" } }),
            json!({ "query": "{ personalConnectors(filter: {type: CUSTOM, status: ACTIVE}) { nodes { id replacedBy { \
                              id name } viewerCanUpdate } } }" }),
            json!({ "query": "query($f: PersonalConnectorFilter) { personalConnectors(filter: $f, last: 3) { edges { \
                              cursor node { name visibility } } } \
                              }", "variables": { "f": { "visibility": ["PRIVATE", "PUBLIC"] } } }),
        ];
        let pick = |most: usize| usize::try_from(random(most as u64)).unwrap();
        let mut ids: Vec<String> = Vec::new();
        let mut compared = 0;
        for step in 0..400 {
            let token = &tokens[pick(tokens.len())];
            if pick(4) == 0 {
                let id = || {
                    json!(
                        ids.get(pick(ids.len().max(1)))
                            .map_or("pcon_none", String::as_str)
                    )
                };
                let visibility = ["PRIVATE", "ORGANIZATION"][pick(2)];
                let (field, input) = match pick(5) {
                    0 | 1 => (
                        CREATE,
                        draft(&format!("Wiki {step}"), json!({ "visibility": visibility })),
                    ),
                    2 => (
                        UPDATE,
                        json!({ "id": id(), "name": format!("Notes {step}"), "visibility": visibility }),
                    ),
                    3 => (
                        STATUS,
                        json!({ "id": id(), "status": "DEPRECATED", "replacedById": id() }),
                    ),
                    _ => (DELETE, json!({ "id": id() })),
                };
                let payload = server.mutate(token, field, input).await;
                if let Some(id) = payload["personalConnector"]["id"].as_str() {
                    ids.push(id.to_owned());
                }
                continue;
            }
            let body = &queries[pick(queries.len())];
            let token = if pick(5) == 0 { "" } else { token };
            let (kept, made) = (
                send(post(&server, token, body)).await,
                send(post(&off, token, body)).await,
            );
            assert_eq!(kept, made, "step {step}: {body}");
            compared += 1;
        }
        assert!(compared > 100 && ids.len() > 10);
        let found = number(&server, "graphql_answers_found_total").await;
        assert!(found > 20, "{found} of {compared}");
    }
}
