//! Large catalogues and high load.

mod plans;
mod statements;
mod statistics;
mod storm;
