//! One operation as a stream of messages, for any protocol.
//!
//! Invariant: an operation and its reads end when the reader has gone. A mutation that began is finished, and keeps its
//! reservations until then. Each end sends a message, unless the reader has gone.

use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_graphql::parser::types::OperationType;
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::{
    answer_budget::AnswerText,
    error::{Code, Error},
    graphql::{Permit, Turn},
};

use super::{Caller, Pipeline, prepare::Prepared, refused::Refused};

/// The longest time that a reader may stall.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The time without an event after which a subscription says how far it is.
const QUIET: Duration = Duration::from_secs(10);

/// A message of an operation.
#[derive(Debug)]
pub(crate) enum Message {
    /// A response as JSON, and the id of its event.
    Next(AnswerText, Option<String>),
    /// The id of no event: the client may continue after it.
    Passed(String),
    /// A list of errors as JSON. Nothing was executed.
    Refused(String),
    /// The operation ended.
    Complete,
    /// The service ended a subscription early.
    Ended,
    /// The reader stalled for [`PATIENCE`].
    GivenUp,
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The operation's number.
    pub(crate) number: u64,
    pub(crate) message: Message,
    /// The turn of the response, dropped after it is written.
    pub(crate) turn: Option<OwnedSemaphorePermit>,
}

/// The receiver of an operation's messages.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// The operation's number.
    pub(crate) number: u64,
    pub(crate) out: mpsc::Sender<Outgoing>,
    /// The turns for responses that are computed or wait to be written, shared by several operations.
    pub(crate) turns: Arc<Semaphore>,
}

/// A slot and bytes that are reserved until an operation's work has ended.
pub(crate) type Held = Arc<dyn Any + Send + Sync>;

/// The messages of one operation. Dropping it ends the operation.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: mpsc::Receiver<Outgoing>,
    operation: Operation,
    given_up: Arc<AtomicBool>,
}

impl Messages {
    pub(super) fn spawn(
        pipeline: Arc<Pipeline>,
        caller: Caller,
        prepared: Result<Prepared, Refused>,
        permit: Permit,
    ) -> Self {
        let (out, messages) = mpsc::channel(1);
        let outlet = Outlet {
            number: 0,
            out,
            turns: Arc::new(Semaphore::new(1)),
        };
        let begin = async move { Ok((prepared?, permit)) };
        let given_up = Arc::<AtomicBool>::default();
        let patience = Some(Arc::clone(&given_up));
        Self {
            messages,
            operation: Operation::spawn(pipeline, caller, begin, outlet, patience, Arc::new(())),
            given_up,
        }
    }

    /// Waits for the next message; none after the last one.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        match self.messages.recv().await {
            Some(Outgoing { message, .. }) => Some(message),
            None => (self.given_up.swap(false, Ordering::Relaxed)).then_some(Message::GivenUp),
        }
    }

    /// See [`Operation::end_subscription`].
    pub(crate) fn end_subscription(&self) {
        self.operation.end_subscription();
    }
}

/// An operation in progress, ended by dropping it.
#[derive(Debug)]
pub(crate) struct Operation {
    unsubscribed: CancellationToken,
    _dropped: DropGuard,
}

impl Operation {
    /// Starts an operation that sends its messages to an outlet.
    ///
    /// `begin` may be cancelled. With a `patience`, a reader who stalls for [`PATIENCE`] ends the operation, and sets
    /// it. `held` is kept until the operation's work has ended.
    pub(super) fn spawn(
        pipeline: Arc<Pipeline>,
        caller: Caller,
        begin: impl Future<Output = Result<(Prepared, Permit), Refused>> + Send + 'static,
        outlet: Outlet,
        patience: Option<Arc<AtomicBool>>,
        held: Held,
    ) -> Self {
        let dropped = CancellationToken::new();
        let unsubscribed = dropped.child_token();
        let run = Run {
            pipeline,
            caller,
            turn: Turn::of(outlet.turns),
            number: outlet.number,
            out: outlet.out,
            patience,
            held,
            dropped: dropped.clone(),
            unsubscribed: unsubscribed.clone(),
        };
        let work = async move {
            // The state is dropped too, so no one sees it half-changed.
            let ended = AssertUnwindSafe(run.to_end(begin)).catch_unwind().await;
            if ended.is_err() {
                tracing::error!("the operation ended in a panic");
                let refused = Refused::from(Error::internal("a panic"));
                let _ = run.refuse(&refused).await;
            }
        };
        tokio::spawn(work.in_current_span());
        Self {
            unsubscribed,
            _dropped: dropped.drop_guard(),
        }
    }

    /// Ends a subscription between two events, with [`Message::Ended`]. A query or mutation continues.
    pub(crate) fn end_subscription(&self) {
        self.unsubscribed.cancel();
    }
}

/// The reader has gone.
struct Gone;

/// An operation in its task.
struct Run {
    pipeline: Arc<Pipeline>,
    caller: Caller,
    turn: Turn,
    number: u64,
    out: mpsc::Sender<Outgoing>,
    patience: Option<Arc<AtomicBool>>,
    held: Held,
    /// Cancelled when the reader has gone.
    dropped: CancellationToken,
    unsubscribed: CancellationToken,
}

impl Run {
    async fn to_end(
        &self,
        begin: impl Future<Output = Result<(Prepared, Permit), Refused>>,
    ) -> Result<(), Gone> {
        let prepared = async {
            self.turn.take().await;
            begin.await
        };
        let refused = match self.waiting(prepared).await? {
            Err(refused) => refused,
            Ok((prepared, permit)) if prepared.operation_type == OperationType::Subscription => {
                let subscribed = (self.pipeline).subscribe(
                    &self.caller,
                    prepared,
                    &self.unsubscribed,
                    &self.turn,
                );
                let subscribed = self.waiting(subscribed).await?;
                drop(permit);
                match subscribed {
                    Err(refused) => refused,
                    Ok((mut answers, ids)) => {
                        // Each event takes a turn.
                        drop(self.turn.pass_on());
                        loop {
                            let Ok(next) = self.waiting(timeout(QUIET, answers.next())).await?
                            else {
                                // All earlier events are sent, so the position is not beyond one.
                                if let Some(id) = ids.take_passed() {
                                    self.send(Message::Passed(id)).await?;
                                }
                                continue;
                            };
                            let Some((answer, id)) = next else { break };
                            self.send(Message::Next(answer, id)).await?;
                        }
                        let end = if self.unsubscribed.is_cancelled() {
                            Message::Ended
                        } else {
                            Message::Complete
                        };
                        return self.send(end).await;
                    }
                }
            }
            Ok((prepared, permit)) => {
                let deadline = Instant::now() + self.pipeline.timeout;
                let permit = permit.holding(Arc::clone(&self.held));
                let executed = async {
                    let caller = self.caller.clone();
                    let executed = (self.pipeline).execute(caller, permit, prepared, deadline);
                    Ok(executed.await?.encoded()?)
                };
                match self.waiting(executed).await? {
                    Err(refused) => refused,
                    Ok(answer) => {
                        self.send(Message::Next(answer, None)).await?;
                        return self.send(Message::Complete).await;
                    }
                }
            }
        };
        self.refuse(&refused).await
    }

    async fn refuse(&self, refused: &Refused) -> Result<(), Gone> {
        self.caller.record.record_error(refused.code);
        let errors = json!(refused.errors).to_string();
        self.send(Message::Refused(errors)).await
    }

    async fn send(&self, message: Message) -> Result<(), Gone> {
        let outgoing = Outgoing {
            number: self.number,
            message,
            turn: self.turn.pass_on(),
        };
        let sending = self.out.send(outgoing);
        let sent = match &self.patience {
            None => self.waiting(sending).await?,
            Some(given_up) => {
                let sent = self.waiting(timeout(PATIENCE, sending)).await?;
                let Ok(sent) = sent else {
                    self.caller.record.record_error(Code::Timeout);
                    given_up.store(true, Ordering::Relaxed);
                    return Err(Gone);
                };
                sent
            }
        };
        sent.map_err(|_| Gone)
    }

    /// Runs cancellable work until it ends or the reader has gone.
    async fn waiting<T>(&self, work: impl Future<Output = T>) -> Result<T, Gone> {
        self.dropped.run_until_cancelled(work).await.ok_or(Gone)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}
