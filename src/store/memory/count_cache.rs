//! Cached sizes and groups of lists, computed once for each catalogue version.
//!
//! Invariant: a cached count belongs to the log position of its snapshot, so it equals a count there. For another
//! position it is computed again, or derived from the list's last count.

use std::fmt;

use quick_cache::sync::Cache;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    domain::{cursor::LogPosition, viewer::Sight},
    error::{Error, Result},
};

/// Lists in the cache, at all positions together; each takes a few kilobytes at most.
const LISTS: usize = 1000;

/// Lists of counts by organization, whose ids may take a hundred kilobytes.
pub(in crate::store) const LISTS_BY_ORGANIZATION: usize = 100;

#[derive(Clone, PartialEq, Eq, Hash)]
struct List {
    sight: Sight,
    /// The SHA-256 of the list's restrictions and of the counted values, which may be long.
    asked: [u8; 32],
}

/// A cache of counts.
pub(in crate::store) struct CountCache<T> {
    counted: Cache<(LogPosition, List), T>,
    /// The last count of each list.
    last: Cache<List, (LogPosition, T)>,
}

impl<T: Clone> Default for CountCache<T> {
    fn default() -> Self {
        Self::of(LISTS)
    }
}

impl<T: Clone> CountCache<T> {
    /// Creates a cache for this many lists.
    pub(in crate::store) fn of(lists: usize) -> Self {
        Self {
            counted: Cache::new(lists),
            last: Cache::new(lists),
        }
    }

    /// Returns the cached count for this query at this catalogue version. The first caller computes it; the others
    /// wait. `count` gets the list's last count at another version.
    pub(in crate::store) async fn get(
        &self,
        state: LogPosition,
        sight: &Sight,
        asked: &impl Serialize,
        count: impl AsyncFnOnce(Option<(LogPosition, T)>) -> Result<T>,
    ) -> Result<T> {
        let asked = serde_json::to_vec(asked).map_err(Error::internal)?;
        let list = List {
            sight: sight.clone(),
            asked: Sha256::digest(asked).into(),
        };
        let key = (state, list);
        let counted = async {
            let list = &key.1;
            let count = count(self.last.get(list)).await?;
            self.last.insert(list.clone(), (state, count.clone()));
            Ok(count)
        };
        self.counted.get_or_insert_async(&key, counted).await
    }
}

impl<T> fmt::Debug for CountCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountCache").finish_non_exhaustive()
    }
}
