//! The GraphQL schema: types, queries, mutations.
//!
//! Invariant: what clients see is written here by hand over the models' values; a change of a table does not change it, and
//! an enum that drifts apart does not compile. No SQL, no HTTP.

pub mod coerce;
mod complete;
mod conflicts;
mod context;
mod encode;
mod mutation;
mod positions;
mod query;
mod schema;
mod subscription;
mod types;

pub use complete::complete;
pub use conflicts::conflicts;
pub use context::{HeldPlace, Request};
pub use encode::encode;
pub use positions::positions;
pub use schema::{Schema, schema, sdl, validator};
