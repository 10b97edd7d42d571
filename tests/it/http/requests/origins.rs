//! Requests of web pages of other origins.

use super::{QUERY, request};
use crate::{
    on_both,
    support::harness::{Server, client},
};
use reqwest::{Method, header::CONTENT_TYPE};

on_both! {
    async fn other_sites_pages_ask_only_where_configured(server: Server) {
        let start = |flags: &'static [&'static str]| {
            Server::start(server.storage.clone(), flags, server.clock.clone())
        };
        let configured = start(&[
            "--cors-origin",
            "https://a.example,http://localhost:3000",
            "--cors-origin",
            "https://b.example",
        ])
        .await;
        let open = start(&["--cors-origin", "https://a.example", "--cors-origin", "*"]).await;
        for (server, origin, expected) in [
            (&server, "https://a.example", None),
            (&configured, "https://a.example", Some("https://a.example")),
            (
                &configured,
                "http://localhost:3000",
                Some("http://localhost:3000"),
            ),
            (&configured, "https://b.example", Some("https://b.example")),
            (&configured, "https://c.example", None),
            (&configured, "https://a.example.com", None),
            (&configured, "null", None),
            (
                &configured,
                "https://a.example:443",
                Some("https://a.example:443"),
            ),
            (&configured, "http://a.example", None),
            (&configured, "https://a.example:8443", None),
            (&open, "https://c.example", Some("*")),
            (&open, "null", Some("*")),
        ] {
            let url = format!("{}/graphql", server.url);
            let preflight = client()
                .request(Method::OPTIONS, &url)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header(
                    "access-control-request-headers",
                    "authorization,content-type",
                );
            for (request, is_preflight) in [
                (preflight, true),
                (
                    request(server)
                        .header("origin", origin)
                        .header(CONTENT_TYPE, "application/json")
                        .body(QUERY),
                    false,
                ),
                // Headers are sent, so that a page can read the reason.
                (
                    request(server).header("origin", origin).bearer_auth("x"),
                    false,
                ),
            ] {
                let response = request.send().await.unwrap();
                let header = |name: &str| {
                    response
                        .headers()
                        .get(name)
                        .map(|value| value.to_str().unwrap().to_ascii_lowercase())
                };
                assert_eq!(
                    header("access-control-allow-origin").as_deref(),
                    expected,
                    "{origin}"
                );
                assert_eq!(header("access-control-allow-credentials"), None);
                assert!(header("x-request-id").is_some());
                if expected.is_some() && is_preflight {
                    assert_eq!(response.status(), 200);
                    assert_eq!(
                        header("access-control-allow-methods").as_deref(),
                        Some("get,post")
                    );
                    for name in ["authorization", "content-type"] {
                        assert!(
                            header("access-control-allow-headers")
                                .unwrap()
                                .contains(name)
                        );
                    }
                } else if expected.is_some() {
                    assert!(
                        header("access-control-expose-headers")
                            .unwrap()
                            .contains("x-request-id")
                    );
                }
            }
        }
    }

    async fn pages_send_the_usual_headers_and_those_that_are_configured(server: Server) {
        let start = |flags: &'static [&'static str]| {
            Server::start(server.storage.clone(), flags, server.clock.clone())
        };
        let usual = start(&["--cors-origin", "https://App.example:443"]).await;
        let more = start(&[
            "--cors-origin",
            "https://app.example",
            "--cors-header",
            "x-a, X-B",
            "--cors-header",
            "x-c",
        ])
        .await;
        let any = start(&["--cors-origin", "*", "--cors-header", "*"]).await;
        for (server, header, allowed) in [
            (&usual, "cache-control", true),
            (&usual, "traceparent", true),
            (&usual, "tracestate", true),
            (&usual, "baggage", true),
            (&usual, "sentry-trace", true),
            (&usual, "apollographql-client-name", true),
            (&usual, "apollographql-client-version", true),
            (&usual, "apollo-require-preflight", true),
            (&usual, "x-apollo-operation-name", true),
            (&usual, "graphql-preflight", true),
            (&usual, "x-request-id", true),
            (&usual, "if-none-match", true),
            (&usual, "last-event-id", true),
            (&usual, "graphql-cost", true),
            (&usual, "accept", true),
            (&usual, "x-a", false),
            (&usual, "cookie", false),
            (&usual, "x-forwarded-host", false),
            (&more, "x-a", true),
            (&more, "x-b", true),
            (&more, "x-c", true),
            (&more, "baggage", true),
            (&more, "x-d", false),
            (&any, "*", true),
            (&any, "authorization", true),
        ] {
            let preflight = client()
                .request(Method::OPTIONS, format!("{}/graphql", server.url))
                .header("origin", "https://app.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", header);
            let response = preflight.send().await.unwrap();
            let told = response.headers()["access-control-allow-headers"]
                .to_str()
                .unwrap()
                .to_ascii_lowercase();
            assert_eq!(
                told.split(',').any(|name| name.trim() == header),
                allowed,
                "{header}: {told}"
            );
        }
    }
}
