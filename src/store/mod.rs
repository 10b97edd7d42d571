//! All SQL.
//!
//! Invariant: connectors are read through [`Catalog`], whose `visible()` begins every query of them, and written through
//! [`Tx`], which records an event under the next state number for each change. SQLite and PostgreSQL differ in `database`, in
//! `catalog::search` and `errors`, and in what [`catalog::filter::Lead`] says.

mod cancellation;
mod catalog;
mod changes;
mod checks;
mod database;
mod errors;
mod write;

pub use cancellation::{CancelGuard, cancel_on_drop, keep_running, spawn_cancellable};
pub use catalog::columns::{Field, Fields};
pub use catalog::{Catalog, Hit};
pub use changes::catalogue_version::Version;
pub use changes::change_follower::{ChangeFollower, ChangeStream};
pub use changes::retention::Retention;
pub use changes::state_poll::State;
pub use checks::counters::CheckCounters;
pub use checks::due::{DuePosition, Target};
pub use checks::lease::{Candidate, Lease};
pub use checks::record::Check;
pub use database::backup::{BackupError, BackupReport, DamageCheck, backup};
pub use database::connect::Database;
pub use database::open_error::OpenError;
pub use database::pool::Pool;
pub use database::soundness::{Soundness, check};
pub use database::unwritable::Unwritable;
pub use database::write_watch::WriteWatch;
pub use errors::{may_read_again, taken};
pub use write::{Actor, Again, Tx, UpdatedAt, retry};

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
