//! The size of the cache, and requests at once.

use super::{LIST, LONG, keeping, kept, number, post, query, send, with_cache};
use crate::{
    on_both,
    support::{
        connection::Other,
        mutations::{CREATE, DELETE, STATUS, UPDATE, WRITE, draft},
        random::random,
    },
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

on_both! {
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
