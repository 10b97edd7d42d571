//! Transports to MCP servers.

mod events;
pub(super) mod message;
pub(super) mod sse;
mod streamable_http;
pub(super) mod websocket;

pub(super) use streamable_http::streamable_http;
