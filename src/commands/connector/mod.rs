//! Mutations of a connector, one file each.

mod bulk;
mod change;
mod check;
mod create;
mod delete;
mod input_digest;
mod outcome;
mod queue_checks;
mod set_status;
mod update;

pub(crate) use bulk::{Bulk, BulkOutcome, Change as BulkChange, ErrorPolicy, Others, bulk};
pub(crate) use check::check;
pub(crate) use create::{Create, create, create_verified};
pub(crate) use delete::{Delete, delete};
pub(crate) use outcome::Outcome;
pub(crate) use queue_checks::queue_checks;
pub(crate) use set_status::{SetStatus, set_status};
pub(crate) use update::{Update, update};
