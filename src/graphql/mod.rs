//! The GraphQL schema: types, queries, mutations and subscriptions.
//!
//! Invariant: the API is written by hand over the models' values, so that a change of a table does not change it. An
//! enum that differs from its counterpart does not compile. No SQL, no HTTP.

mod changes;
mod connector;
mod context;
mod enums;
pub(crate) mod field_traits;
mod inspection;
mod list;
mod node;
mod page_info;
mod roots;
mod scalars;
mod schema;
mod text;
mod user;
mod user_error;
mod viewer;

pub(crate) use connector::{DirectQuery, DirectRead, PLACEHOLDER, ParsedField, SelectedField};
pub use context::{EventIds, Permit, Request, Turn};
pub(crate) use scalars::DateTime;
pub use schema::{Schema, introspector, schema, sdl, type_definitions, validator};
