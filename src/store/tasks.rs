//! Tasks: those that end when their work is done, and those that run until the process ends.
//!
//! A read needs none. Its future is cancelled by dropping it: see `database::reader`.

use std::{future::pending, panic::resume_unwind, time::Duration};

use tokio::{
    task::{JoinError, JoinHandle},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// How soon a task that panicked runs again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs work in a task of its own, which ends when the work is done, also where nobody waits for it.
pub(crate) async fn finished<F>(work: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    joined(tokio::spawn(work.in_current_span())).await
}

/// The output of a task that nobody aborts. Its panic goes on here.
pub(in crate::store) async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(output) => output,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends, and with it whoever waits.
        Err(Err(_)) => pending().await,
    }
}

/// Runs a task of the background until it ends, and again after a panic, which is logged.
pub(crate) fn keep_running<F>(task: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while AbortOnDropHandle::new(tokio::spawn(task())).await.is_err() {
            sleep(AGAIN).await;
        }
    })
}
