//! Helpers of several tests.

pub mod connectors;
pub mod harness;
pub mod mcp;
pub mod model;
pub mod mutations;
pub mod process;
pub mod subscribers;
pub mod world;
