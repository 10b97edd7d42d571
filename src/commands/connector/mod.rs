//! One file for each mutation of a connector.

mod change;
pub(super) mod check;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod set_status;
pub(super) mod update;
