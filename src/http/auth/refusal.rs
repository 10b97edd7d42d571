//! Reasons to refuse a token, as the client sees them (RFC 6750, section 3).

use axum::http::{HeaderValue, StatusCode, header};

use crate::{error::Code, http::rejection::Rejection};

/// The reason that a request is refused. Its text is for the client, and contains nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this service needs a token: send the header Authorization: Bearer TOKEN")]
    Missing,
    #[error("the Authorization header must be of the Bearer scheme")]
    Scheme,
    #[error("there must be one header Authorization: Bearer TOKEN")]
    Header,
    #[error("the token has {bytes} bytes, and may have {most}")]
    TooLong { bytes: usize, most: usize },
    #[error("the token is not a signed JWT")]
    Malformed,
    #[error("the token has a crit header, and no extension is understood")]
    Critical,
    #[error("the token's algorithm is not supported, or not that of its key")]
    Algorithm,
    #[error("the service knows no key that could have signed the token")]
    UnknownKey,
    /// The token may be valid; the fault is not the caller's.
    #[error("the service has no key to verify the token now: try again later")]
    NoKeys,
    #[error("too many keys could have signed the token: it must name its key by kid")]
    AmbiguousKey,
    #[error("the token's signature is not valid")]
    Signature,
    #[error("the token's claims are not a JSON object")]
    Claims,
    #[error("the token must have exp, and exp, nbf and iat must be numbers of seconds")]
    NumericDate,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet: nbf or iat is in the future")]
    NotYet,
    #[error("the token is of another issuer (iss)")]
    Issuer,
    #[error("the token is for another audience (aud)")]
    Audience,
    #[error("the token's user must be a string of 1 to 255 characters without control characters")]
    Subject,
}

impl Refusal {
    /// Returns the value of `WWW-Authenticate` (RFC 6750 §3), without an error code if no bearer token was sent.
    pub(crate) fn www_authenticate(self) -> HeaderValue {
        let bare = HeaderValue::from_static("Bearer");
        let error = match self {
            Self::Missing | Self::Scheme => return bare,
            Self::Header => "invalid_request",
            _ => "invalid_token",
        };
        // All messages consist of characters that a header may contain.
        HeaderValue::try_from(format!(
            r#"Bearer error="{error}", error_description="{self}""#
        ))
        .unwrap_or(bare)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        if refusal == Refusal::NoKeys {
            return Self::unavailable(&message);
        }
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, &message)
            .with(header::WWW_AUTHENTICATE, refusal.www_authenticate())
    }
}
