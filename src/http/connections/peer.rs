//! The other end of a connection.

use std::net::IpAddr;

use axum::http::Extensions;

/// The other end of a connection, as an extension of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Peer {
    Address(IpAddr),
    /// A process of this machine, over a Unix socket. It is a trusted proxy.
    Local,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// The other end of a request's connection.
pub(in crate::http) fn peer(extensions: &Extensions) -> Option<Peer> {
    extensions.get().copied()
}
