//! The schema that clients are generated from.

/// `cargo run -- schema > schema.graphql` makes it fresh.
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
