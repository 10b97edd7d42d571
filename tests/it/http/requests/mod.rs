//! `/graphql` before execution: statuses, headers, and no `data`.

mod origins;
mod responses;
mod tokens;

use crate::{
    on_both,
    support::{
        harness::{Server, client},
        mutations::WRITE,
    },
};
use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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
}
