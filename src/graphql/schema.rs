//! The schema as a whole, and as SDL.

use async_graphql::{EmptySubscription, SDLExportOptions};

use super::{mutation::Mutation, query::Query};

pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

pub fn schema() -> Schema {
    Schema::build(Query, Mutation, EmptySubscription).finish()
}

/// The schema definition language of `schema.graphql`: sorted, so that it repeats, and without the built-in directives
/// (GraphQL, section 3.13).
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .use_space_ident();
    let sdl = schema().sdl_with_options(options);
    let sdl: Vec<_> = sdl.lines().map(str::trim_end).collect();
    let sdl = sdl.join("\n");
    let is_directive = |block: &&str| block.lines().any(|line| line.starts_with("directive @"));
    let blocks = sdl.trim().split("\n\n").map(str::trim);
    let blocks: Vec<_> = blocks.filter(|block| !is_directive(block)).collect();
    format!("{}\n", blocks.join("\n\n"))
}
