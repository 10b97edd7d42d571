//! The personal-connectors service: a catalogue of MCP connectors behind GraphQL.
//!
//! `ARCHITECTURE.md` has the map of these rooms and the doors between them.

pub mod clock;
pub mod commands;
pub mod domain;
pub mod error;
pub mod graphql;
pub mod store;
