//! `/graphql`: GraphQL over HTTP, over WebSocket and over server-sent events.

pub(super) mod content_coding;
pub(super) mod endpoint;
pub(super) mod http_caching;
mod methods;
pub(super) mod negotiation;
mod request_body;
pub(crate) mod response_cache;
mod response_stream;
pub(super) mod service;
mod websocket;
