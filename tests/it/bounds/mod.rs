//! The memory that one caller can take, and that sixteen can take together: see `docs/operate/memory.md`.
//!
//! Each test measures a process of its own, by the peak of its resident memory.

mod answers;
mod bodies;
mod connections;
mod documents;
mod expensive_queries;
mod inspections;
mod sockets;
mod variables;

/// MiB that one request or socket may make the process grow by.
pub const ONE: u64 = 32;

/// MiB that an answer at its budget may make the process grow by.
pub const ANSWER: u64 = 64;

/// MiB that sixteen of the worst may make the process grow by together.
pub const SIXTEEN: u64 = 256;
