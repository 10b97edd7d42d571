//! Unsent variables: their arguments and fields count as omitted.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        clients::subscribers::Socket,
        harness::{Server, client},
        mutations::{CREATE, WRITE, draft, text},
    },
};

/// Creates a connector with every optional field set.
async fn full(server: &Server, token: &str) -> Value {
    let input = draft(
        "Wiki",
        json!({
            "description": "Pages", "iconUrl": "https://e.co/i.png", "category": "DESIGN", "version": "1.2.3",
            "serverType": "WEBSOCKET", "metadata": { "a": 1 }, "visibility": "ORGANIZATION",
        }),
    );
    server.change(token, CREATE, input).await
}

/// JSON has several forms of one number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_float_is_read_in_every_form_of_json() {
    let server = Server::on_sqlite(&[]).await;
    let list = "personalConnectors(first: 1, filter: {uptime: {lt: NUMBER}}) { totalCount }";
    for number in [
        "1",
        "-0",
        "0.10",
        "1.00",
        "1e-1",
        "1E+0",
        "1e-05",
        "0.0000005",
        "1e400",
        "-1e400",
    ] {
        let written = format!("{{ {} }}", list.replace("NUMBER", number));
        let whole = format!("query($n: Float) {{ {} }}", list.replace("NUMBER", "$n"));
        let part = "query($filter: PersonalConnectorFilter) { personalConnectors(first: 1, filter: $filter) { \
                    totalCount } }";
        let sent = [
            (whole.as_str(), format!(r#"{{"n": {number}}}"#)),
            (
                part,
                format!(r#"{{"filter": {{"uptime": {{"lt": {number}}}}}}}"#),
            ),
        ];
        let answer = async |query: &str, variables: &str| {
            let query = Value::from(query);
            let body = format!(r#"{{"query": {query}, "variables": {variables}}}"#);
            let request = client()
                .post(format!("{}/graphql", server.url))
                .header("content-type", "application/json")
                .body(body);
            let answer = request.send().await.unwrap().bytes().await.unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            (answer["data"].clone(), answer["errors"].is_null())
        };
        let expected = answer(&written, "{}").await;
        assert_eq!(expected.1, !number.ends_with("400"), "{number}");
        for (query, variables) in sent {
            assert_eq!(answer(query, &variables).await, expected, "{variables}");
        }
    }
}

on_both! {
    async fn an_update_leaves_what_an_unsent_variable_is_given_to(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let before = full(&server, &ann).await;
        let id = &before["id"];
        let state = server.state().await;
        // The input written in the document, a variable whose value lacks the field, fragments, and combinations.
        for query in [
            "mutation($id: ID!, $v: TYPE) { UPDATE }",
            "mutation($id: ID!, $v: TYPE) { ...F } fragment F on Mutation { UPDATE }",
            "mutation($id: ID!, $v: TYPE) { ... on Mutation { ...F } }
             fragment F on Mutation { ...G } fragment G on Mutation { UPDATE }",
            "mutation A($id: ID!, $v: TYPE) { UPDATE } mutation B($id: ID!, $v: TYPE = null) { UPDATE }",
        ] {
            for (field, r#type) in [
                ("name", "String"),
                ("description", "String"),
                ("iconUrl", "String"),
                ("category", "ConnectorCategory"),
                ("version", "String"),
                ("serverUrl", "String"),
                ("serverType", "ServerType"),
                ("metadata", "JSON"),
                ("visibility", "ConnectorVisibility"),
                ("expectedRevision", "Int"),
                ("validateOnly", "Boolean"),
            ] {
                // A variable with a default is nullable, and a non-null field accepts it too.
                if field == "validateOnly" && query.contains("= null") {
                    continue;
                }
                let update =
                    "updateCustomConnector(input: {id: $id, FIELD: $v}) { userErrors { code } }";
                let query = query
                    .replace("UPDATE", update)
                    .replace("TYPE", r#type)
                    .replace("FIELD", field);
                let mut body = json!({ "query": query, "variables": { "id": id } });
                if query.contains("mutation A") {
                    body["operationName"] = json!("A");
                }
                let (status, answer) = server.post(&ann, body.to_string()).await;
                assert_eq!(
                    (status, answer.get("errors")),
                    (200, None),
                    "{query}: {answer}"
                );
                assert_eq!(
                    answer["data"]["updateCustomConnector"]["userErrors"],
                    json!([]),
                    "{query}"
                );
            }
        }
        let input = json!({ "id": id });
        server
            .change(&ann, crate::support::mutations::UPDATE, input)
            .await;
        assert_eq!(server.see(&ann, text(id)).await, before);
        assert_eq!(server.state().await, state);
    }

    async fn a_sent_null_clears_and_a_default_is_used(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let before = full(&server, &ann).await;
        let query = |default: &str| {
            format!(
            "mutation($id: ID!, $d: String{default}) {{
                updateCustomConnector(input: {{id: $id, description: $d}}) {{ personalConnector {{ description }} }}
            }}"
        )
        };
        for (default, sent, expected) in [
            (" = \"default\"", json!({}), json!("default")),
            ("", json!({}), json!("default")),
            (" = \"default\"", json!({ "d": null }), json!(null)),
            (" = \"default\"", json!({ "d": "sent" }), json!("sent")),
            (" = null", json!({}), json!(null)),
            ("", json!({ "d": "again" }), json!("again")),
            ("", json!({ "d": null }), json!(null)),
        ] {
            let variables =
                crate::support::mutations::with(json!({ "id": before["id"] }), sent.clone());
            let data = server.data(&ann, &query(default), variables).await;
            assert_eq!(
                data["updateCustomConnector"]["personalConnector"]["description"], expected,
                "{default} {sent}"
            );
        }
        // The whole input as a variable's default.
        let whole = format!(
            "mutation($input: UpdateCustomConnectorInput! = {{id: \"{}\", version: null, category: CUSTOM}}) {{
                updateCustomConnector(input: $input) {{ personalConnector {{ version category iconUrl }} }}
            }}",
            text(&before["id"])
        );
        let data = server.data(&ann, &whole, json!({})).await;
        assert_eq!(
            data["updateCustomConnector"]["personalConnector"],
            json!({ "version": null, "category": "CUSTOM", "iconUrl": "https://e.co/i.png" })
        );
    }

    async fn a_create_takes_the_default_of_the_field(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let query = "mutation($n: String!, $c: ConnectorCategory, $t: ServerType, $v: ConnectorVisibility, $only: \
            Boolean, $k: String) {
            createCustomConnector(input: {name: $n, serverUrl: \"https://e.co\", category: $c, serverType: $t, \
            visibility: $v, validateOnly: $only, idempotencyKey: $k}) {
                personalConnector { category serverType visibility } userErrors { code }
            }
        }";
        let data = server.data(&ann, query, json!({ "n": "a" })).await;
        let defaults =
            json!({ "category": "CUSTOM", "serverType": "HTTP", "visibility": "PRIVATE" });
        assert_eq!(data["createCustomConnector"]["personalConnector"], defaults);
        let data = server
            .data(&ann, query, json!({ "n": "b", "c": null, "t": null }))
            .await;
        let none = json!({ "category": null, "serverType": "HTTP", "visibility": "PRIVATE" });
        assert_eq!(data["createCustomConnector"]["personalConnector"], none);
        // A nullable variable is allowed if the field has a default (section 5.8.5).
        let sent = json!({ "n": "c", "c": "DESIGN", "v": "ORGANIZATION", "only": true });
        let data = server.data(&ann, query, sent).await;
        assert_eq!(
            data["createCustomConnector"],
            json!({ "personalConnector": null, "userErrors": [] })
        );
        let nulls = json!({ "n": "d", "c": null, "v": null, "only": null });
        let data = server.data(&ann, query, nulls).await;
        let made = &data["createCustomConnector"]["personalConnector"];
        assert_eq!(made["visibility"], "PRIVATE", "{data}");
    }

    async fn arguments_filters_and_lists_may_have_unsent_variables(server: Server) {
        let count = |query: &str, variables: Value| {
            let body = json!({ "query": query, "variables": variables, "operationName": "Q" });
            let server = &server;
            async move {
                let (_, answer) = server.post("", body.to_string()).await;
                assert_eq!(answer.get("errors"), None, "{answer}");
                answer["data"]["personalConnectors"]["nodes"]
                    .as_array()
                    .unwrap()
                    .len()
            }
        };
        let arguments = "query Q($s: String, $f: PersonalConnectorFilter, $o: PersonalConnectorOrder, $n: Int, $a: \
            String, $l: Int, $b: String) {
            personalConnectors(search: $s, filter: $f, orderBy: $o, first: $n, after: $a, last: $l, before: $b) { \
            nodes { id } }
        }";
        assert_eq!(count(arguments, json!({})).await, 5);
        assert_eq!(count(arguments, json!({ "n": 2 })).await, 2);
        assert_eq!(
            count(
                arguments,
                json!({ "n": null, "l": 3, "s": null, "f": null, "o": null, "a": null, "b": null })
            )
            .await,
            3
        );
        let filters = "query Q($t: [ConnectorType!], $c: [ConnectorCategory!], $d: OrderDirection, $since: DateTime, \
            $one: PersonalConnectorFilter! = {}) {
            personalConnectors(
                filter: {type: $t, createdAt: {gte: $since}, and: [{category: $c}, $one], or: [{category: $c}], not: \
                {category: $c, type: CUSTOM}},
                orderBy: {field: NAME, direction: $d}
            ) { nodes { id } }
        }";
        assert_eq!(count(filters, json!({})).await, 5);
        assert_eq!(count(filters, json!({ "t": "AITRONOS_BUILT" })).await, 3);
        // Under @include, beside a sent variable of the same document, and one with a default.
        let included = "query Q($n: Int, $all: Boolean!, $id: Boolean = false) {
            personalConnectors(first: $n) @include(if: $all) { nodes { name @skip(if: $all) id @include(if: $id) } }
        }";
        assert_eq!(count(included, json!({ "all": true })).await, 5);
        // Twice: once as an omitted argument, and once in a list.
        let twice = "query Q($n: Int, $m: Int) { personalConnectors(first: $n, last: $m) { nodes { id } } again: \
                     personalConnectors(first: $n) { nodes { id } } }";
        assert_eq!(count(twice, json!({})).await, 5);
    }

    async fn null_for_a_default_is_refused_before_anything_runs(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let state = server.state().await;
        let create = |name: &str| {
            format!(
                "createCustomConnector(input: {{name: {name}, serverType: STDIO}}) {{ userErrors {{ code }} }}"
            )
        };
        for (query, variable) in [
            (format!("mutation($n: String = \"q\") {{ a: {} b: {} }}", create("\"A\""), create("$n")), "$n"),
            (format!("mutation($n: String = \"r\") {{ a: {} ...F }} fragment F on Mutation {{ b: {} \
                      }}", create("\"B\""), create("$n")), "$n"),
            ("query($n: ID = \"a\") { node(id: $n) { id } }".to_owned(), "$n"),
            ("query($n: [ID!] = []) { nodes(ids: $n) { id } }".to_owned(), "$n"),
            ("query($n: PersonalConnectorOrderField = NAME) { personalConnectors(orderBy: {field: $n}) { totalCount } \
              }".to_owned(), "$n"),
            ("query($n: ConnectorStatus = ACTIVE) { personalConnectors(filter: {status: [$n]}) { totalCount } \
              }".to_owned(), "$n"),
            ("query($n: Boolean = true) { viewer @include(if: $n) { userId } }".to_owned(), "$n"),
            ("query($n: Boolean = false) { viewer { userId @skip(if: $n) } }".to_owned(), "$n"),
        ] {
            let body = json!({ "query": query, "variables": { "n": null } });
            let request = server.request(&ann, body.to_string()).header("accept", "application/graphql-response+json");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 400, "{query}");
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            let message = text(&answer["errors"][0]["message"]);
            assert!(message.starts_with(&format!("{variable} must not be null")), "{query}: {message}");
            // An omitted argument has its default.
            assert_eq!(server.execute(&ann, &query, json!({})).await.get("errors"), None, "{query}");
        }
        assert_eq!(server.state().await, state + 4);
        // In a nullable position, null is the sent value.
        let query = "query($c: [ConnectorCategory!] = [DESIGN]) { personalConnectors(filter: {category: $c}) { \
                     totalCount } }";
        let all = server
            .data(&ann, "{ personalConnectors { totalCount } }", json!({}))
            .await;
        assert_eq!(server.data(&ann, query, json!({ "c": null })).await, all);
    }

    async fn only_the_chosen_operations_variables_count(server: Server) {
        // The other operation needs a variable of the same name, and has a fragment of its own.
        let document = "query A($x: String, $y: Int) { personalConnectors(search: $x, first: $y) { nodes { id } } }
            query B($x: ID!) { node(id: $x) { id } ...F }
            fragment F on Query { personalConnector(id: $x) { name } }";
        for (name, variables, field, expected) in [
            ("A", json!({}), "personalConnectors", 5),
            ("A", json!({ "y": 2 }), "personalConnectors", 2),
            ("A", json!({ "x": "jira" }), "personalConnectors", 1),
            ("B", json!({ "x": "pcon_jira" }), "node", 0),
        ] {
            let body = json!({ "query": document, "variables": variables, "operationName": name });
            let (_, answer) = server.post("", body.to_string()).await;
            assert_eq!(answer.get("errors"), None, "{name} {variables}: {answer}");
            assert_eq!(
                answer["data"][field]["nodes"]
                    .as_array()
                    .map_or(0, Vec::len),
                expected
            );
        }
        // A shared fragment, with a different variable type in each operation.
        let shared =
            "query A($n: Int) { ...F } query B($n: Int! = 2) { ...F } query C($n: Int = 1) { ...F }
            fragment F on Query { personalConnectors(first: $n) { nodes { id } } }";
        for (name, expected) in [("A", 5), ("B", 2), ("C", 1)] {
            let (_, answer) = server
                .post(
                    "",
                    json!({ "query": shared, "operationName": name }).to_string(),
                )
                .await;
            assert_eq!(
                answer["data"]["personalConnectors"]["nodes"]
                    .as_array()
                    .map(Vec::len),
                Some(expected),
                "{name}: {answer}"
            );
        }
    }
}

on_both! {
    async fn a_document_is_validated_with_what_is_given_to_unsent_variables(server: Server) {
        for query in [
            "query($x: Nope) { viewer { userId } }",
            "query($x: String) { viewer { userId } }",
            "query($x: String, $x: String) { personalConnectors(search: $x) { totalCount } }",
            "query A($x: String) { personalConnectors(search: $x) { totalCount } } query B { nothing }",
        ] {
            let body =
                json!({ "query": query, "operationName": query.contains(" A(").then_some("A") });
            let (_, answer) = server.post("", body.to_string()).await;
            let code = &answer["errors"][0]["extensions"]["code"];
            assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{query}: {answer}");
            assert_eq!(answer.get("data"), None, "{query}");
        }
    }
}

const OBJECT_ITSELF: &str = "text: send the object itself, not JSON in a string";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_object_is_told_what_it_is() {
    let server = Server::on_sqlite(&[]).await;
    let refused = |answer: &Value| {
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"], json!({ "code": "BAD_REQUEST" }));
        text(&error["message"]).to_owned()
    };
    for (sent, what) in [
        (json!([]), "a list"),
        (json!([{ "a": 1 }]), "a list"),
        (json!(""), OBJECT_ITSELF),
        (json!(r#"{"a":1}"#), OBJECT_ITSELF),
        (json!(true), "true or false"),
        (json!(1.5), "a number"),
    ] {
        for key in ["variables", "extensions"] {
            let expected = format!("{key} must be a JSON object, not {what}");
            let body = json!({ "query": "{ __typename }", key: sent });
            let (status, answer) = server.post("", body.to_string()).await;
            assert_eq!((status, refused(&answer)), (400, expected.clone()));

            let value = utf8_percent_encode(&sent.to_string(), NON_ALPHANUMERIC).to_string();
            let url = format!("{}/graphql?query={{__typename}}&{key}={value}", server.url);
            let response = client().get(url).send().await.unwrap();
            assert_eq!(response.status(), 400);
            let answer = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(refused(&answer), expected);

            let mut socket = Socket::of(&server, "").await;
            let message = json!({ "type": "subscribe", "id": "1", "payload": body });
            socket.send(message).await;
            if key == "variables" {
                let mut answer = socket.next().await;
                let errors = answer["payload"].take();
                assert_eq!(refused(&json!({ "errors": errors })), expected);
            } else {
                let (code, reason, _) = socket.closed().await;
                assert_eq!((code, reason), (4400, expected));
            }
        }
    }
    for key in ["variables", "extensions"] {
        let url = format!("{}/graphql?query={{__typename}}&{key}=", server.url);
        let response = client().get(url).send().await.unwrap();
        assert_eq!(response.status(), 400);
        let answer = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let expected = format!("{key} is empty: leave it out, or send a JSON object");
        assert_eq!(refused(&answer), expected);
    }
}
