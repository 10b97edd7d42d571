//! Memory of variables: of their values, and of arguments with variables expanded.

use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{ONE, SIXTEEN};
use crate::support::{
    harness::{TestDatabase, client, post},
    process::{Serving, program_on},
};

const LIST: &str = "query($f: PersonalConnectorFilter) { personalConnectors(filter: $f, first: 1) { nodes { id } } }";

/// The largest text that fits in a body, in bytes.
const MOST: usize = (1 << 20) - 300;

fn body(query: &str, variables: &str) -> String {
    format!(r#"{{"query":{},"variables":{variables}}}"#, json!(query))
}

/// Returns as many items with commas as a body holds.
fn list(item: &str) -> String {
    vec![item; MOST / (item.len() + 1)].join(",")
}

/// Sends a body once and sixteen times at once, always with the same result. Returns the error's code, if there is one.
pub(super) async fn bounded(serving: &Serving, accept: &str, body: &str) -> Option<String> {
    let send = async || {
        let request = post(&serving.url, "", body.to_owned()).header("accept", accept);
        request.send().await.unwrap().text().await.unwrap()
    };
    let (answer, grown) = serving.process.growth(send()).await;
    assert!(grown <= ONE, "one: {grown} MiB: {body:.80}");
    let (answers, grown) = serving
        .process
        .growth(join_all([(); 16].map(|()| send())))
        .await;
    assert!(grown <= SIXTEEN, "sixteen: {grown} MiB: {body:.80}");
    let code = code(&answer);
    for answer in answers {
        assert_eq!(self::code(&answer), code, "{answer:.200}");
    }
    code
}

/// Returns the code of the first error in a response or event.
fn code(answer: &str) -> Option<String> {
    let json = answer.lines().find_map(|line| line.strip_prefix("data: "));
    let answer: Value = serde_json::from_str(json.unwrap_or(answer)).unwrap();
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    code.map(ToOwned::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_counted_before_they_are_parsed() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    let viewer = "{ viewer { userId } }";
    let distinct: Vec<_> = (0..100_000).map(|i| format!(r#""{i}":0"#)).collect();
    for (query, variables) in [
        (viewer, format!(r#"{{"a":[{}]}}"#, list("0"))),
        (viewer, format!(r#"{{"a":[{}]}}"#, list("{}"))),
        (viewer, format!(r#"{{"a":[{}]}}"#, list(r#"{"a":[]}"#))),
        (viewer, format!("{{{}}}", distinct.join(","))),
        (LIST, format!(r#"{{"f":{{"and":[{}]}}}}"#, list("{}"))),
        (LIST, format!(r#"{{"f":{{"id":[{}]}}}}"#, list("\"\""))),
        (
            LIST,
            format!(r#"{{"f":{{"or":[{}]}}}}"#, list(r#"{"not":{}}"#)),
        ),
    ] {
        for accept in ["application/json", "text/event-stream"] {
            let code = bounded(&serving, accept, &body(query, &variables)).await;
            assert_eq!(code.as_deref(), Some("LIMIT_EXCEEDED"), "{variables:.80}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_values_as_there_may_be_are_bounded() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    let many = |item: &str, count: usize| vec![item; count].join(",");
    let long = "x".repeat(MOST);
    for (query, variables) in [
        (
            "{ viewer { userId } }",
            format!(r#"{{"a":[{}]}}"#, many("0", 11_900)),
        ),
        (
            LIST,
            format!(r#"{{"f":{{"and":[{}]}}}}"#, many("{}", 11_900)),
        ),
        (
            LIST,
            format!(r#"{{"f":{{"or":[{}]}}}}"#, many(r#"{"not":{}}"#, 3_900)),
        ),
        (
            LIST,
            format!(r#"{{"f":{{"id":[{}]}}}}"#, many("\"\"", 11_900)),
        ),
        (
            "query($x: ID!) { node(id: $x) { id } }",
            format!(r#"{{"x":"{long}"}}"#),
        ),
        (
            "query($x: ID!) { a: node(id: $x) { id } b: node(id: $x) { id } }",
            format!(r#"{{"x":"{long}"}}"#),
        ),
        (
            "{ viewer { userId } }",
            format!(r#"{{"a":{}"{long}"{}}}"#, "[".repeat(60), "]".repeat(60)),
        ),
    ] {
        let code = bounded(&serving, "application/json", &body(query, &variables)).await;
        assert_ne!(code.as_deref(), Some("LIMIT_EXCEEDED"), "{variables:.80}");
    }
}

/// Each use of a variable copies its value.
#[tokio::test(flavor = "multi_thread")]
async fn a_variable_counts_wherever_it_is_used() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    let filters = |uses: usize| {
        let uses = "$f ".repeat(uses);
        format!(
            "query($f: PersonalConnectorFilter!) {{ personalConnectors(first: 1, filter: {{and: [{uses}]}}) {{ nodes \
             {{ id }} }} }}"
        )
    };
    let strings = |uses: usize| {
        let uses = "$s ".repeat(uses);
        format!(
            "query($s: String!) {{ personalConnectors(first: 1, filter: {{connectorId: [{uses}]}}) {{ nodes {{ id }} \
             }} }}"
        )
    };
    let aliases: Vec<_> = (0..100)
        .map(|i| format!("a{i}: node(id: $s) {{ id }} "))
        .collect();
    let aliases = aliases.concat();
    let fragments = format!(
        "query($f: PersonalConnectorFilter!) {{ {} }} fragment F on Query {{ personalConnectors(first: 0, filter: $f) \
         {{ totalCount }} }}",
        "...F ".repeat(1000),
    );
    let filter = format!(r#"{{"f":{{"and":[{}]}}}}"#, vec!["{}"; 9_000].join(","));
    let string = format!(r#"{{"s":"{}"}}"#, "x".repeat(1 << 19));
    for (query, variables) in [
        (filters(4900), &filter),
        (filters(2), &filter),
        (fragments, &filter),
        (strings(4900), &string),
        (strings(90), &string),
        (format!("query($s: ID!) {{ {aliases} }}"), &string),
    ] {
        let code = bounded(&serving, "application/json", &body(&query, variables)).await;
        assert_eq!(code.as_deref(), Some("LIMIT_EXCEEDED"), "{query:.80}");
    }
    let filter = format!(r#"{{"f":{{"and":[{}]}}}}"#, vec!["{}"; 100].join(","));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (query, variables) = (encoded(&filters(300)), encoded(&filter));
    let url = format!("{}?query={query}&variables={variables}", serving.url);
    let request = client().get(url).header("accept", "application/json");
    let answer = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(
        code(&answer).as_deref(),
        Some("LIMIT_EXCEEDED"),
        "{answer:.200}"
    );
}

/// A default counts with its size wherever it is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_default_counts_as_if_it_was_sent() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    let query = format!(
        "query($f: PersonalConnectorFilter! = {{and: [{}]}}) {{ personalConnectors(first: 1, filter: {{and: [{}]}}) {{ \
         nodes {{ id }} }} }}",
        "{} ".repeat(3000),
        "$f ".repeat(900),
    );
    let code = bounded(&serving, "application/json", &body(&query, "null")).await;
    assert_eq!(code.as_deref(), Some("LIMIT_EXCEEDED"));
}
