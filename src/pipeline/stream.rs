//! One operation as a stream of messages, whatever protocol they go out by.
//!
//! Invariant: an operation ends when nobody waits for it any longer: between two events of a subscription at once, a statement
//! under way as the store ends it. A reader who takes nothing delays nobody else, and is given up after a while.

use std::{future::ready, sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use futures_util::StreamExt;
use serde_json::json;
use tokio::{
    sync::mpsc::{self, error::SendTimeoutError},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    error::Error,
    graphql::Permit,
    store::{CancelGuard, spawn_cancellable},
};

use super::{Caller, Pipeline, encode::Encoded, prepare::Prepared, refused::Refused};

/// How long a reader may take nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A message of an operation.
#[derive(Debug)]
pub(crate) enum Message {
    /// An answer, as JSON.
    Next(Encoded),
    /// A list of errors, as JSON: nothing was executed.
    Refused(String),
    /// There is no more.
    Complete,
    /// The service has ended a subscription that would have gone on.
    Ended,
}

/// The messages of one operation. Dropped, the operation ends.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: mpsc::Receiver<(u64, Message)>,
    operation: Operation,
}

impl Messages {
    pub(super) fn spawn(
        pipeline: Arc<Pipeline>,
        caller: Caller,
        prepared: Result<Prepared, Refused>,
        permit: Permit,
    ) -> Self {
        let (out, messages) = mpsc::channel(1);
        let permit = ready(Ok(permit));
        Self {
            messages,
            operation: Operation::spawn(pipeline, caller, |_| prepared, permit, 0, out),
        }
    }

    /// Waits for the next message. `None` after the last one.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let (_, message) = self.messages.recv().await?;
        Some(message)
    }

    /// See [`Operation::end_subscription`].
    pub(crate) fn end_subscription(&self) {
        self.operation.end_subscription();
    }
}

/// An operation under way. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Operation {
    _guard: CancelGuard,
    unsubscribed: CancellationToken,
    _unsubscribe: DropGuard,
}

impl Operation {
    /// Begins an operation that sends its messages to `out`, under its number.
    pub(super) fn spawn(
        pipeline: Arc<Pipeline>,
        caller: Caller,
        prepare: impl FnOnce(&Pipeline) -> Result<Prepared, Refused> + Send + 'static,
        permit: impl Future<Output = Result<Permit, Error>> + Send + 'static,
        number: u64,
        out: mpsc::Sender<(u64, Message)>,
    ) -> Self {
        let unsubscribed = CancellationToken::new();
        let until = unsubscribed.clone();
        let work = async move {
            let out = Out { number, out };
            let prepared = prepare(&pipeline);
            // A reader who is gone needs no message.
            let _ = run(&pipeline, caller, prepared, permit, &out, until).await;
        };
        Self {
            _guard: spawn_cancellable(work),
            unsubscribed: unsubscribed.clone(),
            _unsubscribe: unsubscribed.drop_guard(),
        }
    }

    /// Ends a subscription between two events, with [`Message::Ended`]. A query or mutation goes on.
    pub(crate) fn end_subscription(&self) {
        self.unsubscribed.cancel();
    }
}

struct Out {
    number: u64,
    out: mpsc::Sender<(u64, Message)>,
}

impl Out {
    async fn send(&self, message: Message) -> Result<(), SendTimeoutError<(u64, Message)>> {
        self.out
            .send_timeout((self.number, message), PATIENCE)
            .await
    }
}

async fn run(
    pipeline: &Pipeline,
    caller: Caller,
    prepared: Result<Prepared, Refused>,
    permit: impl Future<Output = Result<Permit, Error>>,
    out: &Out,
    unsubscribed: CancellationToken,
) -> Result<(), SendTimeoutError<(u64, Message)>> {
    let record = caller.record.clone();
    let refused = match prepared {
        Err(refused) => refused,
        Ok(prepared) if prepared.operation_type == OperationType::Subscription => {
            drop(permit);
            match pipeline
                .subscribe(caller, prepared, unsubscribed.clone())
                .await
            {
                Err(refused) => refused,
                Ok(mut answers) => {
                    while let Some(answer) = answers.next().await {
                        out.send(Message::Next(answer)).await?;
                    }
                    let end = if unsubscribed.is_cancelled() {
                        Message::Ended
                    } else {
                        Message::Complete
                    };
                    return out.send(end).await;
                }
            }
        }
        Ok(prepared) => {
            let deadline = Instant::now() + pipeline.timeout;
            let executed = async {
                let permit = permit.await?;
                let executed = pipeline.execute(caller, permit, prepared, deadline).await?;
                Ok(executed.encoded()?)
            };
            match executed.await {
                Err(refused) => refused,
                Ok(answer) => {
                    out.send(Message::Next(answer)).await?;
                    return out.send(Message::Complete).await;
                }
            }
        }
    };
    record.record_error(refused.code);
    out.send(Message::Refused(json!(refused.errors).to_string()))
        .await
}
