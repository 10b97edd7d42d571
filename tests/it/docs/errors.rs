//! Runs the examples on the page about errors: each is a document and its response.

use serde_json::{Value, json};

use crate::support::{harness::Server, mutations::WRITE};

use super::Page;

pub const PAGE: &str = "docs/reference/errors.md";

#[tokio::test(flavor = "multi_thread")]
async fn examples() {
    let blocks = Page::read(PAGE).blocks_in(&["graphql", "json"]);
    assert!(!blocks.is_empty());
    let flags = ["--max-per-user", "1", "--inspection-rate", "1"];
    let server = Server::on_sqlite(&flags).await;
    let token = server.token("ann@acme", WRITE);
    let mut id = "pcon_none".to_owned();
    for example in blocks.chunks(2) {
        let [(graphql, document), (json, expected)] = example else {
            panic!("{example:?} has no answer")
        };
        assert_eq!((graphql.as_str(), json.as_str()), ("graphql", "json"));
        let document = document.replace("pcon_none", &id);
        let answer = server.execute(&token, &document, json!({})).await;
        if let Some(created) =
            answer["data"]["createCustomConnector"]["personalConnector"]["id"].as_str()
        {
            created.clone_into(&mut id);
        }
        let expected: Value = serde_json::from_str(&expected.replace("pcon_none", &id)).unwrap();
        assert_eq!(answer, expected, "{document}");
    }
}

/// The page has exactly one row for each code.
#[test]
fn codes() {
    let page = Page::read(PAGE).text;
    let (of_users, of_requests) = page.split_once("## Top-level errors").unwrap();
    let rows = |part: &str| {
        let cells = part.lines().filter_map(|line| {
            let cell = line.strip_prefix("| `")?.split('`').next()?;
            let is_code = cell.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            is_code.then(|| cell.to_owned())
        });
        let mut codes: Vec<String> = cells.collect();
        codes.sort();
        codes.dedup();
        codes
    };
    let sdl = personal_connectors::graphql::sdl();
    let (_, of_schema) = sdl.split_once("enum UserErrorCode {").unwrap();
    let of_schema = of_schema.split_once("\n}").unwrap().0.lines();
    let of_schema = of_schema.map(str::trim);
    let is_value =
        |line: &&str| !line.is_empty() && line.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let of_schema: Vec<_> = of_schema.filter(is_value).collect();
    assert_eq!(rows(of_users), of_schema);
    let source = std::fs::read_to_string(super::root().join("src/error.rs")).unwrap();
    let (_, names) = source.split_once("fn as_str").unwrap();
    let names = names.split_once("\n    }").unwrap().0.lines();
    let mut names: Vec<_> = names.filter_map(|line| line.split('"').nth(1)).collect();
    names.sort_unstable();
    assert_eq!(rows(of_requests), names);
}
