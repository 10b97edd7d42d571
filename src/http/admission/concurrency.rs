//! How many requests are worked on at once.
//!
//! Invariant: of those beyond, a bounded number waits for a bounded time; the rest are turned away before anything is done for
//! them. What a request set going keeps its place until it is done, whether or not its client still waits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// So many wait for each that is worked on.
const WAITING: usize = 4;
/// After which they are turned away: who waits in a long row is served no sooner for having waited.
const WAIT: Duration = Duration::from_secs(1);
/// When the turned away may come back.
pub(crate) const RETRY_AFTER: u64 = 1;
/// A line of the log for each of them would cost more than turning them away.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Of a request that is worked on. Dropped, it is the next one's.
pub(crate) type Place = OwnedSemaphorePermit;

/// What the turned away are told.
pub(crate) const FULL: &str = "too much is asked of the service at once: try again in a while";

/// There is no place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

#[derive(Debug)]
pub struct Places {
    places: Arc<Semaphore>,
    waiting: Semaphore,
    untold: Mutex<Untold>,
}

/// Requests that were turned away since the log was told of some.
#[derive(Debug, Default)]
struct Untold {
    requests: u64,
    since: Option<Instant>,
}

impl Places {
    pub fn new(most: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most)),
            waiting: Semaphore::new(most.saturating_mul(WAITING)),
            untold: Mutex::default(),
        }
    }

    /// Whether there is a place to wait in at least. It is not taken: a body that dribbles in would keep it from others.
    pub(crate) fn look(&self) -> Result<(), Full> {
        if self.waiting.available_permits() == 0 {
            return Err(self.full());
        }
        Ok(())
    }

    /// A place, in turn, by the deadline.
    pub(crate) async fn take(&self, deadline: Instant) -> Result<Place, Full> {
        // Whoever waits comes first: places are given to them before any is free.
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| self.full())?;
        let until = deadline.min(Instant::now() + WAIT);
        match timeout_at(until, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.full()),
        }
    }

    fn full(&self) -> Full {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.requests += 1;
        if untold
            .since
            .is_none_or(|since| since.elapsed() >= TOLD_EVERY)
        {
            tracing::warn!(
                requests = untold.requests,
                "turned away: too much is asked at once"
            );
            *untold = Untold {
                requests: 0,
                since: Some(Instant::now()),
            };
        }
        Full
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn some_are_worked_on_some_wait_and_the_rest_are_turned_away() {
        let far = Instant::now() + Duration::from_hours(1);
        let places = Places::new(2);
        let first = places.take(far).await.unwrap();
        let _second = places.take(far).await.unwrap();
        let mut waiting: Vec<_> = (0..2 * WAITING)
            .map(|_| Box::pin(places.take(far)))
            .collect();
        assert!(places.look().is_ok(), "nobody waits yet");
        for waiting in &mut waiting {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(places.look().is_err());
        assert!(places.take(far).await.is_err());
        // In turn, and before those who come later.
        drop(first);
        assert!(places.take(far).await.is_err());
        let _first = waiting.remove(0).await.unwrap();
        assert!(places.look().is_ok());
        // Nobody waits for ever, nor beyond the request's deadline.
        let now = Instant::now();
        assert!(places.take(now).await.is_err());
        for waiting in waiting {
            assert!(waiting.await.is_err());
        }
        assert!(places.look().is_ok());
    }
}
