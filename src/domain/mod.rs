//! The catalogue's rules: who may do what, what a connector is, how a list is asked for.
//!
//! Invariant: pure. Nothing here knows a database, GraphQL, HTTP or a runtime; of ours it imports only the errors and the
//! entity's enums and times.

pub mod changes;
pub(crate) mod check_history;
pub mod connector;
pub mod cursor;
pub(crate) mod facets;
pub mod field;
pub mod field_values;
pub mod inspection;
pub mod listing;
pub mod order;
pub(crate) mod server_address;
pub(crate) mod spelling;
pub mod text;
pub(crate) mod tools;
pub mod viewer;
