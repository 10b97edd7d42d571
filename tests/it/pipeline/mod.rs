//! Stages of every operation: variables, limits, execution and completion.

mod completion;
mod dropped_reads;
mod limits;
mod persisted;
mod skipped;
mod timeouts;
mod unset_null_default;
mod variables;
