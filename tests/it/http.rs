//! `POST /graphql` before anything is executed: statuses, headers, and no `data`.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    change::WRITE,
    harness::{Server, client, timestamp},
    on_both,
};

const QUERY: &str = r#"{"query":"{ viewer { userId } }"}"#;

fn request(server: &Server) -> RequestBuilder {
    client().post(format!("{}/graphql", server.url))
}

/// The status and the code of an answer that has errors and no `data`, and its header of a name.
async fn refused(request: RequestBuilder, header: &str) -> (u16, String, Option<String>) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
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
        for content_type in ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8"] {
            let response = request(&server).header(CONTENT_TYPE, content_type).body(QUERY).send().await.unwrap();
            assert_eq!(response.status(), 200, "{content_type}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(answer, json!({ "data": { "viewer": { "userId": null } } }));
        }
        // What a browser sends across sites without asking first is not taken.
        for content_types in [
            &[][..], &["text/plain"], &["text/plain; application/json"], &["application/x-www-form-urlencoded"], &["multipart/form-data; boundary=x"],
            &["application/json", "text/plain"], &["application/json", "application/json"], &["application/json; charset=utf-16"],
            &["application/json; charset=latin1"], &["application/jsonp"], &["application/graphql"], &["*/*"], &[""],
        ] {
            let request = content_types.iter().fold(request(&server).body(QUERY), |request, content_type| request.header(CONTENT_TYPE, *content_type));
            let (status, code, _) = refused(request, "allow").await;
            assert_eq!((status, code.as_str()), (415, "BAD_REQUEST"), "{content_types:?}");
        }
    }

    async fn what_is_no_request_is_malformed(server: Server) {
        for body in [
            &b""[..], b"{", b"null", b"1", b"\"{ viewer { userId } }\"", b"[]", b"[{\"query\":\"{ viewer { userId } }\"}]", b"{}", b"{\"query\":null}",
            b"{\"query\":1}", b"{\"query\":\"{ viewer { userId } }\",\"variables\":[]}", b"{\"query\":\"{ viewer { userId } }\",\"variables\":\"{}\"}",
            b"{\"query\":\"{ viewer { userId } }\",\"operationName\":1}", b"{\"query\":\"{ viewer { userId } }\",\"extensions\":[]}",
            b"{\"query\":\"{ viewer { userId } }\"} x", b"{\"query\":\"\xff\"}", b"{\"query\":\"\\ud800\"}", b"query={viewer{userId}}",
        ] {
            let request = request(&server).header(CONTENT_TYPE, "application/json").body(body);
            let (status, code, _) = refused(request, "allow").await;
            assert_eq!((status, code.as_str()), (400, "BAD_REQUEST"), "{}", String::from_utf8_lossy(body));
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
        let server = Server::start(server.storage.clone(), &["--max-body-bytes", "2000"], server.clock.clone()).await;
        let body = |bytes: usize| format!("{}{QUERY}", " ".repeat(bytes - QUERY.len()));
        assert_eq!(server.post("", body(2000)).await.0, 200);
        let (status, code, _) = refused(request(&server).header(CONTENT_TYPE, "application/json").body(body(2001)), "allow").await;
        assert_eq!((status, code.as_str()), (413, "LIMIT_EXCEEDED"));
    }

    async fn a_bad_token_is_never_anonymous(server: Server) {
        let good = server.token("ann@acme", WRITE);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let post = || request(&server).header(CONTENT_TYPE, "application/json").body(QUERY);
        let invalid = Some(r#"Bearer error="invalid_token""#);
        for (headers, expected) in [
            (vec!["Bearer x".to_owned()], invalid),
            (vec![format!("Bearer {head}.{}", signature.chars().rev().collect::<String>())], invalid),
            (vec![format!("Bearer {head}.")], invalid),
            (vec!["Bearer".to_owned()], Some(r#"Bearer error="invalid_request""#)),
            (vec![format!("Bearer {good}, Bearer {good}")], Some(r#"Bearer error="invalid_request""#)),
            (vec![format!("Bearer {good}"); 2], Some(r#"Bearer error="invalid_request""#)),
            (vec!["Basic YW5uOmFubg==".to_owned()], Some("Bearer")),
            (vec![String::new()], Some("Bearer")),
            (vec![good.clone()], Some("Bearer")),
        ] {
            let request = headers.iter().fold(post(), |request, header| request.header("authorization", header));
            let (status, code, challenge) = refused(request, "www-authenticate").await;
            assert_eq!((status, code.as_str()), (401, "UNAUTHENTICATED"), "{headers:?}");
            assert!(challenge.as_deref().unwrap().starts_with(expected.unwrap()), "{headers:?}: {challenge:?}");
            assert!(!challenge.unwrap().contains(signature));
        }
        // Before the body is looked at.
        let (status, ..) = refused(request(&server).header(CONTENT_TYPE, "application/json").bearer_auth("x").body("{"), "allow").await;
        assert_eq!(status, 401);
        assert_eq!(server.data(&good, "{ viewer { userId } }", json!({})).await["viewer"]["userId"], "ann");
        server.clock.set(timestamp("2026-11-22T10:00:00Z"));
        let (status, code, challenge) = refused(post().bearer_auth(&good), "www-authenticate").await;
        assert_eq!((status, code.as_str()), (401, "UNAUTHENTICATED"));
        assert_eq!(challenge.as_deref(), Some(r#"Bearer error="invalid_token", error_description="the token has expired""#));
    }

    async fn anonymous_reading_can_be_switched_off(server: Server) {
        let server = Server::start(server.storage.clone(), &["--anonymous-read", "false"], server.clock.clone()).await;
        let (status, code, challenge) = refused(request(&server).header(CONTENT_TYPE, "application/json").body(QUERY), "www-authenticate").await;
        assert_eq!((status, code.as_str(), challenge.as_deref()), (401, "UNAUTHENTICATED", Some("Bearer")));
        let token = server.token("ann@acme", &[]);
        assert_eq!(server.data(&token, "{ personalConnectors { totalCount } }", json!({})).await["personalConnectors"]["totalCount"], 5);
    }

    async fn other_methods_are_told_which(server: Server) {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let request = client().request(method.clone(), format!("{}/graphql", server.url)).header(CONTENT_TYPE, "application/json").body(QUERY);
            let (status, code, allow) = refused(request, "allow").await;
            assert_eq!((status, code.as_str()), (405, "BAD_REQUEST"), "{method}");
            assert!(allow.unwrap().contains("POST"));
        }
    }

    async fn errors_before_execution_have_no_data(server: Server) {
        for (query, code) in [
            ("{", "GRAPHQL_PARSE_FAILED"), ("", "GRAPHQL_PARSE_FAILED"), ("{ viewer { nope } }", "GRAPHQL_VALIDATION_FAILED"),
            ("query A { viewer { userId } } query B { viewer { userId } }", "GRAPHQL_VALIDATION_FAILED"),
            ("subscription { x }", "GRAPHQL_VALIDATION_FAILED"),
        ] {
            let answer = server.execute("", query, json!({})).await;
            assert_eq!(answer.get("data"), None, "{query}: {answer}");
            for error in answer["errors"].as_array().unwrap() {
                assert_eq!(error["extensions"]["code"], code, "{query}");
            }
        }
        let body = json!({ "query": "query A { viewer { userId } }", "operationName": "B" });
        let (_, answer) = server.post("", body.to_string()).await;
        assert_eq!((answer.get("data"), &answer["errors"][0]["extensions"]["code"]), (None, &json!("GRAPHQL_VALIDATION_FAILED")));
    }

    async fn a_body_that_stops_holds_nobody_up(server: Server) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = server.url.strip_prefix("http://").unwrap();
        let mut half = tokio::net::TcpStream::connect(address).await.unwrap();
        half.write_all(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
        assert_eq!(server.post("", QUERY).await.0, 200);
        half.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), half.read_to_end(&mut answer)).await.unwrap();
    }
}
