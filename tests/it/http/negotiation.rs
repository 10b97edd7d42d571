//! Content negotiation: status, media type and presence of `data`, by the request's `Accept`.

use reqwest::{RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

use crate::{
    on_both,
    support::{
        harness::{Server, client},
        mutations::{CREATE, DELETE, WRITE, mutation},
    },
};

const JSON: &str = "application/json; charset=utf-8";
const GRAPHQL: &str = "application/graphql-response+json; charset=utf-8";

fn post(server: &Server, query: &str, variables: &Value) -> RequestBuilder {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let request = client().post(format!("{}/graphql", server.url));
    request.header(CONTENT_TYPE, "application/json").body(body)
}

/// Returns status, media type and the response.
async fn ask(request: RequestBuilder) -> (u16, String, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let media_type = response.headers()[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let answer = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, media_type, answer)
}

/// Returns the code of the first error, or nothing.
fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

/// Holds the lock of all writes until it is dropped.
enum Lock {
    Sqlite(#[expect(dead_code, reason = "held")] SqliteConnection),
    Postgres(#[expect(dead_code, reason = "held")] PgConnection),
}

async fn lock_writes(server: &Server) -> Lock {
    let url = &server.storage.url;
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        Lock::Sqlite(connection)
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        connection
            .execute("SELECT * FROM catalog_state FOR UPDATE")
            .await
            .unwrap();
        Lock::Postgres(connection)
    }
}

on_both! {
    async fn every_outcome_under_every_accept(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--request-timeout", "1s"],
            server.clock.clone(),
        )
        .await;
        let ann = server.token("ann@acme", WRITE);
        let _lock = lock_writes(&server).await;
        let none = json!({});
        let delete = mutation(DELETE);
        let timeout = json!({ "input": { "id": "pcon_none" } });
        // The query and its outcome: the code, the presence of data, and the status under graphql-response+json.
        let outcomes = [
            ("{ viewer { userId } }", &none, "", true, 200),
            ("{ node(id: \"pcon_none\") { id } }", &none, "", true, 200),
            ("{", &none, "GRAPHQL_PARSE_FAILED", false, 400),
            ("", &none, "GRAPHQL_PARSE_FAILED", false, 400),
            ("{ nope }", &none, "GRAPHQL_VALIDATION_FAILED", false, 400),
            (
                "query($id: ID!) { node(id: $id) { id } }",
                &none,
                "GRAPHQL_VALIDATION_FAILED",
                false,
                400,
            ),
            (
                "{ personalConnectors(filter: {type: NOPE}) { totalCount } }",
                &none,
                "GRAPHQL_VALIDATION_FAILED",
                false,
                400,
            ),
            (
                "{ personalConnectors(first: 2000000) { nodes { id } } }",
                &none,
                "LIMIT_EXCEEDED",
                false,
                400,
            ),
            // Data with errors, and null data.
            (
                "{ __typename personalConnector(id: \"pcon_jira\") { id } nodes(ids: []) { id } a: \
                 personalConnectors(first: 101) { totalCount } }",
                &none,
                "BAD_USER_INPUT",
                true,
                200,
            ),
            (
                "mutation { createCustomConnector(input: {name: \"a\"}) { userErrors { code } } }",
                &none,
                "UNAUTHENTICATED",
                true,
                200,
            ),
            (delete.as_str(), &timeout, "TIMEOUT", false, 504),
        ];
        for (accept, media_type) in [
            (None, JSON),
            (Some("*/*"), JSON),
            (Some("application/*;q=0.1"), JSON),
            (Some("application/json"), JSON),
            (Some("application/graphql-response+json"), GRAPHQL),
            (
                Some(
                    "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8; q=0.9",
                ),
                GRAPHQL,
            ),
            (Some("text/html"), ""),
            (Some("application/json; charset=utf-16"), ""),
        ] {
            for (query, variables, expected, data, status) in &outcomes {
                let mut request = post(&server, query, variables);
                if *expected != "UNAUTHENTICATED" {
                    request = request.bearer_auth(&ann);
                }
                if let Some(accept) = accept {
                    request = request.header("accept", accept);
                }
                let (answered, of, answer) = ask(request).await;
                let shown = format!("{accept:?} {query}: {answered} {of} {answer}");
                if media_type.is_empty() {
                    assert_eq!(
                        (answered, of.as_str(), code(&answer)),
                        (406, JSON, "BAD_REQUEST"),
                        "{shown}"
                    );
                    assert_eq!(answer.get("data"), None, "{shown}");
                    continue;
                }
                assert_eq!(
                    answered,
                    if media_type == JSON { 200 } else { *status },
                    "{shown}"
                );
                assert_eq!(
                    (of.as_str(), code(&answer)),
                    (media_type, *expected),
                    "{shown}"
                );
                assert_eq!(answer.get("data").is_some(), *data, "{shown}");
                assert_eq!(
                    answer.get("errors").is_some(),
                    !expected.is_empty(),
                    "{shown}"
                );
            }
        }
    }

    async fn what_is_no_request_is_refused_under_every_accept(server: Server) {
        let url = format!("{}/graphql", server.url);
        let json = |body: &'static str| {
            client()
                .post(&url)
                .header(CONTENT_TYPE, "application/json")
                .body(body)
        };
        for (accept, media_type) in [
            ("application/json", JSON),
            ("application/graphql-response+json", GRAPHQL),
        ] {
            for (request, expected) in [
                (json("{"), (400, "BAD_REQUEST")),
                (json("[]"), (400, "BAD_REQUEST")),
                (client().get(&url), (400, "BAD_REQUEST")),
                (
                    client().get(format!("{url}?query=mutation{{a}}")),
                    (405, "BAD_REQUEST"),
                ),
                (client().delete(&url), (405, "BAD_REQUEST")),
                (json("{").bearer_auth("x"), (401, "UNAUTHENTICATED")),
                (
                    client().get(&url).bearer_auth("x"),
                    (401, "UNAUTHENTICATED"),
                ),
                (client().post(&url).body("{}"), (415, "BAD_REQUEST")),
                (json("").body(vec![b' '; 2 << 20]), (413, "LIMIT_EXCEEDED")),
            ] {
                let (status, of, answer) = ask(request.header("accept", accept)).await;
                assert_eq!((status, code(&answer)), expected, "{accept} {answer}");
                assert_eq!(
                    (of.as_str(), answer.get("data")),
                    (media_type, None),
                    "{accept} {answer}"
                );
            }
        }
    }

    // Without the checks, each would fail during the execution, or not at all.
    async fn values_not_of_their_types_are_refused_before_anything_is_executed(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let before = server.written().await;
        let list = |ty: &str, argument: &str| {
            format!(
                "query($v: {ty}) {{ viewer {{ userId }} personalConnectors({argument}: $v) {{ totalCount }} }}"
            )
        };
        let sent = |v: Value| json!({ "v": v });
        let (node, order, filter, first) = (
            "query($v: ID!) { node(id: $v) { id } }".to_owned(),
            list("PersonalConnectorOrder", "orderBy"),
            list("PersonalConnectorFilter", "filter"),
            list("Int", "first"),
        );
        let in_document = |arguments: &str| {
            (
                format!("{{ personalConnectors({arguments}) {{ totalCount }} }}"),
                json!({}),
            )
        };
        let create = mutation(CREATE);
        let creates = |rest: &str| {
            (
                format!(
                    "mutation {{ a: createCustomConnector(input: {{name: \"a\", serverUrl: \"https://e.co\"}}) {{ \
                     userErrors {{ code }} }} {rest} }}"
                ),
                json!({}),
            )
        };
        for ((query, variables), expected) in [
            // IDs.
            ((node.clone(), json!({})), "$v of type ID!"), ((node.clone(), sent(json!(null))), "$v of type ID!"),
            ((node.clone(), sent(json!(1.5))), "$v must be a string or an \
                                                integer"), ((node.clone(), sent(json!(true))), "$v must be"),
            ((node.clone(), sent(json!(["a"]))), "$v must be"), ((node.clone(), sent(json!({ "a": 1 }))), "$v must be"),
            ((node, sent(json!(u64::MAX))), "$v must be"),
            // Integers.
            ((first.clone(), sent(json!("1"))), "$v must be an \
                                                 integer"), ((first.clone(), sent(json!(1.5))), "$v must be"),
            ((first.clone(), sent(json!(1e3))), "$v must be"), ((first.clone(), sent(json!(-2_147_483_649_i64))), "$v \
                must be"),
            ((first.clone(), sent(json!(true))), "$v must be"), ((first, sent(json!([1, 2]))), "$v must be"),
            // Texts and booleans.
            ((list("String", "search"), sent(json!(1))), "$v must be a \
                                                          string"), ((list("String", "after"), sent(json!({}))), "$v \
                                                          must be"),
            (("query($v: Boolean!) { viewer @include(if: $v) { userId } \
               }".to_owned(), sent(json!("true"))), "$v must be true or false"),
            (("query($v: Boolean!) { viewer @include(if: $v) { userId } }".to_owned(), sent(json!(null))), "$v of type \
                Boolean!"),
            // Enums.
            ((order.clone(), sent(json!({ "field": "NOPE" }))), "$v.field must be one of CATEGORY, CHECKED_AT, \
                CREATED_AT, LATENCY, NAME"),
            ((order.clone(), sent(json!({ "field": "name" }))), "$v.field must \
                be"), ((order.clone(), sent(json!({ "field": 1 }))), "$v.field must be"),
            // Input objects.
            ((order.clone(), sent(json!({ "direction": "ASC" }))), "$v.field is \
                required"), ((order.clone(), sent(json!({ "field": null }))), "$v.field must not be null"),
            ((order.clone(), sent(json!({ "field": "NAME", "nope": 1 }))), "$v has no field \
                nope"), ((order.clone(), sent(json!("NAME"))), "$v must be an object of type PersonalConnectorOrder"),
            ((order, sent(json!([]))), "$v must be an object"),
            ((filter.clone(), sent(json!({ "status": ["ACTIVE", "NOPE"] }))), "$v.status[1] must \
                be"), ((filter.clone(), sent(json!({ "status": [null] }))), "$v.status[0] must not be null"),
            ((filter.clone(), sent(json!({ "and": [{ "not": { "type": "X" } }] }))), "$v.and[0].not.type must \
                be"), ((filter.clone(), sent(json!(1))), "$v must be an object"),
            ((filter.clone(), sent(json!({ "createdAt": { "gte": "yesterday" } }))), "$v.createdAt.gte must be RFC \
                3339"), ((filter.clone(), sent(json!({ "createdAt": { "gte": 0 } }))), "$v.createdAt.gte must be"),
            ((filter, sent(json!({ "updatedAt": { "lt": "2025-01-01T00:00:00.1234567Z" } }))), "$v.updatedAt.lt must \
                be"),
            // A declared variable that is used only in skipped selections.
            (("query($v: Int) { viewer { userId @skip(if: true) } personalConnectors(first: $v) @skip(if: true) { \
               totalCount } }".to_owned(), sent(json!("x"))), "$v must be"),
            // Defaults, whether or not a value is sent.
            (("query($v: Int = 3000000000) { personalConnectors(first: $v) { totalCount } \
               }".to_owned(), json!({})), "$v must be"),
            (("query($v: PersonalConnectorFilter = {type: \"CUSTOM\"}) { personalConnectors(filter: $v) { totalCount } \
               }".to_owned(), sent(json!({}))), "$v.type must be"),
            (("query($v: Int! = 1) { personalConnectors(first: $v) { totalCount } \
               }".to_owned(), sent(json!(null))), "$v of type Int!"),
            // In the document.
            (in_document("first: -3000000000"), "first must be an integer"), (in_document("first: 1.5"), "first must \
                be"), (in_document("first: \"1\""), "first must be"),
            (in_document("search: 1"), "search must be"), (in_document("search: A"), "search must \
                be"), (in_document("filter: 5"), "filter must be an object"),
            (in_document("filter: {status: \"ACTIVE\"}"), "filter.status must be one \
                                                           of"), (in_document("filter: {status: [ACTIVE, \
                                                           NOPE]}"), "filter.status[1] must be"),
            (in_document("filter: {nope: 1}"), "filter has no field \
                                                nope"), (in_document("orderBy: {}"), "orderBy.field is \
                                                required"), (in_document("orderBy: NAME"), "orderBy must be"),
            (in_document("filter: {createdAt: {lt: \"1\"}}"), "filter.createdAt.lt must be"),
            (("{ ...F } fragment F on Query { ... { node(id: 1.5) { id } } }".to_owned(), json!({})), "id must be"),
            (("query A { viewer { userId } } query B { node(id: A) { id } }".to_owned(), json!({})), "name one by"),
            // Mutations, whose first field would run without the check.
            ((create.clone(), json!({ "input": { "serverUrl": "https://e.co" } })), "$input.name is required"),
            ((create.clone(), json!({ "input": { "name": null } })), "$input.name must not be null"),
            ((create, json!({ "input": { "name": "a", "validateOnly": 1 } })), "$input.validateOnly must be"),
            (creates("b: createCustomConnector(input: {name: 1}) { userErrors { code } }"), "input.name must be a \
                string"),
            (creates("b: setConnectorStatus(input: {id: \"pcon_a\", status: ACTIVE, expectedRevision: 3000000000}) { \
                      userErrors { code } }"), "input.expectedRevision must be"),
            (creates("b: setConnectorStatus(input: {id: \"pcon_a\", status: \"ACTIVE\"}) { userErrors { code } \
                      }"), "input.status must be"),
            (creates("b: updateCustomConnector(input: null) { userErrors { code } }"), "input must not be null"),
            (creates("b: deleteCustomConnector(input: []) { userErrors { code } }"), "input must be an object"),
        ] {
            let request = post(&server, &query, &variables).header("accept",
                "application/graphql-response+json").bearer_auth(&ann);
            let (status, _, answer) = ask(request).await;
            let shown = format!("{query} {variables}: {answer}");
            assert_eq!((status, code(&answer), answer.get("data")), (400, "GRAPHQL_VALIDATION_FAILED", None),
                "{shown}");
            assert!(answer["errors"][0]["message"].as_str().unwrap().contains(expected), "{shown}");
        }
        assert_eq!(server.written().await, before);
    }

    async fn values_of_their_types_are_taken(server: Server) {
        for (query, variables) in [
            ("query($v: ID!) { node(id: $v) { id } }", json!({ "v": 5 })),
            ("{ node(id: 5) { id } }", json!({})),
            ("{ nodes(ids: \"pcon_a\") { id } }", json!({})),
            (
                "query($v: [ID!]!) { nodes(ids: $v) { id } }",
                json!({ "v": "pcon_a" }),
            ),
            (
                "query($v: PersonalConnectorFilter) { personalConnectors(filter: $v) { totalCount } }",
                json!({ "v": { "and": { "type": "CUSTOM" }, "createdAt": { "gte": "2025-01-01T00:00:00+01:00",
                    "lt": null } } }),
            ),
            (
                "query($v: PersonalConnectorFilter) { personalConnectors(filter: $v) { totalCount } }",
                json!({ "v": null, "w": { "not": "declared" } }),
            ),
            (
                "query($v: PersonalConnectorFilter = {and: {type: CUSTOM}}) { personalConnectors(filter: $v) { \
                 totalCount } }",
                json!({}),
            ),
            (
                "query($v: ConnectorType = CUSTOM) { personalConnectors(filter: {type: [OFFICIAL, $v], not: \
                 {createdAt: {lt: \"2025-01-01T00:00:00Z\"}}}) { totalCount } }",
                json!({}),
            ),
            (
                "query($v: Int! = 3) { personalConnectors(first: $v) { totalCount nodes { id } } }",
                json!({}),
            ),
            (
                "query($n: String!) { __type(name: $n) { name fields(includeDeprecated: true) { name } } }",
                json!({ "n": "Query" }),
            ),
        ] {
            let (status, _, answer) = ask(post(&server, query, &variables)).await;
            assert_eq!(
                (status, answer.get("errors")),
                (200, None),
                "{query} {variables}: {answer}"
            );
        }
        // A default counts like a sent value: in the page's size, and in the cost.
        let answer = ask(post(
            &server,
            "query($n: Int = 2) { personalConnectors(first: $n) { nodes { id } } }",
            &json!({}),
        ))
        .await
        .2;
        assert_eq!(
            answer["data"]["personalConnectors"]["nodes"]
                .as_array()
                .map(Vec::len),
            Some(2)
        );
        let answer = ask(post(
            &server,
            "query($n: Int = 2000000) { personalConnectors(first: $n) { nodes { id } } }",
            &json!({}),
        ))
        .await
        .2;
        assert_eq!(code(&answer), "LIMIT_EXCEEDED");
    }
}
