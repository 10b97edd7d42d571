//! Leaky buckets: how often a caller may do something.
//!
//! Invariant: what is remembered of callers is bounded, and a caller who is forgotten has not less than before.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use entity::Timestamp;

const CALLERS: usize = 100_000;
const SECOND: i64 = 1_000_000;

/// When each caller's bucket will be full again. What is full is as good as unknown.
#[derive(Debug)]
pub struct Buckets<K> {
    /// Microseconds that one costs, and that a caller may have cost at once.
    cost: i64,
    burst: i64,
    full_at: HashMap<K, (i64, u64)>,
    /// In the order of their last time.
    order: BTreeMap<u64, K>,
    next: u64,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// For what costs so many microseconds; a caller may do so many microseconds' worth at once, and one at least.
    pub fn new(cost: i64, burst: i64) -> Self {
        Self {
            cost,
            burst: burst.max(cost),
            full_at: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }

    /// Once more, or after how many seconds again.
    pub fn charge(&mut self, caller: &K, now: Timestamp) -> Result<(), i64> {
        let known = self.full_at.get(caller).copied();
        let full_at = known.map_or(now.0, |(full_at, _)| full_at.max(now.0)) + self.cost;
        let over = full_at - now.0 - self.burst;
        if over > 0 {
            return Err(over.div_euclid(SECOND) + 1);
        }
        if let Some((_, turn)) = known {
            self.order.remove(&turn);
        } else if self.full_at.len() >= CALLERS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.full_at.remove(&oldest);
        }
        self.full_at.insert(caller.clone(), (full_at, self.next));
        self.order.insert(self.next, caller.clone());
        self.next += 1;
        Ok(())
    }

    /// As if the last time had not been.
    pub fn refund(&mut self, caller: &K) {
        if let Some((full_at, _)) = self.full_at.get_mut(caller) {
            *full_at -= self.cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut buckets = Buckets::new(SECOND, SECOND);
        for caller in 0..=CALLERS {
            buckets.charge(&caller, Timestamp(0)).unwrap();
        }
        assert_eq!(
            (buckets.full_at.len(), buckets.order.len()),
            (CALLERS, CALLERS)
        );
        assert!(!buckets.full_at.contains_key(&0));
        assert!(buckets.full_at.contains_key(&1));
    }

    #[test]
    fn what_costs_more_than_a_burst_is_done_once() {
        let mut buckets = Buckets::new(6 * SECOND, SECOND);
        assert_eq!(buckets.charge(&"ann", Timestamp(0)), Ok(()));
        assert_eq!(buckets.charge(&"ann", Timestamp(SECOND)), Err(6));
        assert_eq!(buckets.charge(&"bob", Timestamp(SECOND)), Ok(()));
        buckets.refund(&"ann");
        assert_eq!(buckets.charge(&"ann", Timestamp(SECOND)), Ok(()));
    }
}
