//! Memory of documents: of parsing, of the document cache, and of a subscription's own.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use serde_json::json;

use super::{ONE, variables::bounded};
use crate::support::{
    harness::{TestDatabase, post},
    process::{Serving, program_on},
};

/// The largest text that fits in a body, in bytes.
const MOST: usize = (1 << 20) - 300;

/// MiB of buffers, and of parses that the allocator retains.
const BESIDE: u64 = 20;

fn body(query: &str) -> String {
    json!({ "query": query }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_documents_are_bounded() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(
        &storage,
        &["--document-cache-mb", "0", "--request-timeout", "60s"],
    ));
    let string = "x".repeat(MOST);
    let names: Vec<_> = (0..4900)
        .map(|i| format!("u{i}{} ", "u".repeat(190)))
        .collect();
    let names = names.concat();
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
                "viewer(a: $y) ".repeat(900)
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

/// The cache's setting limits its memory.
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
    // The memory of the first parses does not count here.
    for i in 0..4 {
        send(fields(100_000 + i)).await;
    }
    for (documents, count) in [
        (&fields as &(dyn Fn(usize) -> String + Sync), 60),
        (&objects, 60),
        (&small, 2000),
    ] {
        let work = async {
            for i in 0..count {
                send(documents(i)).await;
            }
        };
        let ((), grown) = serving.process.growth(work).await;
        assert!(grown <= 16 + BESIDE, "{grown} MiB: {:.60}", documents(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_keeps_little() {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, &[]));
    let subscription = |fields: usize| {
        let fields = "kind ".repeat(fields);
        format!("subscription S {{ personalConnectorChanged {{ {fields} }} }}")
    };
    let refused = bounded(&serving, "text/event-stream", &body(&subscription(4900))).await;
    assert_eq!(refused.as_deref(), Some("LIMIT_EXCEEDED"));

    // The most fields allowed. The rest of the document is not kept.
    let others = "# x\n".repeat(8000);
    let query = body(&format!("{}\n{others}", subscription(300)));
    let open = async || {
        let request = post(&serving.url, "", query.clone()).header("accept", "text/event-stream");
        request.send().await.unwrap()
    };
    let work = async {
        let mut open = join_all((0..90).map(|_| open())).await;
        // A refused subscription would fail within this time.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for response in &mut open {
            let said = response.chunk().now_or_never();
            assert!(said.is_none_or(|chunk| !is_event(&chunk.unwrap().unwrap())));
        }
        open
    };
    let (open, grown) = serving.process.growth(work).await;
    assert_eq!(open.len(), 90);
    assert!(grown <= ONE, "{grown} MiB");
}

fn is_event(chunk: &[u8]) -> bool {
    chunk.starts_with(b"event: next")
}
