//! HTTP: the router, and what of a request is HTTP's.
//!
//! Invariant: headers and status codes are known here and nowhere else.

pub mod admission;
pub mod auth;
pub mod connections;
pub mod cors;
mod date;
mod graphiql;
pub mod graphql;
mod probes;
mod rejection;
mod router;
pub mod serve;
mod shed;
pub mod stopping;

pub use probes::{Background, Probed};
pub use router::{Services, routers};
