//! HTTP: the router, connections, and all handling of headers and status codes.
//!
//! Invariant: no other module knows headers and status codes.

pub(crate) mod admission;
pub mod auth;
pub mod connections;
pub(crate) mod cors;
mod date;
pub(crate) mod graphql;
mod pages;
mod probes;
mod rejection;
mod router;
mod schema_file;
pub mod serve;
mod shed;
pub mod stopping;

pub(crate) use probes::{Background, Probed};
pub use router::{Routes, Services, routes};
