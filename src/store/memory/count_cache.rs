//! Cached sizes and groups of lists, computed once for each catalogue version.
//!
//! Invariant: what is kept belongs to the position in the log that the asking snapshot shows, so that it is the number which
//! counting would give there; a change of the catalogue makes another position, for which nothing is kept yet.

use std::fmt;

use quick_cache::sync::Cache;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    domain::{cursor::LogPosition, viewer::Sight},
    error::{Error, Result},
};

/// Lists that are remembered, of all states together: each takes some kilobytes at most.
const LISTS: usize = 1000;

/// Which list of which state.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    state: LogPosition,
    sight: Sight,
    /// The SHA-256 of what restricts it and of what is counted, which may be long.
    asked: [u8; 32],
}

/// What was counted.
pub(in crate::store) struct CountCache<T>(Cache<Key, T>);

impl<T: Clone> Default for CountCache<T> {
    fn default() -> Self {
        Self(Cache::new(LISTS))
    }
}

impl<T: Clone> CountCache<T> {
    /// Returns the cached count for this query at this catalogue version. The first caller computes it; the others wait.
    pub(in crate::store) async fn get(
        &self,
        state: LogPosition,
        sight: &Sight,
        asked: &impl Serialize,
        count: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let asked = serde_json::to_vec(asked).map_err(Error::internal)?;
        let key = Key {
            state,
            sight: sight.clone(),
            asked: Sha256::digest(asked).into(),
        };
        self.0.get_or_insert_async(&key, count).await
    }
}

impl<T> fmt::Debug for CountCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountCache").finish_non_exhaustive()
    }
}
