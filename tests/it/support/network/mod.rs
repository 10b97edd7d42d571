//! A proxy and TLS between the service and a server.

pub mod proxy;
pub mod tls;
