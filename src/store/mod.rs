//! The store, with all SQL.
//!
//! Invariant: connectors are read through [`Catalog`], where every query starts from `visible()`. They are written
//! through [`Tx`], which records an event under the next state number for each change. SQLite and PostgreSQL differ
//! only in `database`, `catalog::search`, `errors` and [`catalog::filter::Lead`].

mod catalog;
mod changes;
mod checks;
mod database;
mod errors;
mod memory;
mod query;
mod tasks;
mod unwritable;
mod write;

pub(crate) use catalog::columns::Fields;
pub use catalog::rows::{draft, field_text, imported};
pub(crate) use catalog::rows::{file_details, uncurated};
pub use catalog::{Catalog, Hit};
pub use changes::change_follower::{ChangeFollower, ChangeStream, Passed};
pub use changes::state_poll::State;
pub use checks::due::{DuePosition, Target};
pub use database::backup::{BackupError, BackupReport, DamageCheck, backup};
pub use database::connect::Database;
pub(crate) use database::open_error::OpenError;
pub(crate) use database::pool::Pool;
pub use database::soundness::{Soundness, check};
pub(crate) use database::write_watch::WriteWatch;
pub(crate) use errors::{may_read_again, taken};
pub(crate) use memory::catalogue_version::Version;
pub(crate) use memory::check_counters::CheckCounters;
pub(crate) use tasks::{finished, keep_running};
pub(crate) use unwritable::Unwritable;
pub use write::lease::{Candidate, Lease};
pub use write::record_check::{Check, CheckTimes};
pub use write::retention::Retention;
pub use write::{Actor, Again, Tx, retry};

use entity::personal_connector::Model;

use crate::domain::{connector::Availability, viewer::Ownership};

/// Returns the owner and visibility of a stored connector.
pub fn ownership(model: &Model) -> Ownership<'_> {
    Ownership {
        r#type: model.r#type,
        visibility: model.visibility,
        organization: model.organization_id.as_deref(),
        created_by: model.created_by.as_deref(),
    }
}

/// Returns a stored connector's availability.
pub fn availability(model: &Model) -> Availability {
    Availability {
        status: model.status,
        message: model.status_message.clone(),
        replaced_by: model.replaced_by_id.clone(),
    }
}
