//! Talking to MCP servers: which may be called, how it begins, and what is learned.
//!
//! Invariant: nothing is sent but by leave of the [`guard`], and what a server can cost is bounded by [`InspectionLimits`](crate::config::InspectionLimits).

mod authorization;
mod connection;
mod failure;
pub mod guard;
pub mod handshake;
pub(crate) mod inspections;
mod lookups;
mod measure;
pub mod memory;
mod offers;
pub(crate) mod stopwatch;
mod transport;
mod verdict;
mod wire;
