//! A set of keys that verify tokens.
//!
//! Invariant: a key verifies the one algorithm it is bound to, and a token stays cached no longer than the set of keys
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

/// The least modulus of an RSA key (RFC 7518 §3.3).
const RSA_BITS: usize = 2048;

/// How many keys are tried for a token that does not say which one signed it.
const KEYS_TRIED: usize = 8;

/// The keys of one reading, and the tokens they verified.
pub(super) struct KeySet {
    algorithms: &'static [Algorithm],
    /// The keys that were read; none before the first read, or when they are too old to be used.
    pub(super) jwks: Option<Vec<Jwk>>,
    keys: Vec<Key>,
    pub(super) tokens: TokenCache,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    /// None of a secret, which never changes.
    digest: Option<KeyDigest>,
}

impl KeySet {
    pub(super) fn secret(secret: &Secret) -> Self {
        // The library refuses an empty secret alone, and a `Secret` is none.
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

    /// The keys of a JWKS; none where it is not known.
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

    /// Whether the token is signed by a key that fits it: by its `kid`, if it says one (RFC 7515 §4.1.4), and by its algorithm.
    /// If no key has that `kid`, or the token has none, the keys that could be meant are tried. Returns the digest of the
    /// key.
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
    /// The key of a JWK, unless it is of no use for us (RFC 7517 §5: such are ignored), is not meant to verify signatures
    /// (§4.2, §4.3), or is meant for another algorithm than its type's (§4.4).
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
        // The library takes keys of any length, and panics when it verifies with an Ed25519 key that is too short.
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

    /// Whether a token that says `kid` means this key.
    fn is_named(&self, kid: Option<&String>) -> bool {
        // The secret is the only key of its set, whatever the issuer calls it.
        self.algorithm == Algorithm::HS256 || kid.is_some() && self.kid.as_ref() == kid
    }
}

/// The length of a big-endian number.
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
