//! A client of a socket.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::{
    http::{
        admission::open_streams::OpenStream, auth::Verified, connections::peer::Peer,
        graphql::service::Service,
    },
    observability::request_record::RequestRecord,
};

/// A socket, with the handshake that opened it.
pub(super) struct Session {
    pub(super) service: Arc<Service>,
    /// The record of the handshake.
    pub(super) record: RequestRecord,
    pub(super) headers: HeaderMap,
    pub(super) peer: Option<Peer>,
}

/// An acknowledged client.
pub(super) struct Client {
    pub(super) verified: Verified,
    pub(super) open: OpenStream,
}
