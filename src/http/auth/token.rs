//! The parts of a JWT: its header, and the user in its claims.
//!
//! Invariant: this module checks all that is read from a token, against the [`TokenRules`] and the given time. It uses
//! neither the system's time nor the library's own rules.

use std::{str::FromStr, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::Value;

use crate::{
    clock::Clock,
    config::{Secret, TokenRules},
    domain::viewer::{User, Viewer},
};

use super::{
    claims::{self, Claims},
    refusal::Refusal,
};

const MICROS: i64 = 1_000_000;

/// A digest of a key's name, algorithm and public part. A key has the same digest in each read.
pub(super) type KeyDigest = [u8; 32];

/// A verified caller, with the expiry and the key of their token. An anonymous caller has neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) viewer: Viewer,
    pub(crate) expires_at: Option<Timestamp>,
    /// The key of a JWKS; none for a secret.
    pub(super) key: Option<KeyDigest>,
}

/// The reason that a valid token became invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenEnd {
    #[error("the token has expired")]
    Expired,
    #[error("the token's key was withdrawn")]
    KeyWithdrawn,
    /// The keys are too old. The token may become valid again.
    #[error("the service has no key to verify the token now: try again later")]
    NoKeys,
}

/// A JWS in compact serialization (RFC 7515 §7.1), with only its header read.
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
        // RFC 7515 §4.1.11: an unsupported extension invalidates the token, and none is supported.
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

    /// Returns whether `key` made the signature, with the algorithm that it is bound to (RFC 8725 §3.1).
    pub(super) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm)
            .unwrap_or(false)
    }

    /// Returns the user of the claims (RFC 7519 §4.1) and the expiry. Only for a token with a verified signature.
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
        // The issuer's clock may be ahead. `exp` has no leeway, so a token ends when it says.
        let latest = now.saturating_add(rules.leeway);
        for begin in ["nbf", "iat"] {
            if numeric_date(&claims, begin)?.is_some_and(|at| latest < at) {
                return Err(Refusal::NotYet);
            }
        }
        let is_of = |issuer: &String| claims.get("iss").is_some_and(|iss| iss == issuer);
        if !rules.issuers.is_empty() && !rules.issuers.iter().any(is_of) {
            return Err(Refusal::Issuer);
        }
        let is_for = |audience: &String| match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(|aud| aud == audience),
            Some(one) => one == audience,
            None => false,
        };
        if !rules.audiences.is_empty() && !rules.audiences.iter().any(is_for) {
            return Err(Refusal::Audience);
        }
        Ok((claims::user(&claims, rules)?, expires_at))
    }
}

/// Makes a token for `user`, valid from now for `lifetime`. The rules accept it if `secret` is their key.
pub fn mint(
    secret: &Secret,
    rules: &TokenRules,
    user: &User,
    lifetime: Duration,
    clock: &Clock,
) -> Result<String, jsonwebtoken::errors::Error> {
    let issued_at = clock.now().0.div_euclid(MICROS);
    let expires_at = issued_at.saturating_add_unsigned(lifetime.as_secs());
    let mut claims = Claims::new();
    claims.insert(rules.user_claim.clone(), user.id.clone().into());
    claims.insert("iat".to_owned(), issued_at.into());
    claims.insert("exp".to_owned(), expires_at.into());
    let scopes: Vec<&str> = user.scopes.iter().map(String::as_str).collect();
    let (iss, aud) = ("iss".to_owned(), "aud".to_owned());
    for (name, value) in [
        (rules.scope_claims.first(), Some(scopes.join(" "))),
        (rules.organization_claims.first(), user.organization.clone()),
        (rules.name_claim.as_ref(), user.profile.name.clone()),
        (
            rules.picture_claim.as_ref(),
            user.profile.picture_url.clone(),
        ),
        (Some(&iss), rules.issuers.first().cloned()),
        (Some(&aud), rules.audiences.first().cloned()),
    ] {
        if let (Some(name), Some(value)) = (name, value) {
            claims.entry(name.clone()).or_insert_with(|| value.into());
        }
    }
    let header = jsonwebtoken::Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.bytes())?)
}

/// Parses the JSON object of a part. The last of repeated members counts (RFC 7515 §4, RFC 7519 §4).
fn object(part: &str) -> Option<Claims> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Parses a `NumericDate` (RFC 7519 §2): seconds since the epoch, with fractions.
fn numeric_date(claims: &Claims, name: &str) -> Result<Option<Timestamp>, Refusal> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, so a later time becomes the latest one"
    )]
    let timestamp = |seconds: f64| Timestamp((seconds * 1e6).round() as i64);
    claims
        .get(name)
        .map(|date| date.as_f64().map(timestamp).ok_or(Refusal::NumericDate))
        .transpose()
}
