//! The schema from which clients are generated.

use serde_json::json;

use crate::on_both;

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
        let data = server.data("", "{ __schema { description } s: __schema { d: description } }", json!({})).await;
        let description = data["__schema"]["description"].as_str().unwrap();
        let sdl = personal_connectors::graphql::sdl();
        assert!(sdl.starts_with(&format!("\"\"\"\n{description}\n\"\"\"\nschema {{\n")), "{description}");
        assert_eq!(data["s"]["d"], description);
    }
}
