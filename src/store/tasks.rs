//! Tasks that end with their work, and tasks that run until the process ends.
//!
//! A read needs no task, because dropping its future cancels it: see `database::reader`.

use std::{future::pending, panic::resume_unwind, time::Duration};

use tokio::{
    task::{JoinError, JoinHandle},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// The delay before a task runs again after a panic.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs work in a task, which completes even if no caller waits.
pub(crate) async fn finished<F>(work: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    joined(tokio::spawn(work.in_current_span())).await
}

/// Returns the output of a task that is never aborted, and resumes its panic here.
pub(in crate::store) async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(output) => output,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends, and the caller with it.
        Err(Err(_)) => pending().await,
    }
}

/// Runs a background task until it ends, and again after a panic, which is logged.
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
