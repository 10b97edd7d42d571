//! Limits of one operation.

use serde_json::{Value, json};

use crate::support::harness::{Server, client};

/// An introspection query that is as deep as the default one of graphql-js.
const INTROSPECTION: &str = "query IntrospectionQuery {
  __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL
  fields(includeDeprecated: true) {
    name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
  name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
}
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
}";

#[tokio::test(flavor = "multi_thread")]
async fn what_generators_ask_is_answered() {
    let server = Server::on_sqlite(&[]).await;
    let data = server.data("", INTROSPECTION, json!({})).await;
    assert!(data["__schema"]["types"].as_array().unwrap().len() > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_what_is_configured() {
    let server = Server::on_sqlite(&["--max-aliases", "3"]).await;
    let aliases = "{ a: viewer { b: userId c: userId d: userId } }";
    let code = server.error_code("", aliases, json!({})).await;
    assert_eq!(code, "LIMIT_EXCEEDED");
    server
        .data("", "{ a: viewer { b: userId c: userId } }", json!({}))
        .await;
}

/// The library would visit the spread fragments for minutes, and report two million errors for the second document.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_to_validate_is_refused() {
    let server = Server::on_sqlite(&[]).await;
    let spreads = (0..17).fold("{ viewer { ...F0 } }".to_owned(), |document, i| {
        let next = i + 1;
        format!("{document} fragment F{i} on Viewer {{ ...F{next} ...F{next} ...F{next} }}")
    });
    let arguments = (0..500).fold(String::new(), |all, i| format!("{all} a{i}: 1"));
    let fields = format!("{{ viewer({arguments}) {} }}", "viewer ".repeat(4000));
    for (document, code) in [
        (spreads, "LIMIT_EXCEEDED"),
        (fields, "GRAPHQL_VALIDATION_FAILED"),
    ] {
        assert_eq!(server.error_code("", &document, json!({})).await, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_told_only_where_it_may_be() {
    let told = Server::on_sqlite(&[]).await;
    let silent = Server::on_sqlite(&["--introspection", "false"]).await;
    for (document, suggestion) in [
        ("{ viewr { userId } }", "viewer"),
        (
            "{ personalConnectors(filtr: {}) { nodes { id } } }",
            "filter",
        ),
        // Validated in its original and in its executed form.
        (
            "query($s: String) { personalConnectors(search: $s) { node { id } } }",
            "nodes",
        ),
    ] {
        let message = async |server: &Server| {
            let answer = server.execute("", document, json!({})).await;
            answer["errors"][0]["message"].as_str().unwrap().to_owned()
        };
        let suggestion = format!("Did you mean \"{suggestion}\"?");
        assert!(message(&told).await.contains(&suggestion), "{document}");
        assert!(
            !message(&silent).await.contains("Did you mean"),
            "{document}"
        );
    }
    for document in [INTROSPECTION, "{ __type(name: \"Query\") { name } }"] {
        told.data("", document, json!({})).await;
        let code = silent.error_code("", document, json!({})).await;
        assert_eq!(code, "GRAPHQL_VALIDATION_FAILED");
    }
    let data = silent
        .data("", "{ __typename viewer { __typename } }", json!({}))
        .await;
    assert_eq!(
        data,
        json!({ "__typename": "Query", "viewer": { "__typename": "Viewer" } })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operation_costs_is_told_when_asked() {
    let server = Server::on_sqlite(&["--max-complexity", "50"]).await;
    let cost = |complexity: u64, depth: u64, fields: u64| {
        json!({
            "depth": { "requested": depth, "limit": 20 },
            "fields": { "requested": fields, "limit": 5000 },
            "complexity": { "requested": complexity, "limit": 50 },
            "aliases": { "requested": 0, "limit": 100 },
            "directives": { "requested": 0, "limit": 100 },
            "changedConnectors": { "requested": 0, "limit": 500 },
        })
    };
    for (query, header, status, code, mut expected) in [
        (
            "{ viewer { userId } }",
            Some("report"),
            200,
            None,
            cost(2, 2, 2),
        ),
        (
            "{ viewer { userId } }",
            Some("REPORT"),
            200,
            None,
            cost(2, 2, 2),
        ),
        ("{ viewer { userId } }", None, 200, None, json!(null)),
        (
            "{ personalConnectors(first: 25) { nodes { id } } }",
            Some("report"),
            400,
            Some("LIMIT_EXCEEDED"),
            cost(51, 3, 3),
        ),
        (
            "{ personalConnectors(first: 101) { __typename } }",
            Some("report"),
            400,
            Some("LIMIT_EXCEEDED"),
            cost(102, 2, 2),
        ),
        (
            "{ personalConnectors(first: -1) { __typename } }",
            Some("report"),
            200,
            Some("BAD_USER_INPUT"),
            cost(2, 2, 2),
        ),
        (
            "{ viewer { nothing } }",
            Some("report"),
            400,
            Some("GRAPHQL_VALIDATION_FAILED"),
            cost(2, 2, 2),
        ),
        (
            "{ personalConnectors(first: 25) { nodes { id } } }",
            None,
            400,
            Some("LIMIT_EXCEEDED"),
            json!(null),
        ),
        (
            "{",
            Some("report"),
            400,
            Some("GRAPHQL_PARSE_FAILED"),
            json!(null),
        ),
        (
            "{ viewer { userId } }",
            Some("true"),
            400,
            Some("BAD_REQUEST"),
            json!(null),
        ),
    ] {
        if expected.is_object() {
            // One for the argument, if the query has one.
            let values = u64::from(query.contains('('));
            expected["values"] = json!({ "requested": values, "limit": 12_000 });
        }
        let mut request = client()
            .post(format!("{}/graphql", server.url))
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json")
            .body(json!({ "query": query }).to_string());
        if let Some(header) = header {
            request = request.header("graphql-cost", header);
        }
        let response = request.send().await.unwrap();
        let got = response.status().as_u16();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let told = answer["errors"][0]["extensions"]["code"].as_str();
        assert_eq!((got, told), (status, code), "{query}: {answer}");
        assert_eq!(answer["extensions"]["cost"], expected, "{query} {header:?}");
        assert_eq!(answer.get("extensions").is_some(), !expected.is_null());
    }
}

/// Returns the number of cached and of parsed documents, from the metrics.
async fn documents(server: &Server) -> (u64, u64) {
    let metrics = client().get(format!("{}/metrics", server.url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let number = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    (
        number("graphql_documents_found_total"),
        number("graphql_documents_parsed_total"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_parsed_once() {
    let query = "query($n: String, $b: Boolean! = true) {
        personalConnectors(search: $n, first: 1) @include(if: $b) { nodes { id } }
    }";
    for (mib, expected) in [("1", (4, 1)), ("0", (0, 5))] {
        let server = Server::on_sqlite(&["--document-cache-mb", mib]).await;
        for (variables, id) in [
            (json!({ "n": "github" }), json!(["pcon_github"])),
            // Omitted for this request, but not in the cached document.
            (json!({}), json!(["pcon_clickup"])),
            (json!({ "n": "figma" }), json!(["pcon_figma"])),
            (json!({ "n": null }), json!(["pcon_clickup"])),
            (json!({ "b": false }), json!([])),
        ] {
            let data = server.data("", query, variables.clone()).await;
            let nodes = data["personalConnectors"]["nodes"].as_array();
            let ids: Vec<_> = nodes
                .into_iter()
                .flatten()
                .map(|node| node["id"].clone())
                .collect();
            assert_eq!(json!(ids), id, "{variables}");
        }
        // A document that cannot be parsed is not cached.
        for _ in 0..2 {
            server.error_code("", "{", json!({})).await;
        }
        assert_eq!(documents(&server).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_documents_are_of_bounded_size() {
    let server = Server::on_sqlite(&["--document-cache-mb", "1"]).await;
    for i in 0..200 {
        let fields = "userId ".repeat(50);
        let document = format!("query Q{i} {{ viewer {{ {fields} }} }}");
        server.data("", &document, json!({})).await;
    }
    let metrics = client().get(format!("{}/metrics", server.url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let kept = metrics
        .lines()
        .find_map(|line| line.strip_prefix("graphql_documents_kept_bytes "));
    let kept: u64 = kept.unwrap().parse().unwrap();
    assert!((100_000..=1 << 20).contains(&kept), "{kept}");
}
