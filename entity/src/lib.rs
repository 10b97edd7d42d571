//! The catalogue's tables, one module a table, and the enums and times their columns hold.
//!
//! Invariant: this crate knows SeaORM and nothing of GraphQL, so that a migration never changes the API by accident.

pub mod catalog_state;
pub mod check_lease;
pub mod connector_check;
pub mod connector_event;
pub mod connector_health;
pub mod connector_tool;
pub mod idempotency_key;
pub mod personal_connector;
pub mod search_word;
mod timestamp;
pub mod user_profile;
pub mod write_probe;

pub use connector_event::EventKind;
pub use connector_health::{Outcome, Transport};
pub use personal_connector::{
    CategorySource, ConnectorCategory, ConnectorSource, ConnectorStatus, ConnectorType,
    ConnectorVisibility, ServerType,
};
/// Gives all values of an enum.
pub use sea_orm::Iterable;
pub use timestamp::Timestamp;
pub use user_profile::UserKey;
