//! The peer of a connection.

use std::net::IpAddr;

use axum::http::Extensions;

/// The peer of a connection, stored as an extension of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Peer {
    Address(IpAddr),
    /// A process of this machine, over a Unix socket. It counts as a trusted proxy.
    Local,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// Returns the peer of a request's connection.
pub(in crate::http) fn peer(extensions: &Extensions) -> Option<Peer> {
    extensions.get().copied()
}
