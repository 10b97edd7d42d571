//! `/graphql` before execution: statuses, headers, and no `data`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    on_both,
    support::{
        harness::{Server, client, timestamp},
        mutations::{CREATE, WRITE, mutation},
    },
};

const JSON: &str = "application/json; charset=utf-8";

const QUERY: &str = r#"{"query":"{ viewer { userId } }"}"#;

fn request(server: &Server) -> RequestBuilder {
    client().post(format!("{}/graphql", server.url))
}

/// Returns the status and code of a response with errors and without `data`, and one of its headers.
async fn refused(request: RequestBuilder, header: &str) -> (u16, String, Option<String>) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()[CONTENT_TYPE], JSON);
    let header = response.headers().get(header);
    let header = header.map(|value| value.to_str().unwrap().to_owned());
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer.get("data"), None, "{answer}");
    let [error] = answer["errors"].as_array().unwrap().as_slice() else {
        panic!("{answer}")
    };
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let code = error["extensions"]["code"].as_str().unwrap().to_owned();
    (status, code, header)
}

on_both! {
    async fn only_json_is_taken(server: Server) {
        for content_type in [
            "application/json",
            "APPLICATION/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
        ] {
            let response = request(&server)
                .header(CONTENT_TYPE, content_type)
                .body(QUERY)
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 200, "{content_type}");
            assert_eq!(response.headers()[CONTENT_TYPE], JSON);
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(answer, json!({ "data": { "viewer": { "userId": null } } }));
        }
        // Content types that a browser sends across sites without a preflight are refused.
        for content_types in [
            &[][..],
            &["text/plain"],
            &["text/plain; application/json"],
            &["application/x-www-form-urlencoded"],
            &["multipart/form-data; boundary=x"],
            &["application/json", "text/plain"],
            &["application/json", "application/json"],
            &["application/json; charset=utf-16"],
            &["application/json; charset=latin1"],
            &["application/jsonp"],
            &["application/graphql"],
            &["*/*"],
            &[""],
        ] {
            let request = content_types
                .iter()
                .fold(request(&server).body(QUERY), |request, content_type| {
                    request.header(CONTENT_TYPE, *content_type)
                });
            let (status, code, _) = refused(request, "allow").await;
            assert_eq!(
                (status, code.as_str()),
                (415, "BAD_REQUEST"),
                "{content_types:?}"
            );
        }
    }

    async fn what_is_no_request_is_malformed(server: Server) {
        for body in [
            &b""[..],
            b"{",
            b"null",
            b"1",
            b"\"{ viewer { userId } }\"",
            b"[]",
            b"[{\"query\":\"{ viewer { userId } }\"}]",
            b"{}",
            b"{\"query\":null}",
            b"{\"query\":1}",
            b"{\"query\":\"{ viewer { userId } }\",\"variables\":[]}",
            b"{\"query\":\"{ viewer { userId } }\",\"variables\":\"{}\"}",
            b"{\"query\":\"{ viewer { userId } }\",\"operationName\":1}",
            b"{\"query\":\"{ viewer { userId } }\",\"extensions\":[]}",
            b"{\"query\":\"{ viewer { userId } }\"} x",
            b"{\"query\":\"\xff\"}",
            b"{\"query\":\"\\ud800\"}",
            b"query={viewer{userId}}",
        ] {
            let request = request(&server)
                .header(CONTENT_TYPE, "application/json")
                .body(body);
            let (status, code, _) = refused(request, "allow").await;
            assert_eq!(
                (status, code.as_str()),
                (400, "BAD_REQUEST"),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        for body in [
            r#"{"query":"{ viewer { userId } }","variables":null,"operationName":null,"extensions":null}"#,
            r#"{"query":"{ viewer { userId } }","variables":{},"extensions":{"a":1},"unknown":1}"#,
            " \r\n{\"query\":\"{ viewer { userId } }\"}\n",
        ] {
            assert_eq!(server.post("", body).await.0, 200, "{body}");
        }
    }

    async fn a_body_has_a_limit(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--max-body-bytes", "2000"],
            server.clock.clone(),
        )
        .await;
        let body = |bytes: usize| format!("{}{QUERY}", " ".repeat(bytes - QUERY.len()));
        assert_eq!(server.post("", body(2000)).await.0, 200);
        let (status, code, _) = refused(
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .body(body(2001)),
            "allow",
        )
        .await;
        assert_eq!((status, code.as_str()), (413, "LIMIT_EXCEEDED"));
    }

    async fn a_bad_token_is_never_anonymous(server: Server) {
        let good = server.token("ann@acme", WRITE);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let post = || {
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .body(QUERY)
        };
        let invalid = Some(r#"Bearer error="invalid_token""#);
        for (headers, expected) in [
            (vec!["Bearer x".to_owned()], invalid),
            (
                vec![format!(
                    "Bearer {head}.{}",
                    signature.chars().rev().collect::<String>()
                )],
                invalid,
            ),
            (vec![format!("Bearer {head}.")], invalid),
            (
                vec!["Bearer".to_owned()],
                Some(r#"Bearer error="invalid_request""#),
            ),
            (
                vec![format!("Bearer {good}, Bearer {good}")],
                Some(r#"Bearer error="invalid_request""#),
            ),
            (
                vec![format!("Bearer {good}"); 2],
                Some(r#"Bearer error="invalid_request""#),
            ),
            (vec!["Basic YW5uOmFubg==".to_owned()], Some("Bearer")),
            (vec![String::new()], Some("Bearer")),
            (vec![good.clone()], Some("Bearer")),
        ] {
            let request = headers.iter().fold(post(), |request, header| {
                request.header("authorization", header)
            });
            let (status, code, challenge) = refused(request, "www-authenticate").await;
            assert_eq!(
                (status, code.as_str()),
                (401, "UNAUTHENTICATED"),
                "{headers:?}"
            );
            assert!(
                challenge.as_deref().unwrap().starts_with(expected.unwrap()),
                "{headers:?}: {challenge:?}"
            );
            assert!(!challenge.unwrap().contains(signature));
        }
        // This happens before the body is read.
        let (status, ..) = refused(
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .bearer_auth("x")
                .body("{"),
            "allow",
        )
        .await;
        assert_eq!(status, 401);
        assert_eq!(
            server.data(&good, "{ viewer { userId } }", json!({})).await["viewer"]["userId"],
            "ann"
        );
        server.clock.set(timestamp("2026-11-22T10:00:00Z"));
        let (status, code, challenge) =
            refused(post().bearer_auth(&good), "www-authenticate").await;
        assert_eq!((status, code.as_str()), (401, "UNAUTHENTICATED"));
        assert_eq!(
            challenge.as_deref(),
            Some(r#"Bearer error="invalid_token", error_description="the token has expired""#)
        );
    }

    async fn anonymous_reading_can_be_switched_off(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--anonymous-read", "false"],
            server.clock.clone(),
        )
        .await;
        let (status, code, challenge) = refused(
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .body(QUERY),
            "www-authenticate",
        )
        .await;
        assert_eq!(
            (status, code.as_str(), challenge.as_deref()),
            (401, "UNAUTHENTICATED", Some("Bearer"))
        );
        let token = server.token("ann@acme", &[]);
        assert_eq!(
            server
                .data(&token, "{ personalConnectors { totalCount } }", json!({}))
                .await["personalConnectors"]["totalCount"],
            5
        );
    }

    async fn other_methods_are_told_which(server: Server) {
        let url = format!("{}/graphql?query={{viewer{{userId}}}}", server.url);
        for method in [
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
            Method::from_bytes(b"QUERY").unwrap(),
        ] {
            // Other errors of the request do not matter.
            let request = client()
                .request(method.clone(), &url)
                .header("accept", "text/html")
                .bearer_auth("x")
                .body(QUERY);
            let (status, code, allow) = refused(request, "allow").await;
            assert_eq!(
                (status, code.as_str(), allow.as_deref()),
                (405, "BAD_REQUEST", Some("GET, HEAD, POST")),
                "{method}"
            );
        }
    }

    async fn queries_are_read_by_get(server: Server) {
        let get = |query: &str| client().get(format!("{}/graphql?{query}", server.url));
        let token = server.token("ann@acme", WRITE);
        // No content type is needed, and a body is not read.
        for (query, expected) in [
            (
                "query={viewer{userId}}",
                json!({ "viewer": { "userId": "ann" } }),
            ),
            (
                "query=query+A{viewer{userId}}query%20B{__typename}&operationName=B",
                json!({ "__typename": "Query" }),
            ),
            (
                "query=query+A{__typename}mutation+B{__typename}&operationName=A",
                json!({ "__typename": "Query" }),
            ),
            (
                "query={__typename}&operationName=&variables=null&extensions={}&more=1&more=2",
                json!({ "__typename": "Query" }),
            ),
            (
                "query=query($id:ID!){node(id:$id){id}}&variables={%22id%22:%22pcon_jira%22}",
                json!({ "node": { "id": "pcon_jira" } }),
            ),
        ] {
            let response = get(query)
                .bearer_auth(&token)
                .body("{")
                .send()
                .await
                .unwrap();
            let status = response.status();
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(
                (status.as_u16(), answer),
                (200, json!({ "data": expected })),
                "{query}"
            );
        }
        let before = server.written().await;
        for (query, expected) in [
            ("", (400, "BAD_REQUEST", None)),
            ("query=%ff", (400, "BAD_REQUEST", None)),
            ("query={a}&query={a}", (400, "BAD_REQUEST", None)),
            (
                "query={__typename}&variables=[]",
                (400, "BAD_REQUEST", None),
            ),
            (
                "query={__typename}&variables={&extensions=1",
                (400, "BAD_REQUEST", None),
            ),
            ("query={", (200, "GRAPHQL_PARSE_FAILED", None)),
            ("query={nope}", (200, "GRAPHQL_VALIDATION_FAILED", None)),
            (
                "query=query($id:ID!){node(id:$id){id}}",
                (200, "GRAPHQL_VALIDATION_FAILED", None),
            ),
            (
                "query={personalConnectors(first:100000000){nodes{id}}}",
                (200, "LIMIT_EXCEEDED", None),
            ),
            (
                concat!(
                    "query={personalConnectors(first:100){nodes{id,name,type,",
                    "replacedBy{id,replacedBy{id,replacedBy{id,replacedBy{id,a:replacedBy{id}}}}}}}}&operationName=x",
                ),
                (200, "GRAPHQL_VALIDATION_FAILED", None),
            ),
            (
                "query=mutation{deleteCustomConnector(input:{id:%22pcon_jira%22}){deletedId}}",
                (405, "BAD_REQUEST", Some("POST")),
            ),
            (
                "query=query+A{__typename}mutation+B{__typename}&operationName=B",
                (405, "BAD_REQUEST", Some("POST")),
            ),
            ("query=mutation{nope}", (405, "BAD_REQUEST", Some("POST"))),
        ] {
            let (status, code, allow) = refused(get(query).bearer_auth(&token), "allow").await;
            assert_eq!(
                (status, code.as_str(), allow.as_deref()),
                expected,
                "{query}"
            );
        }
        let (status, ..) = refused(get("query={__typename}").bearer_auth("x"), "allow").await;
        assert_eq!(status, 401);
        assert_eq!(server.written().await, before);
    }

    async fn errors_before_execution_have_no_data(server: Server) {
        for (query, code) in [
            ("{", "GRAPHQL_PARSE_FAILED"),
            ("", "GRAPHQL_PARSE_FAILED"),
            ("{ viewer { nope } }", "GRAPHQL_VALIDATION_FAILED"),
            (
                "query A { viewer { userId } } query B { viewer { userId } }",
                "GRAPHQL_VALIDATION_FAILED",
            ),
        ] {
            let answer = server.execute("", query, json!({})).await;
            assert_eq!(answer.get("data"), None, "{query}: {answer}");
            for error in answer["errors"].as_array().unwrap() {
                assert_eq!(error["extensions"]["code"], code, "{query}");
            }
        }
        let body = json!({ "query": "query A { viewer { userId } }", "operationName": "B" });
        let (_, answer) = server.post("", body.to_string()).await;
        assert_eq!(
            (
                answer.get("data"),
                &answer["errors"][0]["extensions"]["code"]
            ),
            (None, &json!("GRAPHQL_VALIDATION_FAILED"))
        );
    }

    async fn operations_are_chosen_by_name(server: Server) {
        let two = "query A { viewer { userId } } query B { __typename }";
        for (query, name, expected) in [
            (two, json!("A"), Ok("viewer")),
            (two, json!("B"), Ok("__typename")),
            ("{ __typename }", json!(null), Ok("__typename")),
            ("{ __typename }", json!(""), Ok("__typename")),
            ("query A { __typename }", json!(""), Ok("__typename")),
            (two, json!(null), Err("name one by operationName")),
            (two, json!(""), Err("name one by operationName")),
            (two, json!("C"), Err("with the name C")),
            (two, json!("a"), Err("with the name a")),
            ("{ __typename }", json!("A"), Err("with the name A")),
        ] {
            let body = json!({ "query": query, "operationName": name });
            let (status, answer) = server.post("", body.to_string()).await;
            assert_eq!(status, 200);
            match expected {
                Ok(field) => assert!(answer["data"].get(field).is_some(), "{body}: {answer}"),
                Err(message) => {
                    assert!(
                        answer["errors"][0]["message"]
                            .as_str()
                            .unwrap()
                            .contains(message),
                        "{body}: {answer}"
                    );
                    assert_eq!(
                        (
                            answer.get("data"),
                            &answer["errors"][0]["extensions"]["code"]
                        ),
                        (None, &json!("GRAPHQL_VALIDATION_FAILED"))
                    );
                }
            }
        }
    }

    async fn a_body_has_the_time_of_a_request(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--request-timeout", "300ms"],
            server.clock.clone(),
        )
        .await;
        let head = "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
        // One body that stops, and one that keeps arriving slowly.
        for length in ["content-length: 1000", "transfer-encoding: chunked"] {
            let mut socket = TcpStream::connect(server.url.strip_prefix("http://").unwrap())
                .await
                .unwrap();
            socket
                .write_all(format!("{head}{length}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let (mut read, mut write) = socket.into_split();
            let dribble = tokio::spawn(async move {
                while length.starts_with('t') && write.write_all(b"1\r\n \r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                std::future::pending::<()>().await;
            });
            assert_eq!(server.post("", QUERY).await.0, 200);
            let mut answer = Vec::new();
            let _ = tokio::time::timeout(Duration::from_secs(5), read.read_to_end(&mut answer))
                .await
                .unwrap();
            dribble.abort();
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{length}: {answer}");
            assert!(
                answer.contains(r#""code":"TIMEOUT""#) && !answer.contains("data"),
                "{length}: {answer}"
            );
        }
    }

    async fn answers_are_compressed_when_asked(server: Server) {
        let ask = |query: &str, encoding: &str| {
            let request = request(&server)
                .header(CONTENT_TYPE, "application/json")
                .header("accept-encoding", encoding);
            request.body(json!({ "query": query }).to_string()).send()
        };
        let (long, short) = (
            "{ __schema { types { name description fields { name } } } }",
            "{ viewer { userId organizationId scopes canCreateCustomConnector } personalConnectors { totalCount } }",
        );
        for (query, encoding, expected) in [
            (long, "gzip", Some("gzip")),
            (long, "br", Some("br")),
            (long, "gzip, br;q=0.5", Some("gzip")),
            (long, "identity", None),
            (long, "", None),
            (long, "zstd, deflate", None),
            (long, "gzip;q=0", None),
            (short, "gzip, br", None),
        ] {
            let response = ask(query, encoding).await.unwrap();
            let header = response
                .headers()
                .get("content-encoding")
                .map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header.as_deref(), expected, "{query} {encoding}");
            let bytes = response.bytes().await.unwrap();
            match expected {
                None => assert!(bytes.starts_with(b"{\"data\":"), "{encoding}"),
                Some("gzip") => assert!(
                    bytes.starts_with(b"\x1f\x8b") && bytes.len() < 8_000,
                    "{encoding}"
                ),
                Some(_) => assert!(
                    !bytes.starts_with(b"{") && bytes.len() < 8_000,
                    "{encoding}"
                ),
            }
        }
    }

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

    async fn every_answer_has_an_id(server: Server) {
        let id = |request: RequestBuilder| async {
            let response = request.send().await.unwrap();
            response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let most = "x".repeat(128);
        for brought in ["a", "0b3c-11/~!", &most] {
            assert_eq!(
                id(request(&server).header("x-request-id", brought)).await,
                brought
            );
        }
        let mut made = Vec::new();
        for path in ["/graphql", "/graphql?query={__typename}", "/nowhere", "/"] {
            let url = format!("{}{path}", server.url);
            for request in [
                client().get(&url),
                client().delete(&url).header("x-request-id", "a b"),
                client()
                    .post(&url)
                    .header("x-request-id", format!("{most}x")),
            ] {
                made.push(id(request).await);
            }
        }
        assert!(
            made.iter()
                .all(|id| id.len() == 26 && id.bytes().all(|b| b.is_ascii_alphanumeric())),
            "{made:?}"
        );
        let count = made.len();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), count);
    }
}

/// The log as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The test has one thread, so that its subscriber sees all events.
#[tokio::test]
async fn an_internal_error_shows_the_id_that_the_log_has() {
    let server = Server::on_sqlite(&[]).await;
    let token = server.token("ann@acme", WRITE);
    server.rows("DROP TABLE personal_connector").await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let create = json!({ "query": mutation(CREATE), "variables": { "input": { "name": "a",
        "serverUrl": "https://e.co" } } });
    for (id, body) in [
        (
            Some("mine-1"),
            r#"{"query":"{ personalConnectors { nodes { id } } }"}"#.to_owned(),
        ),
        (Some("mine-2"), create.to_string()),
        (
            None,
            r#"{"query":"{ node(id: \"pcon_a\") { id } }"}"#.to_owned(),
        ),
    ] {
        log.0.lock().unwrap().clear();
        let mut request = request(&server)
            .bearer_auth(&token)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let response = request.send().await.unwrap();
        let shown = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "INTERNAL", "{answer}");
        assert_eq!(extensions["requestId"], shown.as_str());
        assert_eq!(id.unwrap_or(&shown), shown);
        assert!(
            !answer.to_string().contains("personal_connector"),
            "{answer}"
        );
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = log
            .lines()
            .find(|line| line.contains("internal error"))
            .unwrap();
        assert!(
            line.contains(&format!("request{{id=\"{shown}\"}}")) && line.contains("no such table"),
            "{log}"
        );
    }
}
