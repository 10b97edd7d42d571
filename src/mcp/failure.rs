//! Failures of a server, in this service's words.

use std::error::Error as StdError;

use hyper::StatusCode;
use url::Url;

use super::guard::{Refusal, Unresolved};

/// The reason that an attempt failed. Its text completes "The server …", for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("is not called: {0}")]
    Blocked(#[from] Refusal),
    #[error("cannot be reached: {0}")]
    Unreachable(&'static str),
    #[error("cannot be reached: the outbound proxy cannot connect to it (HTTP status {0})")]
    ByProxy(u16),
    #[error("ends the connection in the middle of an answer")]
    Broken,
    #[error("does not answer in time")]
    Late,
    /// All `WWW-Authenticate` fields, and the URL of the response.
    #[error("asks for a sign-in")]
    AuthRequired(Vec<String>, Box<Url>),
    #[error("answers with HTTP status {0}")]
    Status(StatusCode),
    /// A close code of WebSocket (RFC 6455 §7.4, and IANA's registry).
    #[error("closes the WebSocket with code {0}")]
    Closed(u16),
    #[error("{0}")]
    NotMcp(&'static str),
    /// The coding's name, shortened for the message.
    #[error(
        "compresses its answers by {0:?}, which this service does not decode: gzip, deflate or br"
    )]
    UnknownCoding(String),
}

impl From<Unresolved> for Failure {
    fn from(unresolved: Unresolved) -> Self {
        match unresolved {
            Unresolved::Refused(refusal) => Self::Blocked(refusal),
            Unresolved::Unknown => Self::Unreachable("its host's name is not known"),
        }
    }
}

pub(super) const NO_CONNECTION: Failure =
    Failure::Unreachable("no connection can be made to its host and port");
pub(super) const NO_TLS: Failure =
    Failure::Unreachable("no secure connection can be made, or its certificate is not valid");
pub(super) const UNKNOWN_AUTHORITY: Failure = Failure::Unreachable(
    "its certificate is of an authority that is unknown here, and that the operator may add (--ca-file)",
);
/// A failure of the proxy, which ends the inspection without a verdict.
pub(super) const PROXY_AT_FAULT: Failure = Failure::Unreachable("the outbound proxy fails");
pub(super) const TOO_LARGE: Failure = Failure::NotMcp("sends more than this service accepts");
pub(super) const NOT_DECODED: Failure =
    Failure::NotMcp("sends an answer that its Content-Encoding does not decode");
pub(super) const NOT_JSON_RPC: Failure = Failure::NotMcp("sends a message that is not JSON-RPC");
pub(super) const EMPTY: Failure = Failure::NotMcp("answers with an empty body");
pub(super) const ACCEPTED: Failure = Failure::NotMcp("accepts a request without answering it");
pub(super) const NO_ANSWER: Failure = Failure::NotMcp("ends the connection without an answer");
pub(super) const ANOTHER_ANSWER: Failure =
    Failure::NotMcp("answers with the id of another request");
pub(super) const NO_ENDPOINT: Failure =
    Failure::NotMcp("opens an event stream without the address for messages");

/// Describes the failure of a request without the library's words. `connecting` is true before there is a connection.
pub(super) fn reason(error: &(dyn StdError + 'static), connecting: bool) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.clone();
        }
        if let Some(unresolved) = error.downcast_ref::<Unresolved>() {
            return unresolved.clone().into();
        }
        // An I/O error omits its inner error from its sources.
        let inner = error.downcast_ref::<std::io::Error>();
        cause = match inner.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    if connecting {
        NO_CONNECTION
    } else {
        Failure::Broken
    }
}
