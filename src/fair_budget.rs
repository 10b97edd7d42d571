//! Bytes of memory that all callers share, and of which one caller may have a part.
//!
//! Invariant: all accounts together never have more bytes than the budget, and those of one key never more than its part.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::byte_budget::{ByteBudget, Exhausted, Share};

/// A budget in bytes, and the part that one key may have of it. Clones share the same bytes.
#[derive(Clone, Debug)]
pub struct FairBudget<K> {
    all: ByteBudget,
    part: usize,
    free: usize,
    parts: Arc<Mutex<HashMap<K, Part>>>,
}

/// The bytes of one key, for as long as some are counted.
#[derive(Debug)]
struct Part {
    bytes: ByteBudget,
    accounts: usize,
}

/// Bytes that one request or one connection has. Dropped, it gives them back.
#[derive(Debug)]
pub struct Account<K: Clone + Eq + Hash> {
    budget: FairBudget<K>,
    /// `None` has no bound of its own.
    key: Option<K>,
    bytes: usize,
    /// In a box: most accounts have none.
    counted: Option<Box<Counted<K>>>,
}

/// The bytes of an account that has more than the free ones.
#[derive(Debug)]
struct Counted<K: Eq + Hash> {
    all: Share,
    own: Option<(K, Share)>,
    parts: Arc<Mutex<HashMap<K, Part>>>,
}

impl<K: Clone + Eq + Hash> FairBudget<K> {
    /// So many bytes in all, and so many of them for one key. An account that has at most `free` bytes is not counted, because
    /// counting costs more than a small request.
    pub fn new(all: usize, part: usize, free: usize) -> Self {
        Self {
            all: ByteBudget::new(all),
            part,
            free,
            parts: Arc::default(),
        }
    }

    /// The bytes of all accounts that are counted.
    pub fn taken(&self) -> usize {
        self.all.taken()
    }

    /// An account without bytes. Without a key it is bounded by the whole budget alone.
    pub fn open(&self, key: Option<K>) -> Account<K> {
        Account {
            budget: self.clone(),
            key,
            bytes: 0,
            counted: None,
        }
    }

    fn count(&self, key: Option<&K>) -> Result<Counted<K>, Exhausted> {
        let all = self.all.try_take(0)?;
        let own = match key {
            None => None,
            Some(key) => {
                let mut parts = lock(&self.parts);
                let part = parts.entry(key.clone()).or_insert_with(|| Part {
                    bytes: ByteBudget::new(self.part),
                    accounts: 0,
                });
                let share = part.bytes.try_take(0)?;
                part.accounts += 1;
                Some((key.clone(), share))
            }
        };
        Ok(Counted {
            all,
            own,
            parts: Arc::clone(&self.parts),
        })
    }
}

impl<K: Clone + Eq + Hash> Account<K> {
    /// Takes bytes more, if the budget and the key's part of it have them.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = self.bytes.saturating_add(bytes);
        if bytes > self.budget.free {
            let counted = if let Some(counted) = &mut self.counted {
                counted
            } else {
                let counted = self.budget.count(self.key.as_ref())?;
                self.counted.insert(Box::new(counted))
            };
            counted.grow_to(bytes)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Gives back all bytes but so many.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        if bytes <= self.budget.free {
            self.counted = None;
        } else if let Some(counted) = &mut self.counted {
            counted.shrink_to(bytes);
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<K: Eq + Hash> Counted<K> {
    fn grow_to(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let before = self.all.bytes();
        let more = bytes.saturating_sub(before);
        if let Some((_, own)) = &mut self.own {
            own.grow(more)?;
        }
        let grown = self.all.grow(more);
        if grown.is_err() {
            self.shrink_to(before);
        }
        grown
    }

    fn shrink_to(&mut self, bytes: usize) {
        self.all.shrink_to(bytes);
        if let Some((_, own)) = &mut self.own {
            own.shrink_to(bytes);
        }
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let Some((key, _)) = &self.own else { return };
        let mut parts = lock(&self.parts);
        if let Some(part) = parts.get_mut(key) {
            part.accounts -= 1;
            if part.accounts == 0 {
                parts.remove(key);
            }
        }
    }
}

fn lock<K>(parts: &Mutex<HashMap<K, Part>>) -> MutexGuard<'_, HashMap<K, Part>> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(again.grow(21), Err(Exhausted), "a part is of all accounts");
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
        assert!(lock(&budget.parts).is_empty(), "no key is kept");
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn small_accounts_are_not_counted() {
        let budget = FairBudget::new(100, 60, 10);
        let mut account = budget.open(Some(1));
        account.grow(10).unwrap();
        assert_eq!((account.bytes(), budget.taken()), (10, 0));
        account.grow(1).unwrap();
        assert_eq!(budget.taken(), 11, "all of its bytes");
        assert_eq!(account.grow(50), Err(Exhausted));
        account.shrink_to(10);
        assert_eq!((account.bytes(), budget.taken()), (10, 0));
        assert!(lock(&budget.parts).is_empty());
    }
}
