//! A cache of verified tokens.
//!
//! Invariant: a token is found by its digest and not stored itself, and is found only until it expires.

use entity::Timestamp;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::token::Verified;

/// The most cached tokens.
const TOKENS: usize = 10_000;

pub(super) type TokenDigest = [u8; 32];

pub(super) fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token).into()
}

pub(super) struct TokenCache(Cache<TokenDigest, Verified>);

impl Default for TokenCache {
    fn default() -> Self {
        Self(Cache::new(TOKENS))
    }
}

impl TokenCache {
    pub(super) fn get(&self, digest: &TokenDigest, now: Timestamp) -> Option<Verified> {
        let verified = self.0.get(digest)?;
        (verified.expires_at.is_some_and(|expiry| now < expiry)).then_some(verified)
    }

    pub(super) fn insert(&self, digest: TokenDigest, verified: Verified) {
        self.0.insert(digest, verified);
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::viewer::Viewer;

    use super::*;

    #[test]
    fn bounded_and_found_until_the_expiry() {
        let cache = TokenCache::default();
        let expiry = Timestamp(10);
        for n in 0..2 * TOKENS {
            let verified = Verified {
                viewer: Viewer::Anonymous,
                expires_at: Some(expiry),
                key: None,
            };
            let digest = digest(&n.to_string());
            cache.insert(digest, verified);
            assert!(
                cache.get(&digest, Timestamp(9)).is_some(),
                "the newest is found"
            );
            assert!(cache.get(&digest, expiry).is_none());
        }
        assert!(cache.0.len() <= TOKENS);
        let found =
            |now| (0..2 * TOKENS).any(|n| cache.get(&digest(&n.to_string()), now).is_some());
        assert!(found(Timestamp(9)) && !found(expiry));
    }
}
