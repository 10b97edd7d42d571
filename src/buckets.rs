//! Leaky buckets, which limit the rate of each caller.
//!
//! Invariant: memory is bounded, and a forgotten caller has no less than before. Only the monotonic clock counts, so
//! that setting the wall clock changes no allowance.

use std::{
    hash::{Hash, RandomState},
    time::{Duration, Instant},
};

use hashlink::LruCache;

const CALLERS: usize = 100_000;

/// The time at which each caller's bucket is full again. A full bucket need not be stored.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    /// The cost of one charge, and the most that a caller may use at once.
    cost: Duration,
    burst: Duration,
    full_at: LruCache<K, Instant, RandomState>,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// Creates buckets. A caller may use `burst` at once, and always one charge of `cost`.
    pub(crate) fn new(cost: Duration, burst: Duration) -> Self {
        Self {
            cost,
            burst: burst.max(cost),
            full_at: LruCache::with_hasher(CALLERS, RandomState::new()),
        }
    }

    /// Charges one unit. If refused, returns the seconds to wait.
    pub(crate) fn charge(&mut self, caller: &K, now: Instant) -> Result<(), u64> {
        // Peeking does not count as use, so a refused caller keeps their age.
        let known = self.full_at.peek(caller).copied();
        let full_at = known.map_or(now, |full_at| full_at.max(now)) + self.cost;
        let over = (full_at - now).saturating_sub(self.burst);
        if !over.is_zero() {
            return Err(over.as_secs() + u64::from(over.subsec_nanos() > 0));
        }
        self.full_at.insert(caller.clone(), full_at);
        Ok(())
    }

    /// Reverts the last charge.
    pub(crate) fn refund(&mut self, caller: &K) {
        if let Some(full_at) = self.full_at.peek_mut(caller) {
            *full_at -= self.cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_oldest_are_forgotten() {
        let mut buckets = Buckets::new(SECOND, SECOND);
        let now = Instant::now();
        for caller in 0..CALLERS {
            buckets.charge(&caller, now).unwrap();
        }
        assert_eq!(buckets.charge(&0, now), Err(1), "a refusal is no use");
        buckets.refund(&0);
        buckets.charge(&1, now + SECOND).unwrap();
        buckets.charge(&CALLERS, now + SECOND).unwrap();
        assert_eq!(buckets.full_at.len(), CALLERS);
        assert!(!buckets.full_at.contains_key(&0));
        assert!(buckets.full_at.contains_key(&1));
    }

    #[test]
    fn what_costs_more_than_a_burst_is_done_once() {
        let mut buckets = Buckets::new(6 * SECOND, SECOND);
        let now = Instant::now();
        assert_eq!(buckets.charge(&"ann", now), Ok(()));
        assert_eq!(buckets.charge(&"ann", now + SECOND), Err(5));
        assert_eq!(buckets.charge(&"bob", now + SECOND), Ok(()));
        buckets.refund(&"ann");
        assert_eq!(buckets.charge(&"ann", now + SECOND), Ok(()));
    }
}
