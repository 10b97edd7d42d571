//! The GraphQL schema: types, queries, mutations.
//!
//! Invariant: what clients see is written here by hand over the models' values; a change of a table does not change it, and
//! an enum that drifts apart does not compile. No SQL, no HTTP.

mod context;
mod mutation;
mod query;
mod schema;
mod subscription;
mod types;

pub use context::{Permit, Request, Turn};
pub use schema::{Schema, introspector, schema, sdl, validator};
pub(crate) use types::DateTime;
