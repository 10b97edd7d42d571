//! How much one operation may ask for.

use std::fmt::Write;

use serde_json::json;

use crate::harness::Server;

/// As deep as the one that graphql-js asks by default.
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

/// Three spreads in each of `count` fragments.
fn exponential(count: usize) -> String {
    let mut document = "{ viewer { ...F0 } }".to_owned();
    for i in 0..count {
        let next = i + 1;
        write!(
            document,
            " fragment F{i} on Viewer {{ ...F{next} ...F{next} ...F{next} }}"
        )
        .unwrap();
    }
    write!(document, " fragment F{count} on Viewer {{ userId }}").unwrap();
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn what_generators_ask_is_answered() {
    let server = Server::on_sqlite(&[]).await;
    let data = server.data("", INTROSPECTION, json!({})).await;
    assert!(data["__schema"]["types"].as_array().unwrap().len() > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused() {
    let server = Server::on_sqlite(&["--max-aliases", "3"]).await;
    for (document, code) in [
        (exponential(17), "LIMIT_EXCEEDED"),
        (exponential(500), "LIMIT_EXCEEDED"),
        (
            "{ ...F } fragment F on Query { viewer { userId } ...F }".to_owned(),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{}{}", "{ a ".repeat(10_000), "}".repeat(10_000)),
            "LIMIT_EXCEEDED",
        ),
        (
            format!("{{ viewer(x: {}) }}", "[".repeat(100)),
            "LIMIT_EXCEEDED",
        ),
        (
            "{ a: viewer { b: userId c: userId d: userId } }".to_owned(),
            "LIMIT_EXCEEDED",
        ),
        (
            "{ personalConnectors(first: 1000000000) { nodes { id } } }".to_owned(),
            "LIMIT_EXCEEDED",
        ),
        (
            "{ personalConnectors(first: 101) { nodes { id } } }".to_owned(),
            "BAD_USER_INPUT",
        ),
        (
            "{ personalConnectors(first: -1) { nodes { id } } }".to_owned(),
            "BAD_USER_INPUT",
        ),
    ] {
        assert_eq!(
            server.error_code("", &document, json!({})).await,
            code,
            "{document:.60}"
        );
    }
}
