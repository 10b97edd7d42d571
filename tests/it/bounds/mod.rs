//! The memory that one caller can use, and that sixteen can use together: see `docs/operate/memory.md`.
//!
//! Each test measures a separate process by the peak of its resident memory.

mod answers;
mod bodies;
mod connections;
mod documents;
mod expensive_queries;
mod inspections;
mod sockets;
mod variables;

/// MiB by which one request or socket may grow the process.
pub const ONE: u64 = 32;

/// MiB by which a response at its limit may grow the process.
pub const ANSWER: u64 = 64;

/// MiB by which sixteen of the worst requests together may grow the process.
pub const SIXTEEN: u64 = 256;
