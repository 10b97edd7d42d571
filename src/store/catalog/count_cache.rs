//! Sizes and groups of lists, counted once a state.
//!
//! Invariant: what is kept belongs to the state that the asking snapshot shows, so that it is the number which counting would
//! give there; a change of the catalogue makes another state, for which nothing is kept yet. Where a backup was restored, a
//! number stands for another state than before.

use std::fmt;

use quick_cache::sync::Cache;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    domain::viewer::Sight,
    error::{Error, Result},
};

/// Lists that are remembered, of all states together: each takes some kilobytes at most.
const LISTS: usize = 1000;

/// Which list of which state.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    history: u64,
    state: i64,
    sight: Sight,
    /// The SHA-256 of what restricts it and of what is counted, which may be long.
    asked: [u8; 32],
}

/// What was counted.
pub(in crate::store) struct Counts<T>(Cache<Key, T>);

impl<T: Clone> Default for Counts<T> {
    fn default() -> Self {
        Self(Cache::new(LISTS))
    }
}

impl<T: Clone> Counts<T> {
    /// Of what is asked for in a state of a history: counted by the first who asks, while others wait.
    pub(in crate::store) async fn get(
        &self,
        (history, state): (u64, i64),
        sight: &Sight,
        asked: &impl Serialize,
        count: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let asked = serde_json::to_vec(asked).map_err(Error::internal)?;
        let key = Key {
            history,
            state,
            sight: sight.clone(),
            asked: Sha256::digest(asked).into(),
        };
        self.0.get_or_insert_async(&key, count).await
    }
}

impl<T> fmt::Debug for Counts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}
