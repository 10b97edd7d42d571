//! Mutations. Each one validates, writes and announces a change.
//!
//! Invariant: one function is one mutation. It takes the client's input, and commits its whole change or nothing.

pub(crate) mod connector;
mod context;
pub(crate) mod import;
pub(crate) mod inspection;
mod refusals;

pub use context::Context;
