//! Talking to MCP servers: which may be called, how it begins, and what is learned.
//!
//! Invariant: nothing is sent but by [`guard`], and what a server can cost is bounded by [`handshake::Limits`].

pub mod guard;
