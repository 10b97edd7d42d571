//! A limit on concurrent requests.
//!
//! Invariant: beyond the limit, a bounded number of requests waits for a bounded time; the rest are rejected before any
//! work. A request's work holds its permit until it ends, even after the client disconnected.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::http::rejection::Rejection;

/// Requests that may wait for each running one.
const WAITING: usize = 4;
/// The longest wait before a request is rejected. In a long queue, a longer wait does not help.
const WAIT: Duration = Duration::from_secs(1);

/// The message of a rejected request.
pub(in crate::http) const FULL: &str = "the service is overloaded: try again in a while";

/// No permit is available.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Full;

impl From<Full> for Rejection {
    fn from(Full: Full) -> Self {
        Self::shed(FULL)
    }
}

#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    waiting: Semaphore,
}

impl ConcurrencyLimit {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(most)),
            waiting: Semaphore::new(most.saturating_mul(WAITING)),
        }
    }

    /// Checks that a request could at least wait for a permit. It acquires none, because a slow body would keep it from
    /// others.
    pub(in crate::http) fn check(&self) -> Result<(), Full> {
        if self.waiting.available_permits() == 0 {
            return Err(Full);
        }
        Ok(())
    }

    /// Waits in order for a permit, until the deadline.
    pub(in crate::http) async fn acquire(
        &self,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Full> {
        // Waiting requests come first: a permit goes to them before it is free.
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Full)?;
        let until = deadline.min(Instant::now() + WAIT);
        match timeout_at(until, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn some_are_worked_on_some_wait_and_the_rest_are_turned_away() {
        let far = Instant::now() + Duration::from_hours(1);
        let limit = ConcurrencyLimit::new(2);
        let first = limit.acquire(far).await.unwrap();
        let _second = limit.acquire(far).await.unwrap();
        let mut waiting: Vec<_> = (0..2 * WAITING)
            .map(|_| Box::pin(limit.acquire(far)))
            .collect();
        assert!(limit.check().is_ok(), "nobody waits yet");
        for waiting in &mut waiting {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(limit.check().is_err());
        assert!(limit.acquire(far).await.is_err());
        // The waiting request is served in order, before later ones.
        drop(first);
        assert!(limit.acquire(far).await.is_err());
        let _first = waiting.remove(0).await.unwrap();
        assert!(limit.check().is_ok());
        // The wait is bounded, and ends at the request's deadline.
        let now = Instant::now();
        assert!(limit.acquire(now).await.is_err());
        for waiting in waiting {
            assert!(waiting.await.is_err());
        }
        assert!(limit.check().is_ok());
    }
}
