//! Tests of the service as users see it: the real router over real sockets, on real databases.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]
#![expect(
    clippy::too_many_lines,
    reason = "a test tells a story in one function, and a table is as long as it is"
)]
#![expect(unreachable_pub, reason = "nothing outside reaches a test")]

mod bounds;
mod catalog;
mod changes;
mod commands;
mod docs;
mod http;
mod interchange;
mod mcp;
mod monitor;
mod operate;
mod performance;
mod pipeline;
mod postgres;
mod support;
mod torture;
