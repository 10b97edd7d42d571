//! All SQL.
//!
//! Invariant: connectors are read through [`Catalog`], whose `visible()` begins every query of them, and written through
//! [`Tx`], which records an event under the next state number for each change. SQLite and PostgreSQL differ in `connect`,
//! `reader` (with `sqlite` and `rows`), `search` and `errors`, and in what [`filter::Lead`] says.

mod catalog;
mod checks;
mod connect;
mod counts;
mod errors;
mod events;
mod fields;
mod file;
mod filter;
mod health;
mod lease;
mod opening;
mod reader;
mod retention;
mod rows;
mod search;
mod sound;
mod sqlite;
mod sqlite_file;
mod state;
mod tail;
mod tally;
mod transaction;
mod wanted;
mod writable;
mod write;

pub use catalog::{Catalog, Hit};
pub use connect::Database;
pub use errors::taken;
pub use fields::{Field, Fields};
pub use file::{BackupError, DamageCheck, Made, backup};
pub use health::{Check, Place, Target};
pub use lease::{Candidate, Lease};
pub use opening::OpenError;
pub use retention::Retention;
pub use sound::{Soundness, check};
pub use state::{Pool, State, Version};
pub use tail::{Follower, Tail};
pub use tally::Tally;
pub use wanted::{Wanted, keep_running, while_wanted, work_while_kept};
pub use writable::{Unwritable, WriteWatch};
pub use write::{Actor, Tx, UpdatedAt};

use entity::personal_connector::Model;

use crate::domain::{connector::Availability, viewer::Ownership};

/// Whose a stored connector is.
pub fn ownership(model: &Model) -> Ownership<'_> {
    Ownership {
        r#type: model.r#type,
        visibility: model.visibility,
        organization: model.organization_id.as_deref(),
        created_by: model.created_by.as_deref(),
    }
}

/// A stored connector's availability.
pub fn availability(model: &Model) -> Availability {
    Availability {
        status: model.status,
        message: model.status_message.clone(),
        replaced_by: model.replaced_by_id.clone(),
    }
}
