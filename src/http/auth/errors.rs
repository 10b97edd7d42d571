//! Errors of reading keys, and of starting with the rules of tokens.

use std::{io, path::PathBuf, time::Duration};

use crate::outbound::http_client::RequestError;

/// The most bytes of a JWKS.
pub(super) const JWKS_BYTES: usize = 1024 * 1024;
/// The longest time of one read of a JWKS.
pub(super) const JWKS_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason that the service cannot start with these [`TokenRules`](crate::config::TokenRules).
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("--jwks needs --jwt-issuer and --jwt-audience, which tokens are checked against")]
    IssuerAndAudience,
    #[error("--default-organization must be 1 to 255 characters without control characters")]
    DefaultOrganization,
    #[error(
        "--jwks: the URL must begin with https:// or http:// and hold no user name or password"
    )]
    JwksUrl,
    #[error("--jwks {}", path.display())]
    JwksFile {
        path: PathBuf,
        #[source]
        cause: Unread,
    },
    #[error("--jwks {}: the file has no key that verifies RS256, ES256 or EdDSA", .0.display())]
    NoKey(PathBuf),
}

/// The reason that a JWKS could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error("it cannot be read")]
    File(#[source] io::Error),
    #[error("it is not a regular file, and keys are read from it again and again")]
    NotAFile,
    #[error("it cannot be read within {} s: its file system hangs", JWKS_TIMEOUT.as_secs())]
    FileHangs,
    #[error("it cannot be fetched")]
    Fetch(#[source] RequestError),
    #[error("it is larger than {JWKS_BYTES} bytes")]
    TooLarge,
    // The parser's text is left out, because it may quote a secret.
    #[error("it is not a JWK Set (RFC 7517 §5)")]
    NotAJwkSet,
}
