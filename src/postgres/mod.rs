//! PostgreSQL: connecting to one of several hosts, a pool of sessions, and statements with a time limit.
//!
//! Invariant: each await on a server has a time limit of this process. When it expires, the connection is dropped.

pub(crate) mod errors;
pub(crate) mod limits;
pub(crate) mod manager;
pub(crate) mod pool;
pub(crate) mod precondition;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod turn;
