//! One operation as a stream of messages, whatever they go out by.
//!
//! Invariant: an operation ends when nobody waits for it any longer: between two events of a subscription at once, a statement
//! under way as the store ends it. A reader who takes nothing holds up nobody else, and is given up after a while.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::json;
use tokio::{
    sync::mpsc::{self, error::SendTimeoutError},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use async_graphql::{Response, parser::types::OperationType};

use crate::{
    error::{Code, Error},
    http::{Routes, admission::concurrency},
    observability::request_log,
    store::{CancelGuard, spawn_cancellable},
};

use super::{
    encode::encode,
    execute::{self, Caller, Prepared, Refused},
};

/// How long a reader may take nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What an operation has to say.
#[derive(Debug)]
pub(crate) enum Message {
    /// An answer, as JSON.
    Next(String),
    /// Nothing was executed: a list of errors, as JSON.
    Refused(String),
    /// There is no more.
    Complete,
}

/// An operation under way. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Operation {
    _wanted: CancelGuard,
    _unsubscribed: DropGuard,
}

impl Operation {
    /// Begins an operation that says all it has to say to `out`, under its number.
    pub(crate) fn begin(
        routes: Arc<Routes>,
        caller: Caller,
        prepare: impl FnOnce(&Routes) -> Result<Prepared, Refused> + Send + 'static,
        number: u64,
        out: mpsc::Sender<(u64, Message)>,
    ) -> Self {
        let unsubscribed = CancellationToken::new();
        let until = unsubscribed.clone();
        let work = async move {
            let out = Out { number, out };
            // Whoever no longer listens needs not be told.
            let _ = run(&routes, caller, prepare(&routes), &out, until).await;
        };
        Self {
            _wanted: spawn_cancellable(request_log::carry(work)),
            _unsubscribed: unsubscribed.drop_guard(),
        }
    }
}

struct Out {
    number: u64,
    out: mpsc::Sender<(u64, Message)>,
}

impl Out {
    async fn say(&self, message: Message) -> Result<(), SendTimeoutError<(u64, Message)>> {
        self.out
            .send_timeout((self.number, message), PATIENCE)
            .await
    }
}

async fn run(
    routes: &Routes,
    caller: Caller,
    prepared: Result<Prepared, Refused>,
    out: &Out,
    unsubscribed: CancellationToken,
) -> Result<(), SendTimeoutError<(u64, Message)>> {
    let refused = match prepared {
        Err(refused) => refused,
        Ok(prepared) if prepared.operation_type == OperationType::Subscription => {
            match execute::subscribe(routes, caller, prepared, unsubscribed.clone()).await {
                Err(refused) => refused,
                Ok(mut answers) => {
                    while let Some(answer) = answers.next().await {
                        out.say(next(&answer)).await?;
                    }
                    return out.say(Message::Complete).await;
                }
            }
        }
        Ok(prepared) => {
            let deadline = Instant::now() + routes.request_timeout;
            let executed = async {
                let place = routes.places.take(deadline).await;
                let place = place.map_err(|_| Error::new(Code::Unavailable, concurrency::FULL))?;
                execute::execute(routes, caller, place, prepared, deadline).await
            };
            match executed.await {
                Err(refused) => refused,
                Ok(answer) => {
                    out.say(next(&answer)).await?;
                    return out.say(Message::Complete).await;
                }
            }
        }
    };
    out.say(Message::Refused(json!(refused.errors).to_string()))
        .await
}

fn next(answer: &Response) -> Message {
    Message::Next(String::from_utf8(encode(answer)).unwrap_or_default())
}
