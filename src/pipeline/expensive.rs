//! Slots for expensive queries, which leave database connections and processors to other requests.
//!
//! Invariant: the expensive queries that run, and those that wait, are bounded. A waiting one holds no ordinary slot.

use std::sync::Arc;

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Error, Result},
    graphql::Permit,
};

/// Expensive queries that may wait for each running one.
const WAITING: usize = 16;

/// The slots for expensive queries of the process.
#[derive(Debug)]
pub(crate) struct ExpensiveQueries {
    slots: Arc<Semaphore>,
    waiting: Semaphore,
}

impl ExpensiveQueries {
    /// Allows this many expensive queries at once.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(most)),
            waiting: Semaphore::new(most.saturating_mul(WAITING)),
        }
    }

    /// Exchanges a query's permit for an expensive slot.
    ///
    /// Waits for half of the remaining time, so that the query can still be answered. Fails with `UNAVAILABLE` if no
    /// slot is free.
    pub(super) async fn enter(&self, permit: &Permit, deadline: Instant) -> Result<()> {
        permit.give_up();
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            permit.hold(slot);
            return Ok(());
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| full())?;
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / 2;
        match timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(slot)) => {
                permit.hold(slot);
                Ok(())
            }
            _ => Err(full()),
        }
    }
}

fn full() -> Error {
    let message = "too many expensive queries are executed: try again in a while, or ask for fewer counts, searches \
                   and fields";
    Error::unavailable(message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn some_run_some_wait_and_the_rest_are_refused() {
        let slots = ExpensiveQueries::new(1);
        let deadline = Instant::now() + Duration::from_millis(200);
        let enter = async |permit: &Permit| slots.enter(permit, deadline).await;
        let held = Arc::new(Semaphore::new(1));
        let permit = Permit::new(held.clone().try_acquire_owned().unwrap());
        enter(&permit).await.unwrap();
        assert_eq!(held.available_permits(), 1, "the slot of all is given up");

        let permits: Vec<_> = (0..WAITING).map(|_| Permit::default()).collect();
        let waiting = permits.iter().map(|permit| Box::pin(enter(permit)));
        let mut waiting: Vec<_> = waiting.collect();
        for waiting in &mut waiting {
            assert!(waiting.now_or_never().is_none());
        }
        let refused = enter(&Permit::default()).await.unwrap_err();
        assert_eq!(refused.code, Code::Unavailable);

        drop(permit);
        waiting.remove(0).await.unwrap();
        let refused = waiting.remove(0).await.unwrap_err();
        assert_eq!(refused.code, Code::Unavailable, "its time is over");
    }
}
