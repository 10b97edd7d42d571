//! Turns for the lock that all writes take.
//!
//! Invariant: one session of a process at a time waits for that lock or has it. PostgreSQL serves waiters in order, so
//! a hanging process with several waiting sessions would delay others by each of them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time,
};

/// The longest turn. By then PostgreSQL has ended a session that is idle in a write; a session that the network dropped
/// delays others no longer.
const LASTS: Duration = Duration::from_secs(4);

/// Grants one turn at a time.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

/// A turn. It ends on drop, or after [`LASTS`].
#[derive(Debug)]
pub(crate) struct Turn {
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    end: AbortHandle,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Waits in order for a turn; none if it takes longer than this.
    pub(crate) async fn take(&self, wait: Duration) -> Option<Turn> {
        let permit = Arc::clone(&self.0).acquire_owned();
        let permit = time::timeout(wait, permit).await.ok()?.ok()?;
        let permit = Arc::new(Mutex::new(Some(permit)));
        let held = Arc::clone(&permit);
        let end = tokio::spawn(async move {
            time::sleep(LASTS).await;
            release(&held);
        });
        Some(Turn {
            permit,
            end: end.abort_handle(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end.abort();
        release(&self.permit);
    }
}

fn release(permit: &Mutex<Option<OwnedSemaphorePermit>>) {
    let mut permit = permit.lock().unwrap_or_else(PoisonError::into_inner);
    drop(permit.take());
}
