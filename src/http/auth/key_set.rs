//! Keys that verify tokens.
//!
//! Invariant: a key verifies only the algorithm that it is bound to, and a token is cached no longer than the key set
//! that verified it.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use sha2::{Digest, Sha256};

use crate::config::Secret;

use super::{
    refusal::Refusal,
    token::{Jws, KeyDigest},
    token_cache::TokenCache,
};

/// The least modulus of an RSA key (RFC 7518 §3.3), in bits.
const RSA_BITS: usize = 2048;

/// The most keys that are tried for a token without a `kid`.
const KEYS_TRIED: usize = 8;

/// The keys of one read, and the tokens that they verified.
pub(super) struct KeySet {
    algorithms: &'static [Algorithm],
    /// The keys; none before the first read, or when they are too old.
    pub(super) jwks: Option<Vec<Jwk>>,
    keys: Vec<Key>,
    pub(super) tokens: TokenCache,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    /// The digest; none for a secret, which never changes.
    digest: Option<KeyDigest>,
}

impl KeySet {
    pub(super) fn secret(secret: &Secret) -> Self {
        // The library only refuses an empty secret, which a `Secret` cannot be.
        let key = DecodingKey::from_secret(secret.bytes()).map(|decoding| Key {
            kid: None,
            algorithm: Algorithm::HS256,
            decoding,
            digest: None,
        });
        Self {
            algorithms: &[Algorithm::HS256],
            jwks: None,
            keys: key.into_iter().collect(),
            tokens: TokenCache::default(),
        }
    }

    /// Creates a set from a JWKS; none if it is not known.
    pub(super) fn jwks(jwks: Option<Vec<Jwk>>) -> Self {
        let keys = jwks.iter().flatten().filter_map(Key::from_jwk);
        Self {
            algorithms: &[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            keys: keys.collect(),
            jwks,
            tokens: TokenCache::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn has(&self, digest: KeyDigest) -> bool {
        self.keys.iter().any(|key| key.digest == Some(digest))
    }

    /// Verifies a token's signature by the key with its `kid` (RFC 7515 §4.1.4) and algorithm. Without a `kid`, or if
    /// no key has it, the possible keys are tried. Returns the key's digest.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<Option<KeyDigest>, Refusal> {
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let is_named = |key: &&Key| key.is_named(jws.kid.as_ref());
        let (candidates, otherwise): (Vec<&Key>, _) = if self.keys.iter().any(|key| is_named(&key))
        {
            (
                self.keys.iter().filter(is_named).collect(),
                Refusal::Signature,
            )
        } else {
            let may_be = |key: &&Key| {
                jws.kid.is_none() || key.kid.is_none() && key.algorithm == jws.algorithm
            };
            (
                self.keys.iter().filter(may_be).collect(),
                Refusal::UnknownKey,
            )
        };
        let fits = |key: &&Key| key.algorithm == jws.algorithm;
        let fitting: Vec<_> = candidates.iter().copied().filter(fits).collect();
        let is_signed_by = |key: &&Key| jws.is_signed_by(&key.decoding, key.algorithm);
        if let Some(key) = fitting.iter().copied().take(KEYS_TRIED).find(is_signed_by) {
            return Ok(key.digest);
        }
        Err(match fitting.len() {
            0 if !candidates.is_empty() => Refusal::Algorithm,
            count if count > KEYS_TRIED => Refusal::AmbiguousKey,
            _ => otherwise,
        })
    }
}

impl Key {
    /// Converts a JWK. None if it is unsupported (RFC 7517 §5 ignores it), not for verifying signatures (§4.2, §4.3),
    /// or for another algorithm than its type's (§4.4).
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let common = &jwk.common;
        let verifies = common
            .key_algorithm
            .is_none_or(|alg| alg == algorithm.into())
            && (common.public_key_use.as_ref())
                .is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
            && (common.key_operations.as_ref())
                .is_none_or(|key_ops| key_ops.contains(&KeyOperations::Verify));
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        // The library accepts keys of any length, and panics when it verifies with an Ed25519 key that is too short.
        let sound = match decoding.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } => bits(n) >= RSA_BITS,
            DecodingKeyKind::SecretOrDer(point) if algorithm == Algorithm::ES256 => {
                point.len() == 65
            }
            DecodingKeyKind::SecretOrDer(point) => point.len() == 32,
        };
        (verifies && sound).then(|| Self {
            digest: Some(digest(common.key_id.as_deref(), algorithm, decoding.kind())),
            kid: common.key_id.clone(),
            algorithm,
            decoding,
        })
    }

    /// Returns whether a token's `kid` names this key.
    fn is_named(&self, kid: Option<&String>) -> bool {
        // The secret is the only key of its set, under any `kid`.
        self.algorithm == Algorithm::HS256 || kid.is_some() && self.kid.as_ref() == kid
    }
}

/// Returns the bits of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros());
    (number.len() - zeros) * 8 - first as usize
}

fn digest(kid: Option<&str>, algorithm: Algorithm, key: &DecodingKeyKind) -> KeyDigest {
    let (first, second) = match key {
        DecodingKeyKind::SecretOrDer(point) => (point.as_slice(), [].as_slice()),
        DecodingKeyKind::RsaModulusExponent { n, e } => (n.as_slice(), e.as_slice()),
    };
    let mut hasher = Sha256::new();
    hasher.update(format!("{algorithm:?} {kid:?} {} ", first.len()));
    hasher.update(first);
    hasher.update(second);
    hasher.finalize().into()
}
