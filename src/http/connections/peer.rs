//! The address at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use axum::http::Extensions;

/// The address at the other end of a connection, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The address at the other end of a request's connection.
pub(in crate::http) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|Peer(address)| address.ip())
}
