//! Documents: the memory of parsing one, of the cache of parsed ones, and of a subscription that keeps its own.

use futures_util::future::join_all;
use serde_json::json;

use super::{ONE, variables::bounded};
use crate::support::{
    harness::{TestDatabase, post},
    process::{Serving, program_on},
};

/// Bytes of text that still fit into a body.
const MOST: usize = (1 << 20) - 300;

fn body(query: &str) -> String {
    json!({ "query": query }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_documents_are_bounded() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &["--document-cache-mb", "0"]));
    let string = "x".repeat(MOST);
    let names: String = (0..4900)
        .map(|i| format!("u{i}{} ", "u".repeat(190)))
        .collect();
    for (query, code) in [
        (format!("{{ node(id: \"{string}\") {{ id }} }}"), None),
        (format!("{{ viewer {{ userId }} }} # {string}"), None),
        (
            format!(
                "{{ node(id: \"\"\"{}\"\"\") {{ id }} }}",
                "\n".repeat(MOST / 2)
            ),
            Some("LIMIT_EXCEEDED"),
        ),
        (format!("{{ {string} }}"), Some("LIMIT_EXCEEDED")),
        (
            format!("query {string} {{ viewer {{ userId }} }}"),
            Some("LIMIT_EXCEEDED"),
        ),
        (format!("{{ {names} }}"), Some("GRAPHQL_VALIDATION_FAILED")),
        (
            format!("{{ {} !", "a ".repeat(9000)),
            Some("GRAPHQL_PARSE_FAILED"),
        ),
        (
            format!("{{ viewer {{ {} }} }}", "userId ".repeat(4900)),
            None,
        ),
        (
            format!(
                "{{ personalConnectors(filter: {{and: [{}]}}) {{ nodes {{ id }} }} }}",
                "{} ".repeat(4900)
            ),
            Some("BAD_USER_INPUT"),
        ),
        (
            format!(
                "{{ viewer @include(if: $x) {{ userId }} {} }}",
                "a: viewer(a: $y) ".repeat(900)
            ),
            Some("GRAPHQL_VALIDATION_FAILED"),
        ),
        (
            format!(
                "query Q {{ nodes(ids: [{}]) {{ id }} }}",
                "$x ".repeat(4000)
            ),
            Some("GRAPHQL_VALIDATION_FAILED"),
        ),
    ] {
        let answered = bounded(&serving, "application/json", &body(&query)).await;
        assert_eq!(answered.as_deref(), code, "{query:.80}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_a_document_are_bounded() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    for query in [
        format!("{{ {}{} !", "a ".repeat(4000), "b".repeat(200)),
        format!("{{ {} }}", "a ".repeat(4900)),
        format!(
            "query Q {{ nodes(ids: [{}]) {{ id }} }}",
            "$x ".repeat(4000)
        ),
        format!("{{ {} }}", "viewer { nodes @x @y } ".repeat(40)),
    ] {
        let answer = post(&serving.url, "", body(&query)).send().await.unwrap();
        let text = answer.text().await.unwrap();
        assert!(text.len() < 64 * 1024, "{} bytes: {text:.200}", text.len());
    }
}

/// The cache's setting is the memory that it takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_cache_takes_what_it_may() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &["--document-cache-mb", "16"]));
    let send = async |query: String| {
        let request = post(&serving.url, "", body(&query));
        request.send().await.unwrap().bytes().await.unwrap();
    };
    let fields = |i: usize| format!("query Q{i} {{ viewer {{ {} }} }}", "userId ".repeat(4900));
    let objects = |i: usize| {
        let values = "{a:{a:1}} ".repeat(900);
        format!("query Q{i} {{ personalConnectors(first: [{values}]) {{ nodes {{ id }} }} }}")
    };
    let small = |i: usize| format!("query Q{i} {{ viewer {{ userId }} }}");
    // Buffers and the memory of a parse that the allocator keeps.
    const BESIDE: u64 = 20;
    for (documents, count) in [
        (&fields as &(dyn Fn(usize) -> String + Sync), 60),
        (&objects, 60),
        (&small, 20_000),
    ] {
        let work = async {
            for i in (0..count).step_by(8) {
                join_all((i..i + 8).map(|i| send(documents(i)))).await;
            }
        };
        let ((), grown) = serving.process.growth(work).await;
        assert!(grown <= 16 + BESIDE, "{grown} MiB: {:.60}", documents(0));
    }
}

/// Opens subscriptions, and returns how many are open, with what the process grew by.
async fn subscribe(serving: &Serving, query: &str, count: usize) -> (usize, u64) {
    let open = async || {
        let request = post(&serving.url, "", body(query)).header("accept", "text/event-stream");
        let mut response = request.send().await.unwrap();
        // A stream that is refused has an event at once, and one that goes on none.
        let first = tokio::time::timeout(std::time::Duration::from_millis(300), response.chunk());
        let is_open = first.await.map_or(true, |chunk| {
            !chunk
                .unwrap()
                .is_some_and(|chunk| chunk.starts_with(b"event: next"))
        });
        is_open.then_some(response)
    };
    let opened = join_all((0..count).map(|_| open()));
    let (open, grown) = serving.process.growth(opened).await;
    (open.into_iter().flatten().count(), grown)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_keeps_little() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    let subscription = |fields: usize| {
        format!(
            "subscription {{ personalConnectorChanged {{ {} }} }}",
            "kind ".repeat(fields)
        )
    };
    let (open, _) = subscribe(&serving, &subscription(4900), 1).await;
    assert_eq!(open, 0, "a document of 25 KB");
    // As many fields as it may have; what else the document has is not kept.
    let others: String = (0..150)
        .map(|i| {
            format!("query Q{i} {{ viewer {{ userId }} }} fragment F{i} on Viewer {{ userId }} ")
        })
        .collect();
    let named = subscription(300).replace("subscription", "subscription S");
    let long = format!("{named} # {others}");
    let (open, grown) = subscribe(&serving, &long, 90).await;
    assert_eq!(open, 90);
    assert!(grown <= ONE, "{grown} MiB");
}
