//! Mutations: each decides, writes and announces a change.
//!
//! Invariant: one function a mutation; it is given what a client sent, and either all of its change is committed or none.

pub(crate) mod connector;
mod context;
pub(crate) mod import;
pub(crate) mod inspection;
mod refusals;

pub use context::Context;
