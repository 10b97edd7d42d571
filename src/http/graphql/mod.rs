//! `/graphql`: GraphQL over HTTP, over WebSocket and over server-sent events.

pub(super) mod endpoint;
mod http_caching;
mod negotiation;
pub mod response_cache;
mod server_sent_events;
mod websocket;
