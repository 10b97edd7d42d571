//! Helpers that several tests share.

pub mod checks;
pub mod clients;
pub mod connection;
pub mod connectors;
pub mod harness;
pub mod invariants;
pub mod mcp;
pub mod model;
pub mod mutations;
pub mod network;
pub mod objects;
pub mod process;
pub mod random;
pub mod saved;
pub mod schema;
pub mod waiting;
