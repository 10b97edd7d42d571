//! A byte budget that all callers share, with a part for each caller.
//!
//! Invariant: all shares together never exceed the budget, and those of one key never exceed its part.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::byte_budget::Exhausted;

/// A budget in bytes, and the part for each key. Clones share it.
#[derive(Debug)]
pub(crate) struct FairBudget<K>(Arc<Shared<K>>);

#[derive(Debug)]
struct Shared<K> {
    all: usize,
    part: usize,
    free: usize,
    taken: Mutex<Taken<K>>,
}

/// The bytes of all counted shares.
#[derive(Debug)]
struct Taken<K> {
    bytes: usize,
    /// The bytes by key, for keys that have any.
    by_key: HashMap<K, usize>,
}

/// The bytes of one request or connection, returned on drop.
#[derive(Debug)]
pub(crate) struct FairShare<K: Clone + Eq + Hash> {
    budget: FairBudget<K>,
    /// The key; none has no part of its own.
    key: Option<K>,
    bytes: usize,
    /// The counted bytes: none up to the free ones, and all of them beyond.
    counted: usize,
}

impl<K> Clone for FairBudget<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> FairBudget<K> {
    /// Creates a budget with a part for each key. A share of at most `free` bytes does not count, because counting
    /// costs more than a small request.
    pub(crate) fn new(all: usize, part: usize, free: usize) -> Self {
        let taken = Taken {
            bytes: 0,
            by_key: HashMap::new(),
        };
        Self(Arc::new(Shared {
            all,
            part,
            free,
            taken: Mutex::new(taken),
        }))
    }

    /// Returns the bytes of all counted shares.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> FairBudget<K> {
    /// Opens an empty share. Without a key, only the whole budget limits it.
    pub(crate) fn open(&self, key: Option<K>) -> FairShare<K> {
        FairShare {
            budget: self.clone(),
            key,
            bytes: 0,
            counted: 0,
        }
    }

    fn take(&self, key: Option<&K>, bytes: usize) -> Result<(), Exhausted> {
        let mut taken = self.lock();
        if bytes > self.0.all.saturating_sub(taken.bytes) {
            return Err(Exhausted);
        }
        if let Some(key) = key {
            let own = taken.by_key.get_mut(key);
            let before = own.as_deref().copied().unwrap_or(0);
            if bytes > self.0.part.saturating_sub(before) {
                return Err(Exhausted);
            }
            match own {
                Some(own) => *own += bytes,
                None => drop(taken.by_key.insert(key.clone(), bytes)),
            }
        }
        taken.bytes += bytes;
        Ok(())
    }

    fn give_back(&self, key: Option<&K>, bytes: usize) {
        let mut taken = self.lock();
        taken.bytes -= bytes;
        if let Some(key) = key
            && let Some(own) = taken.by_key.get_mut(key)
        {
            *own -= bytes;
            if *own == 0 {
                taken.by_key.remove(key);
            }
        }
    }
}

impl<K: Clone + Eq + Hash> FairShare<K> {
    /// Takes more bytes, if both the budget and the key's part have them.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = self.bytes.saturating_add(bytes);
        if bytes > self.budget.0.free && bytes > self.counted {
            let more = bytes - self.counted;
            self.budget.take(self.key.as_ref(), more)?;
            self.counted = bytes;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Returns all bytes but this many.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        let counted = if self.bytes > self.budget.0.free {
            self.bytes
        } else {
            0
        };
        if self.counted > counted {
            let less = self.counted - counted;
            self.budget.give_back(self.key.as_ref(), less);
            self.counted = counted;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<K: Clone + Eq + Hash> Drop for FairShare<K> {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_part_and_all_have_the_budget() {
        let budget = FairBudget::new(100, 60, 0);
        let mut first = budget.open(Some(1));
        let mut again = budget.open(Some(1));
        first.grow(40).unwrap();
        assert_eq!(again.grow(21), Err(Exhausted), "a part is of all shares");
        again.grow(20).unwrap();
        let mut second = budget.open(Some(2));
        assert_eq!(second.grow(41), Err(Exhausted));
        second.grow(40).unwrap();
        let mut exempt = budget.open(None);
        assert_eq!(exempt.grow(1), Err(Exhausted));
        drop(first);
        exempt.grow(40).unwrap();
        again.shrink_to(0);
        exempt.grow(20).unwrap();
        drop((again, second, exempt));
        assert!(budget.lock().by_key.is_empty(), "no key is left");
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn small_shares_are_not_counted() {
        let budget = FairBudget::new(100, 60, 10);
        let mut share = budget.open(Some(1));
        share.grow(10).unwrap();
        assert_eq!((share.bytes(), budget.taken()), (10, 0));
        share.grow(1).unwrap();
        assert_eq!(budget.taken(), 11, "all of its bytes");
        assert_eq!(share.grow(50), Err(Exhausted));
        share.shrink_to(10);
        assert_eq!((share.bytes(), budget.taken()), (10, 0));
        assert!(budget.lock().by_key.is_empty());
    }
}
