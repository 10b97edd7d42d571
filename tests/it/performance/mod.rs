//! Large catalogues and high load.

mod explain;
mod plans;
mod search_plans;
mod statements;
mod statistics;
mod storm;
