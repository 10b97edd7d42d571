//! Whether an answer is still waited for.
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
    static WANTED: Weak<()>;
}

/// Reads for an answer, in a task of its own, until the answer is there or the future that this gives is dropped.
pub async fn while_wanted<F>(answer: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let wanted = Arc::new(());
    let reading = WANTED.scope(Arc::downgrade(&wanted), answer);
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

/// Reads in a task of its own as long as what this gives is kept.
pub fn work_while_kept(work: impl Future<Output = ()> + Send + 'static) -> Wanted {
    let wanted = Arc::new(());
    let working = WANTED.scope(Arc::downgrade(&wanted), work);
    tokio::spawn(working.in_current_span());
    Wanted(wanted)
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

/// That somebody waits. Dropped, the statement under way ends with an error, and so do all that follow.
#[derive(Debug)]
pub struct Wanted(#[expect(dead_code, reason = "that it is there says all")] Arc<()>);

/// An error for nobody, where nobody waits.
pub(in crate::store) fn check() -> Result<()> {
    match WANTED.try_with(Weak::strong_count) {
        Ok(0) => Err(Error::new(Code::Timeout, "nobody waits for the answer")),
        _ => Ok(()),
    }
}

/// What says whether somebody waits, for those that look while a statement runs; none where nobody could hang up.
pub(in crate::store) fn current() -> Option<Weak<()>> {
    WANTED.try_with(Weak::clone).ok()
}
