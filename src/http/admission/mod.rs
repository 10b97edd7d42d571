//! Admission of requests before any work: concurrency, rate limits and authentication.
//!
//! [`Admitted`] is the extractor for any route whose state has an [`Admission`].

pub(crate) mod client_address;
pub(crate) mod concurrency;
pub(crate) mod open_streams;
pub(crate) mod rate_limit;

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use tokio::time::Instant;

use crate::{answer_budget::CallerKey, graphql::Permit};

use super::{
    auth::{Authenticator, Refusal, TokenEnd, Verified},
    connections::peer::{Peer, peer},
    rejection::Rejection,
};

use client_address::Asked;
use concurrency::{ConcurrencyLimit, Full};
use rate_limit::{Caller, RateLimit, TooMany};

/// The limits of all requests, and the authenticator.
#[derive(Clone, Debug)]
pub(crate) struct Admission(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    concurrency: ConcurrencyLimit,
    rate_limit: RateLimit,
    authenticator: Authenticator,
    keys: RandomState,
}

/// An admitted request with its caller, or the reason that it has none.
///
/// A request is rejected with 503 under overload, and with 429 beyond its caller's rate. The handler answers the
/// [`Refusal`] of a bad token, and acquires an [`Admission::permit`] before its work.
pub(super) struct Admitted(pub(super) Result<Verified, Refusal>);

impl<S> FromRequestParts<S> for Admitted
where
    Admission: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let admission = Admission::from_ref(state);
        let admitted = admission.admit(peer(&parts.extensions), &parts.headers);
        match admitted.await {
            Ok(verified) => Ok(Self(verified)),
            Err(rejection) => Err(rejection.unread(&parts.headers)),
        }
    }
}

impl Admission {
    pub(crate) fn new(
        concurrency: ConcurrencyLimit,
        rate_limit: RateLimit,
        authenticator: Authenticator,
    ) -> Self {
        Self(Arc::new(Limits {
            concurrency,
            rate_limit,
            authenticator,
            keys: RandomState::new(),
        }))
    }

    async fn admit(
        &self,
        peer: Option<Peer>,
        headers: &HeaderMap,
    ) -> Result<Result<Verified, Refusal>, Rejection> {
        let Limits { concurrency, .. } = &*self.0;
        concurrency.check()?;
        Ok(self.verify(peer, headers).await?)
    }

    /// Authenticates a request by its headers, and charges its caller.
    pub(super) async fn verify(
        &self,
        peer: Option<Peer>,
        headers: &HeaderMap,
    ) -> Result<Result<Verified, Refusal>, TooMany> {
        let Limits {
            rate_limit,
            authenticator,
            ..
        } = &*self.0;
        rate_limit.admit(authenticator, peer, headers).await
    }

    /// Waits for a permit to run a request, until the deadline.
    pub(super) async fn permit(&self, deadline: Instant) -> Result<Permit, Full> {
        let permit = self.0.concurrency.acquire(deadline).await?;
        Ok(Permit::new(permit))
    }

    /// Returns the caller whose limits apply: the user, or else the address.
    pub(super) fn caller(
        &self,
        verified: &Verified,
        peer: Option<Peer>,
        headers: &HeaderMap,
    ) -> Option<Caller> {
        self.0.rate_limit.caller(verified, peer, headers)
    }

    /// Returns a caller's key for response budgets.
    pub(super) fn key(&self, caller: Option<&Caller>) -> Option<CallerKey> {
        caller.map(|caller| CallerKey(self.0.keys.hash_one(caller)))
    }

    pub(super) fn address(&self, peer: Option<Peer>, headers: &HeaderMap) -> Option<Caller> {
        self.0.rate_limit.address(peer, headers)
    }

    /// Returns the URL that a client requested, as trusted proxies report it.
    pub(super) fn asked(&self, peer: Option<Peer>, headers: &HeaderMap) -> Asked {
        self.0.rate_limit.asked(peer, headers)
    }

    /// Charges a caller for one more request.
    pub(super) fn charge(&self, caller: &Caller) -> Result<(), TooMany> {
        self.0.rate_limit.charge(caller)
    }

    /// Waits until a caller's token ends. See [`Authenticator::expiry`].
    pub(super) fn expiry(&self, verified: &Verified) -> impl Future<Output = TokenEnd> + use<> {
        self.0.authenticator.expiry(verified)
    }

    /// Returns the longest accepted token.
    pub(super) fn max_token_bytes(&self) -> usize {
        self.0.authenticator.max_token_bytes()
    }

    /// Returns whether there is a key to verify tokens with.
    pub(super) fn has_keys(&self) -> bool {
        self.0.authenticator.has_keys()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use axum::{
        Router,
        body::Body,
        extract::Request,
        http::{StatusCode, header::AUTHORIZATION},
        routing::get,
    };
    use entity::Timestamp;
    use tower::ServiceExt;

    use crate::{
        clock::Clock,
        config::{KeySource, OutboundRules, Secret, TokenRules},
        domain::viewer::{Profile, User},
        http::auth::mint,
        outbound::Outbound,
    };

    use super::{client_address::TrustedProxies, *};

    /// The state of a route besides the GraphQL endpoint.
    #[derive(Clone)]
    struct Other(Admission);

    impl FromRef<Other> for Admission {
        fn from_ref(Other(admission): &Other) -> Self {
            admission.clone()
        }
    }

    /// Responds with the caller's name.
    async fn name(Admitted(verified): Admitted) -> Result<String, StatusCode> {
        let verified = verified.map_err(|_| StatusCode::UNAUTHORIZED)?;
        let user = verified.viewer.user().map(|user| user.id.clone());
        Ok(user.unwrap_or_default())
    }

    #[tokio::test]
    async fn any_route_admits_by_the_extractor() {
        let clock = Clock::fixed(Timestamp(1_735_689_600_000_000));
        let secret = Secret::new(*b"a secret of the tests: 32 bytes.").unwrap();
        let rules = TokenRules {
            keys: KeySource::Secret(secret.clone()),
            jwks_max_age: Duration::from_hours(24),
            leeway: Duration::from_mins(1),
            issuers: Vec::new(),
            audiences: Vec::new(),
            user_claim: "sub".to_owned(),
            organization_claims: vec!["org_id".to_owned()],
            scope_claims: vec!["scope".to_owned()],
            name_claim: None,
            picture_claim: None,
            scope_prefix: None,
            default_organization: None,
            max_token_bytes: 16 * 1024,
            anonymous_read: false,
        };
        let user = User {
            id: "ann".to_owned(),
            organization: None,
            scopes: BTreeSet::new(),
            profile: Profile::default(),
        };
        let token = mint(&secret, &rules, &user, Duration::from_mins(1), &clock).unwrap();
        let outbound = Outbound::new(&OutboundRules::default()).unwrap();
        let admission = Admission::new(
            ConcurrencyLimit::new(1),
            RateLimit::new(1, TrustedProxies::default(), clock.clone()),
            Authenticator::new(rules, outbound, clock).await.unwrap(),
        );
        let router = Router::new()
            .route("/name", get(name))
            .with_state(Other(admission));
        let status = async |authorization: &str| {
            let request = Request::get("/name").header(AUTHORIZATION, authorization);
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap());
            response.await.unwrap().status().as_u16()
        };
        assert_eq!(status("Bearer nonsense").await, 401);
        let bearer = format!("Bearer {token}");
        let statuses = [
            status(&bearer).await,
            status(&bearer).await,
            status(&bearer).await,
        ];
        assert_eq!(statuses, [200, 200, 429]);
    }
}
