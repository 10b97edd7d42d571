//! Caching of GET responses, and 304 for cached ones.

use reqwest::{RequestBuilder, Response, header::HeaderMap};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    on_both,
    support::{
        harness::{Server, client},
        mutations::{CREATE, WRITE, mutation},
    },
};

const LIST: &str = "query={personalConnectors{totalCount,nodes{name}}}";
const VARY: &str = "accept, accept-encoding, authorization, graphql-cost";
const PUBLIC: &str = "public, no-cache";
const PRIVATE: &str = "private, no-cache";

fn get(server: &Server, query: &str, token: &str) -> RequestBuilder {
    let request = client().get(format!("{}/graphql?{query}", server.url));
    match token {
        "" => request,
        token => request.bearer_auth(token),
    }
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

/// Returns all values of a header as one list.
fn header(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
    values.join(", ")
}

/// Returns the `ETag` of a response with this `cache_control`.
async fn etag(request: RequestBuilder, cache_control: &str) -> String {
    let response = send(request).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(header(headers, "cache-control"), cache_control);
    assert_eq!(header(headers, "vary"), VARY);
    let etag = header(headers, "etag");
    assert!(
        etag.starts_with("W/\"") && etag.len() == "W/\"\"".len() + 22,
        "{etag}"
    );
    etag
}

on_both! {
    async fn what_is_still_the_same_is_not_sent_again(server: Server) {
        let etag = etag(get(&server, LIST, ""), PUBLIC).await;
        let strong = etag.strip_prefix("W/").unwrap();
        for (known, is_known) in [
            (vec![etag.as_str()], true),
            (vec![strong], true),
            (vec!["*"], true),
            (vec![&format!("\"a,\\\", W/\"b\" ,,{etag}")], true),
            (vec!["\"a\"", strong], true),
            (vec!["W/\"a\""], false),
            (vec![strong.trim_matches('"')], false),
            (vec![&etag.to_lowercase()], false),
            (vec![""], false),
            (vec!["*, \"a\""], false),
            (vec![&etag[..etag.len() - 1]], false),
            (vec!["\u{e9}"], false),
            (vec![], false),
        ] {
            let request = known.iter().fold(get(&server, LIST, ""), |request, known| {
                request.header("if-none-match", *known)
            });
            let response = send(request).await;
            let headers = response.headers().clone();
            assert_eq!(
                response.status(),
                if is_known { 304 } else { 200 },
                "{known:?}"
            );
            for (name, expected) in [
                ("etag", etag.as_str()),
                ("cache-control", PUBLIC),
                ("vary", VARY),
            ] {
                assert_eq!(header(&headers, name), expected, "{known:?}");
            }
            assert_eq!(headers.contains_key("content-type"), !is_known);
            assert_eq!(response.bytes().await.unwrap().is_empty(), is_known);
        }
        // POST changes data, so its responses are neither compared nor cached.
        let body = json!({ "query": "{personalConnectors{totalCount,nodes{name}}}" }).to_string();
        let post = client()
            .post(format!("{}/graphql", server.url))
            .header("content-type", "application/json")
            .body(body);
        let response = send(post.header("if-none-match", "*")).await;
        assert_eq!(
            (
                response.status().as_u16(),
                header(response.headers(), "cache-control").as_str()
            ),
            (200, "no-store")
        );
        assert!(!response.headers().contains_key("etag"));
    }

    async fn a_change_is_seen_at_once_by_who_may_see_it(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", WRITE),
        );
        let of_anyone = etag(get(&server, LIST, ""), PUBLIC).await;
        let of_ann = etag(get(&server, LIST, &ann), PRIVATE).await;
        let input = json!({ "input": { "name": "Mine", "serverUrl": "https://e.co" } });
        server.data(&ann, &mutation(CREATE), input).await;
        for (token, known, status) in [
            ("", &of_anyone, 304),
            (bob.as_str(), &of_ann, 304),
            (ann.as_str(), &of_ann, 200),
            (ann.as_str(), &of_anyone, 200),
        ] {
            let response = send(get(&server, LIST, token).header("if-none-match", known)).await;
            assert_eq!(response.status(), status);
            assert_eq!(
                header(response.headers(), "cache-control"),
                if token.is_empty() { PUBLIC } else { PRIVATE }
            );
        }
        assert_ne!(etag(get(&server, LIST, &ann), PRIVATE).await, of_ann);
    }

    async fn errors_are_not_kept(server: Server) {
        let token = server.token("ann@acme", WRITE);
        for (query, token, accept, status) in [
            ("", "", "*/*", 400),
            ("query={", "", "*/*", 200),
            ("query={nope}", "", "*/*", 200),
            ("query={nope}", "", "application/graphql-response+json", 400),
            ("query=mutation{nope}", "", "*/*", 405),
            (LIST, "x", "*/*", 401),
            (LIST, "", "text/html", 406),
            (LIST, token.as_str(), "text/html", 406),
            // The response has data.
            (
                "query={__typename,personalConnector(id:%22pcon_jira%22){id}personalConnectors(first:101){totalCount}}",
                "",
                "*/*",
                200,
            ),
            (
                "query={__typename,personalConnectors(first:101){totalCount}}",
                token.as_str(),
                "*/*",
                200,
            ),
        ] {
            let response = send(
                get(&server, query, token)
                    .header("accept", accept)
                    .header("if-none-match", "*"),
            )
            .await;
            let headers = response.headers();
            assert_eq!(
                (
                    response.status().as_u16(),
                    header(headers, "cache-control").as_str()
                ),
                (status, "no-store"),
                "{query}"
            );
            assert_eq!(
                (header(headers, "vary").as_str(), headers.get("etag")),
                (VARY, None),
                "{query}"
            );
        }
        let server = Server::start(
            server.storage.clone(),
            &["--rate-limit", "1"],
            server.clock.clone(),
        )
        .await;
        let mut last = send(get(&server, LIST, "")).await;
        for _ in 0..2 {
            last = send(get(&server, LIST, "")).await;
        }
        assert_eq!(
            (
                last.status().as_u16(),
                header(last.headers(), "cache-control").as_str()
            ),
            (429, "no-store")
        );
    }

    async fn an_etag_is_of_a_text_and_a_media_type(server: Server) {
        let long = "query={__schema{types{name,description}}}";
        let plain = etag(get(&server, long, ""), PUBLIC).await;
        for coding in ["gzip", "br", "identity"] {
            let request = || get(&server, long, "").header("accept-encoding", coding);
            assert_eq!(etag(request(), PUBLIC).await, plain, "{coding}");
            let response = send(request()).await;
            assert_eq!(
                response.headers().contains_key("content-encoding"),
                coding != "identity"
            );
            let response = send(request().header("if-none-match", &plain)).await;
            assert_eq!(
                (
                    response.status().as_u16(),
                    response.headers().get("content-encoding")
                ),
                (304, None),
                "{coding}"
            );
        }
        for (name, value) in [
            ("accept", "application/graphql-response+json"),
            ("graphql-cost", "report"),
        ] {
            let other = get(&server, long, "").header(name, value);
            assert_ne!(etag(other, PUBLIC).await, plain, "{name}");
        }
    }

    async fn what_differs_by_origin_says_so(server: Server) {
        let start = |flags: &'static [&'static str]| {
            Server::start(server.storage.clone(), flags, server.clock.clone())
        };
        let listed = start(&["--cors-origin", "https://a.example,https://b.example"]).await;
        let open = start(&["--cors-origin", "*"]).await;
        for (server, vary, allowed) in [
            (&server, VARY.to_owned(), ""),
            (&listed, format!("{VARY}, origin"), "https://a.example"),
            (&open, VARY.to_owned(), "*"),
        ] {
            for origin in [None, Some("https://a.example")] {
                for status in [200, 304] {
                    let request = origin
                        .iter()
                        .fold(get(server, LIST, ""), |request, origin| {
                            request.header("origin", *origin)
                        });
                    let response = send(if status == 304 {
                        request.header("if-none-match", "*")
                    } else {
                        request
                    })
                    .await;
                    assert_eq!(response.status(), status);
                    assert_eq!(header(response.headers(), "vary"), vary);
                    let allows = header(response.headers(), "access-control-allow-origin");
                    assert_eq!(
                        allows,
                        if origin.is_some() || allowed == "*" {
                            allowed
                        } else {
                            ""
                        }
                    );
                }
            }
        }
        let preflight = client()
            .request(reqwest::Method::OPTIONS, format!("{}/graphql", listed.url))
            .header("origin", "https://a.example");
        let response = send(
            preflight
                .header("access-control-request-method", "GET")
                .header("access-control-request-headers", "if-none-match"),
        )
        .await;
        assert!(
            header(response.headers(), "access-control-allow-headers").contains("if-none-match")
        );
    }
}

/// A 304 has no content. A `Content-Length` would be that of the content which is not sent (RFC 9110, section 8.6).
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_goes_on_after_304() {
    let server = Server::on_sqlite(&[]).await;
    let mut socket = TcpStream::connect(server.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let ask = |connection: &str| {
        format!(
            "GET /graphql?{LIST} HTTP/1.1\r\nhost: x\r\nif-none-match: *\r\nconnection: {connection}\r\n\r\n"
        )
    };
    let both = ask("keep-alive") + &ask("close");
    socket.write_all(both.as_bytes()).await.unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).await.unwrap();
    assert_eq!(
        answers.matches("HTTP/1.1 304 Not Modified\r\n").count(),
        2,
        "{answers}"
    );
    assert!(!answers.contains("content-length") && !answers.contains("transfer-encoding"));
    assert!(answers.ends_with("\r\n\r\n"), "{answers}");
}
