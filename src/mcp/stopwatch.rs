//! Measures the time that a server takes.
//!
//! Invariant: only the server's own time counts. Waits for slots of this service do not, and neither do times when the
//! process is too busy.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// The interval between two looks. A longer step counts as at most twice this.
const STEP: Duration = Duration::from_millis(50);

/// Measures the time of one inspection.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    /// The number of waits in progress.
    waits: watch::Sender<usize>,
    waited: Mutex<Duration>,
}

/// The time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// A wait in progress, which ends on drop.
struct Wait<'a> {
    stopwatch: &'a Stopwatch,
    since: Instant,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            waits: watch::Sender::new(0),
            waited: Mutex::default(),
        }
    }
}

impl Stopwatch {
    /// Waits for a slot of this service, with the time stopped.
    pub(crate) async fn wait<F: Future>(&self, slot: F) -> F::Output {
        let mut slot = pin!(slot);
        // A free slot is no wait: many of them would stop the time for good.
        if let Some(taken) = slot.as_mut().now_or_never() {
            return taken;
        }
        self.waits.send_modify(|waits| *waits += 1);
        let _wait = Wait {
            stopwatch: self,
            since: Instant::now(),
        };
        slot.await
    }

    /// Returns the server's own time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        let waited = *self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        self.started.elapsed().saturating_sub(waited)
    }

    /// Runs work within a limit of the server's own time.
    pub(crate) async fn within<F: Future>(
        &self,
        time: Duration,
        work: F,
    ) -> Result<F::Output, Late> {
        let mut work = pin!(work);
        let mut waits = self.waits.subscribe();
        let mut left = time;
        while !left.is_zero() {
            let step = async {
                // The sender is alive, so this cannot fail.
                let _ = waits.wait_for(|waits| *waits == 0).await;
                let since = Instant::now();
                sleep(left.min(STEP)).await;
                if waits.has_changed().unwrap_or(false) {
                    Duration::ZERO
                } else {
                    since.elapsed().min(STEP * 2)
                }
            };
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                passed = step => left = left.saturating_sub(passed),
            }
        }
        Err(Late)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waited = self.stopwatch.waited.lock();
        *waited.unwrap_or_else(PoisonError::into_inner) += self.since.elapsed();
        self.stopwatch.waits.send_modify(|waits| *waits -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const TIME: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn waits_are_not_counted() {
        let stopwatch = Stopwatch::default();
        let work = async {
            stopwatch.wait(sleep(TIME * 2)).await;
            sleep(TIME / 8).await;
        };
        assert_eq!(stopwatch.within(TIME, work).await, Ok(()));
        assert!(stopwatch.started.elapsed() >= stopwatch.elapsed() + TIME * 2);
        let work = async {
            stopwatch.wait(sleep(TIME * 2)).await;
            pending::<()>().await;
        };
        assert_eq!(stopwatch.within(TIME, work).await, Err(Late));
        // A cancelled wait has ended.
        let given_up = tokio::time::timeout(TIME, stopwatch.wait(pending::<()>())).await;
        assert!(given_up.is_err());
        assert_eq!(stopwatch.within(TIME, pending::<()>()).await, Err(Late));
    }

    /// A server cannot stop the time by slots that are free.
    #[tokio::test]
    async fn free_slots_are_no_waits() {
        let stopwatch = Stopwatch::default();
        let work = async {
            loop {
                stopwatch.wait(ready(())).await;
                sleep(STEP / 10).await;
            }
        };
        let work = stopwatch.within(TIME, work);
        let ended: Result<Result<(), Late>, _> = tokio::time::timeout(TIME * 100, work).await;
        assert_eq!(ended.unwrap(), Err(Late));
    }

    #[tokio::test]
    async fn a_busy_process_is_not_counted() {
        let stopwatch = Stopwatch::default();
        let work = async {
            for _ in 0..3 {
                sleep(STEP / 5).await;
                std::thread::sleep(TIME);
            }
        };
        assert_eq!(stopwatch.within(TIME, work).await, Ok(()));
    }
}
