//! Requests that get another response.

use super::{LIST, keeping, kept, post, query, send, with_cache};
use crate::on_both;
use serde_json::json;

on_both! {
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
}
