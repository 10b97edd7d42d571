//! The catalogue's rules: permissions, connectors and lists.
//!
//! Invariant: pure. It depends on no database, GraphQL, HTTP or runtime. It imports only the errors, and the enums and
//! times of the entity crate.

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
pub mod text;
pub(crate) mod tools;
pub mod viewer;
