//! Converts a bearer token to a [`Viewer`].
//!
//! Invariant: a user comes only from a token whose signature a configured key verified and whose claims meet all
//! [`TokenRules`]. An invalid header is a [`Refusal`], never an anonymous viewer.

use std::{fmt, future::pending, pin::pin, sync::Arc, time::Duration};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use entity::Timestamp;
use tokio::{sync::watch, time::sleep};

use crate::{
    clock::{Clock, Steps},
    config::{KeySource, TokenRules},
    domain::{field_values, viewer::Viewer},
    outbound::Outbound,
};

use super::{
    errors::StartError,
    keys::Keys,
    refusal::Refusal,
    token::{Jws, TokenEnd, Verified},
    token_cache,
};

/// The interval of checks of the wall clock, for connections that outlive a request.
const LOOK: Duration = Duration::from_secs(1);

/// Verifies bearer tokens.
pub(crate) struct Authenticator {
    rules: TokenRules,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: Clock,
    /// Notified when the wall clock steps.
    stepped: watch::Receiver<()>,
}

impl Authenticator {
    /// Reads the JWKS. A file must contain a key at the start; an unreachable URL is logged and tried again.
    pub(crate) async fn new(
        rules: TokenRules,
        outbound: Outbound,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let given =
            |texts: &[String]| !texts.is_empty() && texts.iter().all(|text| !text.is_empty());
        let both = given(&rules.issuers) && given(&rules.audiences);
        if !both && !matches!(rules.keys, KeySource::Secret(_)) {
            return Err(StartError::IssuerAndAudience);
        }
        if let Some(organization) = &rules.default_organization {
            field_values::principal("organization", organization)
                .map_err(|_| StartError::DefaultOrganization)?;
        }
        let keys = Keys::new(&rules, outbound, clock.clone()).await?;
        let (steps, stepped) = watch::channel(());
        tokio::spawn(watch(Steps::new(clock.clone()), steps));
        Ok(Self {
            rules,
            keys,
            clock,
            stepped,
        })
    }

    pub(in crate::http) fn max_token_bytes(&self) -> usize {
        self.rules.max_token_bytes
    }

    /// Returns whether there is a key to verify tokens with.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.current().is_empty()
    }

    /// Returns the caller of a request, if its token is cached.
    pub(crate) fn known(&self, headers: &HeaderMap) -> Option<Verified> {
        let token = bearer_token(headers).ok()??;
        let digest = token_cache::digest(token);
        let keys = self.keys.current();
        keys.tokens.get(&digest, self.clock.now())
    }

    /// Authenticates a request by its headers.
    pub(crate) async fn viewer(&self, headers: &HeaderMap) -> Result<Verified, Refusal> {
        let Some(token) = bearer_token(headers)? else {
            return if self.rules.anonymous_read {
                Ok(Verified {
                    viewer: Viewer::Anonymous,
                    expires_at: None,
                    key: None,
                })
            } else {
                Err(Refusal::Missing)
            };
        };
        let (bytes, most) = (token.len(), self.rules.max_token_bytes);
        if bytes > most {
            return Err(Refusal::TooLong { bytes, most });
        }
        let keys = self.keys.current();
        if keys.is_empty() {
            return Err(Refusal::NoKeys);
        }
        let digest = token_cache::digest(token);
        if let Some(verified) = keys.tokens.get(&digest, self.clock.now()) {
            return Ok(verified);
        }
        let jws = Jws::parse(token)?;
        let (keys, key) = match keys.verify(&jws) {
            Err(Refusal::UnknownKey) => {
                let fresh = self.keys.fresh().await;
                let is_known = Arc::ptr_eq(&keys, &fresh);
                let verified = if is_known {
                    Err(Refusal::UnknownKey)
                } else {
                    fresh.verify(&jws)
                };
                (fresh, verified)
            }
            verified => (keys, verified),
        };
        let key = match key {
            // The key may be one that could not be read.
            Err(Refusal::UnknownKey) if keys.is_empty() || self.keys.is_failing() => {
                return Err(Refusal::NoKeys);
            }
            key => key?,
        };
        // Reading keys may have taken seconds, so the time is read now.
        let now = self.clock.now();
        let (user, expires_at) = jws.user(&self.rules, now)?;
        let verified = Verified {
            viewer: Viewer::User(user),
            expires_at: Some(expires_at),
            key,
        };
        keys.tokens.insert(digest, verified.clone());
        Ok(verified)
    }

    /// Waits until the token expires, or until its key is removed. Never ends without a token.
    pub(crate) fn expiry(&self, verified: &Verified) -> impl Future<Output = TokenEnd> + use<> {
        let expired = self.expired(verified.expires_at);
        let gone = self.keys.gone(verified.key);
        async {
            tokio::select! {
                biased;
                () = expired => TokenEnd::Expired,
                end = gone => end,
            }
        }
    }

    /// Waits until a token expires, by the wall clock or by elapsed time, whichever comes first. Timers stop while the
    /// machine is suspended.
    fn expired(&self, expires_at: Option<Timestamp>) -> impl Future<Output = ()> + use<> {
        let (clock, mut stepped) = (self.clock.clone(), self.stepped.clone());
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

/// Sends steps of the wall clock while there are receivers.
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
        // The output has neither keys nor users.
        f.debug_struct("Authenticator")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Returns the token of the only `Authorization` header, if there is one (RFC 6750 §2.1): the scheme in any case (RFC
/// 9110 §11.1), spaces, and a `b64token`.
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
