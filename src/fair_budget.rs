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
    parts: Arc<Mutex<HashMap<K, Part>>>,
}

/// The bytes of one key, for as long as it has an account.
#[derive(Debug)]
struct Part {
    bytes: ByteBudget,
    accounts: usize,
}

/// Bytes that one request or one connection has. Dropped, it gives them back.
#[derive(Debug)]
pub struct Account<K: Eq + Hash> {
    all: Share,
    /// `None` where the key has no bound of its own.
    own: Option<(K, Share)>,
    parts: Arc<Mutex<HashMap<K, Part>>>,
}

impl<K: Clone + Eq + Hash> FairBudget<K> {
    /// So many bytes in all, and so many of them for one key.
    pub fn new(all: usize, part: usize) -> Self {
        Self {
            all: ByteBudget::new(all),
            part,
            parts: Arc::default(),
        }
    }

    /// The bytes of all accounts.
    pub fn taken(&self) -> usize {
        self.all.taken()
    }

    /// An account without bytes. Without a key it is bounded by the whole budget alone.
    pub fn open(&self, key: Option<K>) -> Result<Account<K>, Exhausted> {
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
                Some((key, share))
            }
        };
        Ok(Account {
            all,
            own,
            parts: Arc::clone(&self.parts),
        })
    }
}

impl<K: Eq + Hash> Account<K> {
    /// Takes bytes more, if the budget and the key's part of it have them.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let before = self.bytes();
        if let Some((_, own)) = &mut self.own {
            own.grow(bytes)?;
        }
        let grown = self.all.grow(bytes);
        if grown.is_err()
            && let Some((_, own)) = &mut self.own
        {
            own.shrink_to(before);
        }
        grown
    }

    /// Gives back all bytes but so many.
    pub fn shrink_to(&mut self, bytes: usize) {
        if self.bytes() > bytes {
            self.all.shrink_to(bytes);
            if let Some((_, own)) = &mut self.own {
                own.shrink_to(bytes);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.all.bytes()
    }
}

impl<K: Eq + Hash> Drop for Account<K> {
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
        let budget = FairBudget::new(100, 60);
        let mut first = budget.open(Some(1)).unwrap();
        let mut again = budget.open(Some(1)).unwrap();
        first.grow(40).unwrap();
        assert_eq!(again.grow(21), Err(Exhausted), "a part is of all accounts");
        again.grow(20).unwrap();
        let mut second = budget.open(Some(2)).unwrap();
        assert_eq!(second.grow(41), Err(Exhausted));
        second.grow(40).unwrap();
        let mut exempt = budget.open(None).unwrap();
        assert_eq!(exempt.grow(1), Err(Exhausted));
        drop(first);
        exempt.grow(40).unwrap();
        again.shrink_to(0);
        exempt.grow(20).unwrap();
        drop((again, second, exempt));
        assert!(lock(&budget.parts).is_empty(), "no key is kept");
        assert_eq!(budget.taken(), 0);
    }
}
