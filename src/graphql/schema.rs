//! The schema as a whole, and as SDL.

use async_graphql::{EmptySubscription, SDLExportOptions};

use super::{mutation::Mutation, query::Query};

pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

pub fn schema() -> Schema {
    Schema::build(Query, Mutation, EmptySubscription).finish()
}

/// The schema definition language of `schema.graphql`: sorted, so that it repeats.
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    let sdl = schema().sdl_with_options(options);
    let lines: Vec<_> = sdl.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim())
}
