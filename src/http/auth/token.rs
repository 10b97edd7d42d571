//! A JWT's parts: what its header asks for, and the user its claims name.
//!
//! Invariant: what is read from a token is checked here, against the [`TokenRules`] and the given time; the system's time and
//! the library's own rules have no say.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Map, Value};

use crate::{
    clock::Clock,
    config::{Secret, TokenRules},
    domain::{
        fields,
        viewer::{User, Viewer},
    },
};

use super::refusal::Refusal;

const MICROS: i64 = 1_000_000;

/// A digest of a key's name, algorithm and public part. The same key of two reads has the same one.
pub(super) type KeyDigest = [u8; 32];

/// A verified caller, with the expiry and the key of their token. The anonymous have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub viewer: Viewer,
    pub expires_at: Option<Timestamp>,
    /// The key of a JWKS; none of a secret.
    pub(super) key: Option<KeyDigest>,
}

/// Why a token that was good is good no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenEnd {
    #[error("the token has expired")]
    Expired,
    #[error("the token's key was withdrawn")]
    KeyWithdrawn,
    /// The keys are too old to be used. The token may be good again.
    #[error("there is no key to verify the token with now: try again later")]
    NoKeys,
}

/// A JWS in compact serialization (RFC 7515 §7.1), of which only the header has been read.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        if payload.contains('.') {
            return Err(Refusal::Malformed);
        }
        let header = object(header).ok_or(Refusal::Malformed)?;
        // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid, and none is.
        if header.contains_key("crit") {
            return Err(Refusal::Critical);
        }
        let algorithm = match header.get("alg") {
            Some(Value::String(alg)) => Algorithm::from_str(alg).map_err(|_| Refusal::Algorithm)?,
            _ => return Err(Refusal::Malformed),
        };
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Refusal::Malformed),
        };
        Ok(Self {
            algorithm,
            kid,
            signed,
            payload,
            signature,
        })
    }

    /// Whether `key` made the signature, with the algorithm that the key is bound to (RFC 8725 §3.1).
    pub(super) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm)
            .unwrap_or(false)
    }

    /// The user that the claims (RFC 7519 §4.1) name, and until when. To be asked of a verified token only.
    pub(super) fn user(
        &self,
        rules: &TokenRules,
        now: Timestamp,
    ) -> Result<(User, Timestamp), Refusal> {
        let claims = object(self.payload).ok_or(Refusal::Claims)?;

        let expires_at = numeric_date(&claims, "exp")?.ok_or(Refusal::NumericDate)?;
        if now >= expires_at {
            return Err(Refusal::Expired);
        }
        // The issuer's clock may be ahead of ours. `exp` has no leeway: a token ends when it says.
        let latest = now.saturating_add(rules.leeway);
        for begin in ["nbf", "iat"] {
            if numeric_date(&claims, begin)?.is_some_and(|at| latest < at) {
                return Err(Refusal::NotYet);
            }
        }
        if let Some(issuer) = &rules.issuer
            && claims.get("iss").is_none_or(|iss| iss != issuer)
        {
            return Err(Refusal::Issuer);
        }
        if let Some(audience) = &rules.audience
            && !claims.get("aud").is_some_and(|aud| match aud {
                Value::Array(several) => several.iter().any(|aud| aud == audience),
                one => one == audience,
            })
        {
            return Err(Refusal::Audience);
        }

        let id = principal(claims.get("sub")).ok_or(Refusal::Subject)?;
        let organization = match claims.get(&rules.organization_claim) {
            None | Some(Value::Null) => rules.default_organization.clone(),
            claim => Some(principal(claim).ok_or(Refusal::Organization)?),
        };
        let scopes = scopes(claims.get("scope")).ok_or(Refusal::Scope)?;
        let user = User {
            id,
            organization,
            scopes,
        };
        Ok((user, expires_at))
    }
}

/// A token for `user`, valid from now for `lifetime`, that these rules accept when `secret` is their key.
pub fn mint(
    secret: &Secret,
    rules: &TokenRules,
    user: &User,
    lifetime: Duration,
    clock: &Clock,
) -> Result<String, jsonwebtoken::errors::Error> {
    let issued_at = clock.now().0.div_euclid(MICROS);
    let expires_at = issued_at.saturating_add_unsigned(lifetime.as_secs());
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), user.id.clone().into());
    let scopes: Vec<&str> = user.scopes.iter().map(String::as_str).collect();
    claims.insert("scope".to_owned(), scopes.join(" ").into());
    claims.insert("iat".to_owned(), issued_at.into());
    claims.insert("exp".to_owned(), expires_at.into());
    for (name, value) in [
        (rules.organization_claim.as_str(), &user.organization),
        ("iss", &rules.issuer),
        ("aud", &rules.audience),
    ] {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value.clone().into());
        }
    }
    let header = jsonwebtoken::Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.bytes())?)
}

/// A part's JSON object. Of members of the same name the last one counts (RFC 7515 §4, RFC 7519 §4).
fn object(part: &str) -> Option<Map<String, Value>> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

/// A `NumericDate` (RFC 7519 §2): seconds since the epoch, fractions allowed.
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, Refusal> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "times beyond the end of time are the end of time: `as` saturates"
    )]
    let timestamp = |seconds: f64| Timestamp((seconds * 1e6).round() as i64);
    claims
        .get(name)
        .map(|date| date.as_f64().map(timestamp).ok_or(Refusal::NumericDate))
        .transpose()
}

fn principal(claim: Option<&Value>) -> Option<String> {
    fields::principal("principal", claim?.as_str()?).ok()
}

/// `scope` as RFC 8693 §4.2 has it, or an array of scopes as several issuers send it.
fn scopes(claim: Option<&Value>) -> Option<BTreeSet<String>> {
    match claim {
        None | Some(Value::Null) => Some(BTreeSet::new()),
        Some(Value::String(scopes)) => {
            let scopes = scopes.split(' ').filter(|scope| !scope.is_empty());
            Some(scopes.map(ToOwned::to_owned).collect())
        }
        Some(Value::Array(scopes)) => scopes
            .iter()
            .map(|scope| scope.as_str().map(ToOwned::to_owned))
            .collect(),
        Some(_) => None,
    }
}
