//! Documents requested by id: automatic persisted queries and trusted documents.

use std::fs;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    harness::{Server, TestDatabase, client},
    mutations::{CREATE, WRITE, mutation},
    process::{program_on, run},
};

const NODE: &str = "query Node($id: ID!) { node(id: $id) { id } }";
const GRAPHQL: &str = "application/graphql-response+json";

fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

fn persisted(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

async fn answer(response: Response) -> (u16, HeaderMap, Value) {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, headers, answer)
}

/// Returns the responses to a request by POST and by GET. In a URL, values other than strings are JSON.
async fn ask(server: &Server, request: &Value, accept: &str) -> [(u16, HeaderMap, Value); 2] {
    let url = format!("{}/graphql", server.url);
    let post = server.request("", request.to_string());
    let parameters = request.as_object().unwrap().iter().map(|(key, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("{key}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    });
    let get = client().get(format!(
        "{url}?{}",
        parameters.collect::<Vec<_>>().join("&")
    ));
    let [post, get] = [post, get].map(|request| request.header("accept", accept).send());
    [
        answer(post.await.unwrap()).await,
        answer(get.await.unwrap()).await,
    ]
}

/// Returns the status, the code and the message of a refused request; POST and GET must agree.
async fn refused(server: &Server, request: &Value, accept: &str) -> (u16, String, String) {
    let [post, get] = ask(server, request, accept).await.map(|answer| {
        let (status, headers, answer) = answer;
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(answer.get("data"), None, "{answer}");
        let [error] = answer["errors"].as_array().unwrap().as_slice() else {
            panic!("{answer}")
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let code = text(&error["extensions"]["code"]);
        (status, code, text(&error["message"]))
    });
    assert_eq!(post, get, "{request}");
    post
}

/// Returns the data of a request, which is the same by POST and GET.
async fn data(server: &Server, request: &Value) -> Value {
    let [post, get] = ask(server, request, GRAPHQL).await.map(|answer| {
        let (status, _, mut answer) = answer;
        assert_eq!(
            (status, answer.get("errors")),
            (200, None),
            "{request}: {answer}"
        );
        answer["data"].take()
    });
    assert_eq!(post, get, "{request}");
    post
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_stands_for_a_text_that_came_before() {
    let server = Server::on_sqlite(&[]).await;
    let hash = sha256(NODE);
    let variables = json!({ "id": "pcon_jira" });
    let by_hash = json!({ "variables": variables, "extensions": persisted(&hash) });
    let by_id = json!({ "variables": variables, "documentId": format!("sha256:{hash}") });
    // Clients check the message.
    for request in [&by_hash, &by_id] {
        // Apollo iOS would ignore it with status 400.
        for accept in ["application/json", GRAPHQL] {
            let expected = (
                200,
                "PERSISTED_QUERY_NOT_FOUND".to_owned(),
                "PersistedQueryNotFound".to_owned(),
            );
            assert_eq!(refused(&server, request, accept).await, expected);
        }
    }
    let with_text =
        json!({ "query": NODE, "variables": variables, "extensions": persisted(&hash) });
    let expected = json!({ "node": { "id": "pcon_jira" } });
    let bare_id = json!({ "variables": variables, "documentId": hash, "operationName": "Node" });
    for request in [&with_text, &by_hash, &by_id, &bare_id] {
        assert_eq!(data(&server, request).await, expected, "{request}");
    }
    // The document is cached, and not its parameters.
    let other = json!({ "variables": { "id": "pcon_figma" }, "extensions": persisted(&hash) });
    assert_eq!(data(&server, &other).await["node"]["id"], "pcon_figma");
    let none = json!({ "extensions": persisted(&hash) });
    let (status, code, _) = refused(&server, &none, GRAPHQL).await;
    assert_eq!((status, code.as_str()), (400, "GRAPHQL_VALIDATION_FAILED"));
    // A text without its hash is cached too.
    let alone = "{ viewer { userId } }";
    server.data("", alone, json!({})).await;
    let by_hash = json!({ "extensions": persisted(&sha256(alone)) });
    assert_eq!(
        data(&server, &by_hash).await,
        json!({ "viewer": { "userId": null } })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_changes_nothing_of_what_may_be_done() {
    let server = Server::on_sqlite(&[]).await;
    let dear = "query($n: Int) { personalConnectors(first: $n) { nodes { id } } }";
    server.data("", dear, json!({ "n": 1 })).await;
    let request =
        json!({ "variables": { "n": 1_000_000 }, "extensions": persisted(&sha256(dear)) });
    let (status, code, _) = refused(&server, &request, GRAPHQL).await;
    assert_eq!((status, code.as_str()), (400, "LIMIT_EXCEEDED"));

    let create = mutation(CREATE);
    let token = server.token("ann@acme", WRITE);
    let input =
        json!({ "input": { "name": "A", "serverUrl": "https://e.co", "validateOnly": true } });
    server.data(&token, &create, input.clone()).await;
    let request = json!({ "variables": input, "extensions": persisted(&sha256(&create)) });
    let [post, get] = ask(&server, &request, GRAPHQL).await;
    assert_eq!(post.2["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!((get.0, &get.1["allow"]), (405, &"POST".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_is_of_its_text() {
    let server = Server::on_sqlite(&[]).await;
    let (right, wrong) = (sha256(NODE), sha256("{ __typename }"));
    let variables = json!({ "id": "pcon_jira" });
    for hash in [&wrong, &right.to_uppercase(), &right[1..], ""] {
        let request =
            json!({ "query": NODE, "variables": variables, "extensions": persisted(hash) });
        let (status, code, message) = refused(&server, &request, "*/*").await;
        assert_eq!((status, code.as_str()), (400, "BAD_REQUEST"), "{hash}");
        assert!(
            message.contains("provided sha does not match query"),
            "{message}"
        );
    }
    // The refused document is not cached under either hash, and neither is an invalid one.
    server.error_code("", "{", json!({})).await;
    for hash in [&right, &wrong, &sha256("{")] {
        let request = json!({ "extensions": persisted(hash) });
        assert_eq!(
            refused(&server, &request, "*/*").await.1,
            "PERSISTED_QUERY_NOT_FOUND"
        );
    }
    for request in [
        json!({ "documentId": "Node" }),
        json!({ "documentId": "" }),
        json!({ "documentId": format!("sha256:{}", right.to_uppercase()) }),
        json!({ "documentId": format!("md5:{right}") }),
        json!({ "extensions": persisted(&right[1..]) }),
        json!({ "extensions": persisted(&format!("{right}0")) }),
    ] {
        let (status, code, message) = refused(&server, &request, "*/*").await;
        assert_eq!((status, code.as_str()), (400, "BAD_REQUEST"), "{request}");
        assert!(
            message.contains("64 lowercase hexadecimal digits"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_no_documents_says_so() {
    let server = Server::on_sqlite(&["--document-cache-mb", "0"]).await;
    let with_text = json!({ "query": NODE, "variables": { "id": "pcon_jira" },
        "extensions": persisted(&sha256(NODE)) });
    let by_hash = json!({ "extensions": persisted(&sha256(NODE)) });
    for _ in 0..2 {
        let expected = (
            200,
            "PERSISTED_QUERY_NOT_SUPPORTED".to_owned(),
            "PersistedQueryNotSupported".to_owned(),
        );
        for accept in ["*/*", GRAPHQL] {
            assert_eq!(refused(&server, &by_hash, accept).await, expected);
        }
        assert_eq!(data(&server, &with_text).await["node"]["id"], "pcon_jira");
    }
}

const VIEWER: &str = "query Viewer { viewer { userId } }\n";
const TWO: &str = "query A { __typename } query B { viewer { userId } }";

#[tokio::test(flavor = "multi_thread")]
async fn only_trusted_documents_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("persisted-documents.json");
    let create = mutation(CREATE);
    // Ids in the forms of Relay (MD5), GraphQL Code Generator (SHA-1) and the appendix, and others.
    let (md5, sha1) = (
        "1f3870be274f6c49b3e31a0c6728957f",
        "d0be2dc421be4fcd0172e5afceea3970e2f3d940",
    );
    let node_id = format!("sha256:{}", sha256(NODE));
    let manifest = json!({ md5: VIEWER, sha1: TWO, node_id.as_str(): NODE, "create.v1": create, "again": NODE });
    fs::write(&file, manifest.to_string()).unwrap();
    let server = Server::on_sqlite(&["--trusted-documents", file.to_str().unwrap()]).await;

    let (viewer, typename) = (
        json!({ "viewer": { "userId": null } }),
        json!({ "__typename": "Query" }),
    );
    let node = json!({ "node": { "id": "pcon_jira" } });
    let id = json!({ "id": "pcon_jira" });
    for (request, expected) in [
        (json!({ "documentId": md5 }), &viewer),
        (json!({ "extensions": persisted(md5) }), &viewer),
        (json!({ "documentId": sha256(VIEWER) }), &viewer),
        (
            json!({ "documentId": format!("sha256:{}", sha256(VIEWER)) }),
            &viewer,
        ),
        (json!({ "query": VIEWER }), &viewer),
        (
            json!({ "query": VIEWER, "extensions": persisted(&sha256(VIEWER)) }),
            &viewer,
        ),
        (json!({ "documentId": sha1, "operationName": "B" }), &viewer),
        (
            json!({ "documentId": sha1, "operationName": "A" }),
            &typename,
        ),
        (json!({ "documentId": node_id, "variables": id }), &node),
        (
            json!({ "extensions": persisted(&sha256(NODE)), "variables": id }),
            &node,
        ),
        (json!({ "documentId": "again", "variables": id }), &node),
    ] {
        assert_eq!(data(&server, &request).await, *expected, "{request}");
    }

    let other = "{ viewer { userId } }";
    for request in [
        json!({ "query": other }),
        json!({ "query": VIEWER.trim_end() }),
        json!({ "query": format!("{NODE}#") }),
        json!({ "query": "" }),
        // This document is not even parsed.
        json!({ "query": "{" }),
        json!({ "query": "{ __schema { types { name } } }" }),
        json!({ "query": other, "extensions": persisted(&sha256(other)) }),
        json!({ "extensions": persisted(&sha256(other)) }),
        json!({ "documentId": "nope" }),
        json!({ "documentId": "" }),
        json!({ "documentId": &md5[1..] }),
        json!({ "documentId": md5.to_uppercase() }),
    ] {
        for (accept, expected) in [("application/json", 200), (GRAPHQL, 400)] {
            let (status, code, message) = refused(&server, &request, accept).await;
            assert_eq!(
                (status, code.as_str()),
                (expected, "DOCUMENT_NOT_TRUSTED"),
                "{request}"
            );
            assert!(message.contains("documentId"), "{message}");
        }
    }
    let request = json!({ "query": VIEWER, "extensions": persisted(&sha256(NODE)) });
    assert_eq!(refused(&server, &request, "*/*").await.1, "BAD_REQUEST");

    let input = json!({ "name": "A", "serverUrl": "https://e.co" });
    let request = json!({ "documentId": "create.v1", "variables": { "input": input } });
    let [post, get] = ask(&server, &request, GRAPHQL).await;
    assert_eq!(post.2["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!((get.0, &get.1["allow"]), (405, &"POST".parse().unwrap()));
    let token = server.token("ann@acme", WRITE);
    let (_, answer) = server.post(&token, request.to_string()).await;
    assert_eq!(answer["data"][CREATE]["userErrors"], json!([]), "{answer}");
}

/// Documents of an earlier schema with names that were removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_before_is_told_what_is_gone() {
    const FACETS: &str =
        "{ personalConnectors { facets { status { ... on StatusFacet { count } } } } }";
    const HISTORY: &str = "{ personalConnectors { nodes { health { history { outcome } } } } }";
    const RETIRED: &str = "{ personalConnectors(filter: {status: RETIRED}) { totalCount } }";
    const INPUT: &str = "{ personalConnectors(filter: {gone: 1}) { totalCount } }";
    let gone = [
        (FACETS, "StatusFacet"),
        (RETIRED, "filter.status must be one of ACTIVE"),
        (INPUT, "filter has no field gone"),
        (HISTORY, "\"outcome\" on type \"ConnectorCheckConnection\""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifest.json");
    let manifest = json!({
        "viewer": VIEWER, "facets": FACETS, "history": HISTORY, "retired": RETIRED, "input": INPUT,
    });
    fs::write(&file, manifest.to_string()).unwrap();
    let trusted = Server::on_sqlite(&["--trusted-documents", file.to_str().unwrap()]).await;
    let viewer = data(&trusted, &json!({ "documentId": "viewer" })).await;
    assert_eq!(viewer, json!({ "viewer": { "userId": null } }));
    let open = Server::on_sqlite(&[]).await;
    for (text, name) in gone {
        let hash = json!({ "documentId": sha256(text) });
        let persisted = json!({ "query": text, "extensions": persisted(&sha256(text)) });
        for server in [&trusted, &open] {
            for request in [&persisted, &hash] {
                for (accept, expected) in [("application/json", 200), (GRAPHQL, 400)] {
                    let (status, code, message) = refused(server, request, accept).await;
                    assert_eq!(
                        (status, code.as_str()),
                        (expected, "GRAPHQL_VALIDATION_FAILED")
                    );
                    assert!(message.contains(name), "{message}");
                }
            }
        }
    }
}

#[test]
fn a_manifest_is_checked_at_the_start() {
    let storage = TestDatabase::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifest.json");
    let file = file.to_str().unwrap();
    let circle = "{ ...A } fragment A on Query { ...A }";
    let wide = format!("{{ viewer {{ {} }} }}", "userId ".repeat(60));
    let spread = format!(
        "{{ {} }} fragment A on Query {{ viewer {{ userId organizationId scopes }} }}",
        "...A ".repeat(10)
    );
    for (manifest, expected) in [
        (
            String::new(),
            "expected a JSON object of documents by their ids",
        ),
        (
            "[]".to_owned(),
            "expected a JSON object of documents by their ids",
        ),
        (
            r#"{"a": {"text": ""}}"#.to_owned(),
            "a: expected a document's text",
        ),
        (json!({ "a": NODE, "b": "{" }).to_string(), "b: "),
        (json!({ "b": "" }).to_string(), "b: "),
        (
            json!({ "b": "{ nope }" }).to_string(),
            "b: Unknown field \"nope\" on type \"Query\".",
        ),
        (
            json!({ "b": "query A { __typename } query B { nope }" }).to_string(),
            "b: Unknown field",
        ),
        (
            json!({ "b": "query($id: Nope) { node(id: $id) { id } }" }).to_string(),
            "b: Unknown type \"Nope\"",
        ),
        (
            json!({ "b": "{ personalConnectors(filter: {type: NOPE}) { totalCount } }" })
                .to_string(),
            "b: filter.type must be one of",
        ),
        (
            json!({ "b": circle }).to_string(),
            "b: the fragment A spreads itself",
        ),
        (
            json!({ "b": wide }).to_string(),
            "b: the document must have at most 60 tokens",
        ),
        (
            json!({ "b": spread }).to_string(),
            "b: an operation must have at most 30 fields",
        ),
        (
            json!({ "b": "{ __schema { types { name } } }" }).to_string(),
            "b: __schema is not available: introspection is switched off",
        ),
        (
            format!(
                r#"{{"b": "{{ __typename }}", "sha256:b": {}}}"#,
                json!(VIEWER)
            ),
            "sha256:b: there are two documents of this id",
        ),
    ] {
        fs::write(file, &manifest).unwrap();
        let flags = [
            "--trusted-documents",
            file,
            "--max-tokens",
            "60",
            "--max-fields",
            "30",
            "--introspection",
            "false",
        ];
        let refused = run(program_on(&storage, &flags));
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (Some(1), ""),
            "{manifest}"
        );
        let expected = format!("error: --trusted-documents {file}: {expected}");
        assert!(
            refused.err.contains(&expected),
            "{manifest}: {}",
            refused.err
        );
    }
}
