//! The program in operation.

mod backup;
mod cli;
mod clocks;
mod databases;
mod operations;
pub mod outage;
mod proxies;
mod read_only;
mod replicas;
mod rolling;
mod secrets;
mod settings;
mod start_errors;
mod stopping;
mod traces;
