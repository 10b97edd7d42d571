//! HTTP: the router, and what of a request is HTTP's.
//!
//! Invariant: headers and status codes are known here and nowhere else.

pub(crate) mod admission;
pub mod auth;
pub mod connections;
pub(crate) mod cors;
mod date;
mod graphiql;
pub(crate) mod graphql;
mod probes;
mod rejection;
mod router;
mod schema_file;
pub mod serve;
mod shed;
pub mod stopping;

pub(crate) use probes::{Background, Probed};
pub use router::{Routes, Services, routes};
