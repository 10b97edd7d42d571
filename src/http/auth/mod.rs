//! From a bearer token to a [`Viewer`].
//!
//! Invariant: a user comes only from a token whose signature a configured key verified and whose claims keep every one of the
//! [`TokenRules`]; whatever is wrong with a header that was sent is a [`Refusal`], never an anonymous viewer.

mod keys;
#[cfg(test)]
mod tests;
mod token;
mod token_cache;

use std::{fmt, future::pending, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use entity::Timestamp;
use tokio::{sync::watch, time::sleep};

use crate::{
    clock::{Clock, Steps},
    config::{KeySource, TokenRules},
    domain::{fields, viewer::Viewer},
};

use keys::Keys;
use token::Jws;

pub use keys::Unread;
pub use token::mint;

/// How often the wall clock is looked at, for connections that outlive a request.
const LOOK: Duration = Duration::from_secs(1);

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES: usize = 8 * 1024;

/// Tells who calls.
pub struct Authenticator {
    rules: TokenRules,
    keys: Arc<Keys>,
    clock: Clock,
    /// Changes when the wall clock steps.
    stepped: watch::Receiver<()>,
}

/// Who calls, and until when a long-lived connection may go on believing it; without end for the anonymous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub viewer: Viewer,
    pub expires_at: Option<Timestamp>,
}

/// Why the service cannot start with these [`TokenRules`].
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("tokens verified with a JWKS need an issuer and an audience to be checked against")]
    IssuerAndAudience,
    #[error("the default organization must be 1 to 255 characters without control characters")]
    DefaultOrganization,
    #[error(
        "--jwks: the URL must begin with https:// or http:// and hold no user name or password"
    )]
    JwksUrl,
    #[error("the HTTP client for the JWKS URL cannot be built")]
    HttpClient(#[source] reqwest::Error),
    #[error("--jwks {}", path.display())]
    JwksFile {
        path: PathBuf,
        #[source]
        cause: Unread,
    },
    #[error("--jwks {}: the file has no key that verifies RS256, ES256 or EdDSA", .0.display())]
    NoKey(PathBuf),
}

/// Why a request is not let through, in words its sender may read: they hold nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a bearer token is required")]
    Missing,
    #[error("the Authorization header must be of the Bearer scheme")]
    Scheme,
    #[error("there must be one Authorization header, of the form: Bearer token")]
    Header,
    #[error("the token is longer than {TOKEN_BYTES} bytes")]
    TooLong,
    #[error("the token is not a signed JWT")]
    Malformed,
    #[error("the token has a crit header, and no extension is understood")]
    Critical,
    #[error("the token's algorithm is not supported, or not that of its key")]
    Algorithm,
    #[error("no key is known that the token could be signed with")]
    UnknownKey,
    #[error("more than one key could have signed the token")]
    AmbiguousKey,
    #[error("the token's signature is not valid")]
    Signature,
    #[error("the token's claims are not a JSON object")]
    Claims,
    #[error("exp is required, and exp, nbf and iat must be numbers of seconds")]
    NumericDate,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("sub must be a string of 1 to 255 characters without control characters")]
    Subject,
    #[error("the organization must be a string of 1 to 255 characters without control characters")]
    Organization,
    #[error("scope must be a string of scopes between spaces, or an array of strings")]
    Scope,
}

impl Authenticator {
    /// Reads the JWKS. A file must have a key to start with; a URL that cannot be fetched is logged, and tried again when a
    /// token comes.
    pub async fn new(rules: TokenRules, clock: Clock) -> Result<Self, StartError> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let both = given(&rules.issuer) && given(&rules.audience);
        if !both && !matches!(rules.keys, KeySource::Secret(_)) {
            return Err(StartError::IssuerAndAudience);
        }
        if let Some(organization) = &rules.default_organization {
            fields::principal("organization", organization)
                .map_err(|_| StartError::DefaultOrganization)?;
        }
        let keys = Keys::new(&rules.keys, clock.clone()).await?;
        let (steps, stepped) = watch::channel(());
        tokio::spawn(watch(Steps::new(clock.clone()), steps));
        Ok(Self {
            rules,
            keys,
            clock,
            stepped,
        })
    }

    /// Whether there is a key to verify a token with. Where there is none, it is asked for.
    pub fn has_keys(&self) -> bool {
        self.keys.are_there()
    }

    /// Who sent a request with these headers, where its token was verified before.
    pub fn known(&self, headers: &HeaderMap) -> Option<Verified> {
        let token = bearer_token(headers).ok()??;
        let digest = token_cache::digest(token);
        let keys = self.keys.current();
        keys.remembered.get(&digest, self.clock.now())
    }

    /// Who sent a request with these headers.
    pub async fn viewer(&self, headers: &HeaderMap) -> Result<Verified, Refusal> {
        let Some(token) = bearer_token(headers)? else {
            return if self.rules.anonymous_read {
                Ok(Verified {
                    viewer: Viewer::Anonymous,
                    expires_at: None,
                })
            } else {
                Err(Refusal::Missing)
            };
        };
        if token.len() > TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let keys = self.keys.current();
        let digest = token_cache::digest(token);
        if let Some(verified) = keys.remembered.get(&digest, self.clock.now()) {
            return Ok(verified);
        }
        let jws = Jws::parse(token)?;
        let keys = match keys.verify(&jws) {
            Ok(()) => keys,
            Err(Refusal::UnknownKey) => {
                let keys = self.keys.fresh().await;
                keys.verify(&jws)?;
                keys
            }
            Err(refusal) => return Err(refusal),
        };
        // The time of now: reading keys may have taken seconds.
        let now = self.clock.now();
        let (user, expires_at) = jws.user(&self.rules, now)?;
        let viewer = Viewer::User(user);
        keys.remembered
            .insert(digest, viewer.clone(), expires_at, now);
        Ok(Verified {
            viewer,
            expires_at: Some(expires_at),
        })
    }

    /// Ends when the token expires: by the wall clock, or by the time that has passed, whichever comes first. Timers stand
    /// still while the machine is suspended. Never ends where there is no token.
    pub fn expiry(&self, verified: &Verified) -> impl Future<Output = ()> + use<> {
        let (clock, mut stepped) = (self.clock.clone(), self.stepped.clone());
        let expires_at = verified.expires_at;
        async move {
            let Some(expires_at) = expires_at else {
                return pending().await;
            };
            let mut passed = pin!(sleep(expires_at.since(clock.now())));
            while clock.now() < expires_at {
                tokio::select! {
                    () = &mut passed => return,
                    changed = stepped.changed() => if changed.is_err() {
                        return passed.await;
                    },
                }
            }
        }
    }
}

/// Tells of steps of the wall clock as long as somebody listens.
async fn watch(mut clock: Steps, steps: watch::Sender<()>) {
    while !steps.is_closed() {
        sleep(LOOK).await;
        if clock.stepped() {
            steps.send_replace(());
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the keys nor whom they verified.
        f.debug_struct("Authenticator")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Refusal {
    /// The value of `WWW-Authenticate` (RFC 6750 §3): no error code where no bearer token was sent.
    pub fn www_authenticate(self) -> HeaderValue {
        let bare = HeaderValue::from_static("Bearer");
        let error = match self {
            Self::Missing | Self::Scheme => return bare,
            Self::Header => "invalid_request",
            _ => "invalid_token",
        };
        // The messages are all of characters that a header may hold.
        HeaderValue::try_from(format!(
            r#"Bearer error="{error}", error_description="{self}""#
        ))
        .unwrap_or(bare)
    }
}

/// The token of the one `Authorization` header, if there is a header (RFC 6750 §2.1): the scheme in any case (RFC 9110
/// §11.1), spaces, and a `b64token`.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().map_err(|_| Refusal::Header)?,
        (Some(_), Some(_)) => return Err(Refusal::Header),
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Scheme);
    }
    let token = token.trim_start_matches(' ');
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || !token.bytes().all(legal) {
        return Err(Refusal::Header);
    }
    Ok(Some(token))
}
