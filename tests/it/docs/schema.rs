//! The schema file, from which clients are generated.

use serde_json::json;

use crate::on_both;

use super::Page;

/// The page lists all types without an id, for the settings of a normalised cache. Connections, edges and payloads are
/// not listed.
#[test]
fn the_types_without_an_id_are_those_of_the_page() {
    const PAGE: &str = "docs/guides/clients.md";
    let sdl = personal_connectors::graphql::sdl();
    let types = sdl.split("\ntype ").skip(1).map(|text| {
        let body = text.split("\n}").next().unwrap();
        (text.split([' ', '{']).next().unwrap(), body)
    });
    let apart = ["Query", "Mutation", "Subscription", "PageInfo"];
    let ends = ["Connection", "Edge", "Payload"];
    let without = types.filter(|(name, body)| {
        !body.contains("\n  id: ID!")
            && !apart.contains(name)
            && !ends.iter().any(|end| name.ends_with(end))
    });
    let mut without: Vec<_> = without.map(|(name, _)| name).collect();
    without.sort_unstable();
    let page = Page::read(PAGE).text;
    let section = page.split_once("## Normalised caches").unwrap().1;
    let list = section
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert_eq!(
        list.split_whitespace().collect::<Vec<_>>(),
        without,
        "{PAGE}"
    );
}

/// `cargo run -- schema > schema.graphql` updates the file.
#[test]
fn the_file_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let file = std::fs::read_to_string(path).unwrap();
    let sdl = personal_connectors::graphql::sdl();
    assert!(
        file == sdl,
        "schema.graphql is stale: cargo run -- schema > schema.graphql"
    );
}

on_both! {
    async fn introspection_has_the_files_description(server: Server) {
        let data = server
            .data(
                "",
                "{ __schema { description } s: __schema { d: description } }",
                json!({}),
            )
            .await;
        let description = data["__schema"]["description"].as_str().unwrap();
        let sdl = personal_connectors::graphql::sdl();
        assert!(
            sdl.starts_with(&format!("\"\"\"\n{description}\n\"\"\"\nschema {{\n")),
            "{description}"
        );
        assert_eq!(data["s"]["d"], description);
    }
}
