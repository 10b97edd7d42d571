//! The methods of `/graphql` (GraphQL over HTTP, section 5): queries by GET and HEAD, every operation by POST.

use async_graphql::parser::types::OperationType;
use axum::http::{HeaderValue, Method, StatusCode, header};

use crate::{error::Code, http::rejection::Rejection};

/// An allowed method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Allowed {
    /// GET or HEAD. HEAD is answered like GET, without content (RFC 9110, section 9.3.2).
    Get,
    Post,
}

impl Allowed {
    pub(super) fn of(method: &Method) -> Result<Self, Rejection> {
        match *method {
            Method::GET | Method::HEAD => Ok(Self::Get),
            Method::POST => Ok(Self::Post),
            _ => Err(not_allowed("use GET or POST", "GET, HEAD, POST")),
        }
    }

    /// Rejects a mutation by GET, so that following a link changes nothing.
    pub(super) fn admits(self, operation: Option<OperationType>) -> Result<(), Rejection> {
        if self == Self::Get && operation == Some(OperationType::Mutation) {
            return Err(not_allowed("use POST for a mutation", "POST"));
        }
        Ok(())
    }
}

fn not_allowed(message: &str, allow: &'static str) -> Rejection {
    let rejection = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, message);
    rejection.with(header::ALLOW, HeaderValue::from_static(allow))
}
