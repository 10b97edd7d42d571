//! A byte budget that several holders share, such as sockets and inspections.
//!
//! Invariant: all shares together never exceed the budget. A share returns its bytes on drop.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of bytes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget {
    bytes: usize,
    /// The free bytes, one permit each.
    free: Arc<Semaphore>,
}

/// A holder's bytes of a budget.
#[derive(Debug)]
pub(crate) struct Share {
    bytes: OwnedSemaphorePermit,
}

/// The budget does not have enough free bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl ByteBudget {
    /// Creates a budget. One share takes at most 4 GiB at once.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Self {
            bytes,
            free: Arc::new(Semaphore::new(bytes)),
        }
    }

    /// Returns the most bytes of all shares together.
    pub(crate) fn most(&self) -> usize {
        self.bytes
    }

    /// Takes bytes if they are free now, without waiting.
    pub(crate) fn try_take(&self, bytes: usize) -> Result<Share, Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let taken = Arc::clone(&self.free).try_acquire_many_owned(bytes);
        let bytes = taken.map_err(|_| Exhausted)?;
        Ok(Share { bytes })
    }

    /// Waits in order for bytes. A request beyond the budget takes all of it.
    ///
    /// # Panics
    ///
    /// Never, because the semaphore is never closed.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        let bytes = u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.free).acquire_many_owned(bytes).await;
        Share {
            bytes: taken.expect("the semaphore is never closed"),
        }
    }

    /// Returns the bytes of all shares.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.bytes.saturating_sub(self.free.available_permits())
    }
}

impl Share {
    /// Takes more bytes, if they are free now.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let taken = Arc::clone(self.bytes.semaphore()).try_acquire_many_owned(bytes);
        self.bytes.merge(taken.map_err(|_| Exhausted)?);
        Ok(())
    }

    /// Returns all bytes but this many.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        drop(self.bytes.split(self.bytes().saturating_sub(bytes)));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.num_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn shares_have_at_most_the_budget() {
        let budget = ByteBudget::new(100);
        let mut first = budget.try_take(60).unwrap();
        assert_eq!(budget.try_take(41).err(), Some(Exhausted));
        assert_eq!(budget.try_take(usize::MAX).err(), Some(Exhausted));
        let second = budget.try_take(40).unwrap();
        assert_eq!(first.grow(1), Err(Exhausted));
        assert_eq!((first.bytes(), budget.taken()), (60, 100));
        drop(second);
        first.grow(40).unwrap();
        first.shrink_to(10);
        first.shrink_to(20);
        assert_eq!((first.bytes(), budget.taken()), (10, 10));
        drop(first);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn waits_in_turn() {
        let budget = ByteBudget::new(100);
        let first = budget.try_take(60).unwrap();
        let mut large = Box::pin(budget.take(1000));
        assert!((&mut large).now_or_never().is_none());
        assert_eq!(
            budget.try_take(1).err(),
            Some(Exhausted),
            "the large one comes first"
        );
        drop(first);
        assert_eq!(large.now_or_never().map(|share| share.bytes()), Some(100));
    }
}
