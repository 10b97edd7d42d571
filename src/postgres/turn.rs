//! Turns at the lock that all writes take.
//!
//! Invariant: one session of a process at a time waits for that lock or has it. PostgreSQL gives a lock to its waiters in their
//! order: a process that hangs while several of its sessions wait would hold up the others once for each of them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time,
};

/// The longest that a turn lasts. By then PostgreSQL has ended a session that stands still in a write; one that a network swallowed
/// holds up no other for longer.
const LASTS: Duration = Duration::from_secs(4);

/// Gives one turn at a time.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

/// A turn. It ends when it is dropped, or after [`LASTS`].
#[derive(Debug)]
pub(crate) struct Turn {
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    end: AbortHandle,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Waits for those who came before. None where that takes longer.
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
