//! Large catalogues and high load.

mod plans;
mod statements;
pub mod storm;
