//! Cancellation of reads.
//!
//! Invariant: a statement is never dropped while the database works on it, which would leave its connection between two
//! messages, of no use to the next; yet none runs on for long when nobody waits. On SQLite it is interrupted at once, on
//! PostgreSQL at its statement timeout, and no further one begins.

use std::{
    future::pending,
    panic::resume_unwind,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinHandle},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::error::{Code, Error, Result};

/// How soon a task that panicked runs again.
const AGAIN: Duration = Duration::from_secs(1);

tokio::task_local! {
    static WAITER: Weak<()>;
}

/// Runs reads in a task of their own. They are cancelled when the future that this returns is dropped.
pub async fn cancel_on_drop<F>(answer: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let waiter = Arc::new(());
    let reading = WAITER.scope(Arc::downgrade(&waiter), answer);
    joined(tokio::spawn(reading.in_current_span())).await
}

/// What a task comes to that nobody cancels. Its panic goes on here.
pub(in crate::store) async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(output) => output,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends, and with it whoever waits.
        Err(Err(_)) => pending().await,
    }
}

/// Spawns a task whose reads are cancelled when the guard is dropped.
pub fn spawn_cancellable(work: impl Future<Output = ()> + Send + 'static) -> CancelGuard {
    let waiter = Arc::new(());
    let working = WAITER.scope(Arc::downgrade(&waiter), work);
    tokio::spawn(working.in_current_span());
    CancelGuard(waiter)
}

/// Runs a task of the background until it ends, and again after a panic, which is logged.
pub fn keep_running<F>(task: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while AbortOnDropHandle::new(tokio::spawn(task())).await.is_err() {
            sleep(AGAIN).await;
        }
    })
}

/// Cancels reads when it is dropped: the statement under way fails, and so do all that follow.
#[derive(Debug)]
pub struct CancelGuard(#[expect(dead_code, reason = "that it is there says all")] Arc<()>);

/// Fails if the request was cancelled.
pub(in crate::store) fn check() -> Result<()> {
    match WAITER.try_with(Weak::strong_count) {
        Ok(0) => Err(Error::new(Code::Timeout, "nobody waits for the answer")),
        _ => Ok(()),
    }
}

/// A handle that is dead once the reads of this task are cancelled. None if they cannot be cancelled.
pub(in crate::store) fn current() -> Option<Weak<()>> {
    WAITER.try_with(Weak::clone).ok()
}
