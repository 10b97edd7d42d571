//! Stages that every operation passes: variables, limits, execution, completion.

mod completion;
mod limits;
mod persisted;
mod timeouts;
mod variables;
