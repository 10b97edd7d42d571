//! Sessions of PostgreSQL: connecting to one of several hosts, a pool of sessions, and statements with an end.
//!
//! Invariant: each await on a server has an end of this process. Where one strikes, its connection is dropped.

pub(crate) mod errors;
pub(crate) mod limits;
pub(crate) mod manager;
pub(crate) mod pool;
pub(crate) mod precondition;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod turn;
