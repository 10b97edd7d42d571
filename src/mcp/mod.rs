//! The client of MCP servers: permitted addresses, transports, and the reading of descriptions and lists.
//!
//! Invariant: nothing is sent without the [`guard`]'s permission, and
//! [`InspectionLimits`](crate::config::InspectionLimits) bound the cost of a server.

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
