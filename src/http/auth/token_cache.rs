//! Tokens verified before.
//!
//! Invariant: a token is remembered by its digest, never itself, and only while it has not expired.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use entity::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::viewer::Viewer;

use super::Verified;

/// How many tokens are remembered at once.
const TOKENS: usize = 10_000;

pub(super) type TokenDigest = [u8; 32];

#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<TokenDigest, (Viewer, Timestamp)>>);

pub(super) fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token).into()
}

impl Remembered {
    pub(super) fn get(&self, digest: &TokenDigest, now: Timestamp) -> Option<Verified> {
        self.lock()
            .get(digest)
            .filter(|(_, expires_at)| now < *expires_at)
            .map(|(viewer, expires_at)| Verified {
                viewer: viewer.clone(),
                expires_at: Some(*expires_at),
            })
    }

    pub(super) fn insert(
        &self,
        digest: TokenDigest,
        viewer: Viewer,
        expires_at: Timestamp,
        now: Timestamp,
    ) {
        let mut tokens = self.lock();
        if tokens.len() >= TOKENS {
            tokens.retain(|_, (_, expires_at)| now < *expires_at);
        }
        if tokens.len() >= TOKENS {
            // Every second one, so that the next scan is thousands of tokens away.
            let mut keep = false;
            tokens.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        tokens.insert(digest, (viewer, expires_at));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenDigest, (Viewer, Timestamp)>> {
        // Whoever panicked left the map whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_forgetful() {
        let remembered = Remembered::default();
        let [early, late] = [Timestamp(10), Timestamp(20)];
        let insert = |n: usize, expires_at, now| {
            remembered.insert(digest(&n.to_string()), Viewer::Anonymous, expires_at, now);
        };
        let knows = |n: usize, now| remembered.get(&digest(&n.to_string()), now).is_some();
        for n in 0..TOKENS {
            insert(n, if n < 10 { early } else { late }, Timestamp(0));
        }
        assert!(
            knows(0, Timestamp(9)) && !knows(0, early),
            "at its exp a token is gone"
        );

        insert(TOKENS, late, early);
        assert_eq!(
            remembered.lock().len(),
            TOKENS - 9,
            "the expired went first, and no other"
        );
        for n in TOKENS + 1..TOKENS + 10 {
            insert(n, late, early);
        }
        assert_eq!(remembered.lock().len(), TOKENS);
        insert(TOKENS + 10, late, early);
        assert_eq!(remembered.lock().len(), TOKENS / 2 + 1);
        assert!(knows(TOKENS + 10, early), "the newest is remembered");
    }
}
