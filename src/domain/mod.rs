//! The catalogue's rules: who may do what, what a connector is, how a list is asked for.
//!
//! Invariant: pure. Nothing here knows a database, GraphQL, HTTP or a runtime; of ours it imports only the errors and the
//! entity's enums and times.

pub mod changes;
pub mod connector;
pub mod cursor;
pub mod facets;
pub mod fields;
pub mod inspection;
pub mod listing;
pub mod order;
pub mod text;
pub mod tools;
pub mod viewer;
