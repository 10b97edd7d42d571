//! The catalogue's tables, one module each, with the enums and times of their columns.
//!
//! Invariant: this crate depends on SeaORM and not on GraphQL, so that a migration never changes the API by accident.

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
/// Iterates over all values of an enum.
pub use sea_orm::Iterable;
pub use timestamp::Timestamp;
pub use user_profile::UserKey;
