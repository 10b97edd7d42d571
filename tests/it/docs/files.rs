//! Loads the examples of the page about files.

use std::collections::BTreeSet;

use personal_connectors::domain::field::Field;
use serde_json::Value;

use crate::support::{
    harness::TestDatabase,
    process::{program_on, run, run_with},
};

use super::Page;

pub const PAGE: &str = "docs/reference/files.md";

#[test]
fn the_page_has_all_keys() {
    let page = Page::read(PAGE).text;
    let table = page
        .split("\n## ")
        .find(|part| part.starts_with("Published object"));
    let rows = table
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    let first = rows.map(|row| row.split('|').nth(1).unwrap());
    let keys: BTreeSet<_> = first
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let published = Field::ALL.into_iter().filter_map(Field::published_key);
    assert_eq!(keys, published.chain(["object"]).collect());
}

#[test]
fn examples_are_loaded() {
    let database = TestDatabase::sqlite();
    let blocks = Page::read(PAGE).blocks_in(&["json"]);
    assert_eq!(blocks.len(), 3);
    for (_, text) in blocks {
        let done = run_with(
            program_on(&database, &["import", "--organization", "acme"]),
            &text,
        );
        assert!(done.ok().starts_with("1 objects: 1 created"), "{text}");
    }
    let exported = run(program_on(&database, &["export"])).ok();
    let objects: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let board = objects
        .iter()
        .find(|object| object["connectorId"] == "io.github.acme/board")
        .unwrap();
    let said = [
        "name",
        "version",
        "serverUrl",
        "serverType",
        "status",
        "createdAt",
    ]
    .map(|key| &board[key]);
    let expected = [
        "Acme Board",
        "1.2.0",
        "https://mcp.acme.example/mcp",
        "http",
        "active",
        "2025-09-01T00:00:00Z",
    ];
    assert_eq!(said, expected.map(Value::from).each_ref());
    // The page has every exported key.
    let page = Page::read(PAGE).text;
    let keys = objects
        .iter()
        .flat_map(|object| object.as_object().unwrap().keys());
    for key in keys {
        assert!(page.contains(&format!("`{key}`")), "{PAGE} has no {key}");
    }
}

/// A service starts with the catalogue file of the page.
#[test]
fn the_catalogue_is_loaded() {
    let database = TestDatabase::sqlite();
    let blocks = Page::read(PAGE).blocks_in(&["json"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &blocks[1].1).unwrap();
    let flags = ["--catalog", file.path().to_str().unwrap()];
    crate::support::process::Serving::start(program_on(&database, &flags))
        .stop()
        .ok();
    let exported = run(program_on(&database, &["export"])).ok();
    assert_eq!(exported.lines().count(), 1);
    assert!(exported.contains(r#""id":"pcon_wiki""#), "{exported}");
}
