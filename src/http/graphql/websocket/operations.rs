//! The operations of one socket.
//!
//! Invariant: an operation has a slot and bytes of its socket, its caller and the process from before it begins until its work
//! has ended, even if it was completed, or the socket closed, before. So what a client starts and forgets is bounded too.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde_json::{json, value::RawValue};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout_at},
};

use crate::{
    answer_budget::AnswerShare,
    byte_budget::ByteBudget,
    error::Error,
    http::{
        admission::{
            concurrency::{FULL, Full},
            open_streams::Account,
            rate_limit,
        },
        shed::turned_away,
        stopping::STOPS,
    },
    observability::{request_log::LogEntry, request_record::RequestRecord},
    pipeline::{
        Caller,
        parameters::{self, Given},
        stream::{Held, Message, Operation, Outgoing, Outlet},
    },
};

use super::{
    client::{Client, Session},
    close::{End, bad_request, close},
    code,
    message::{Sent, parse, pong},
};

/// Answers of a socket that are computed, or wait to be written, at once.
pub(super) const TURNS: usize = 8;
/// Bytes that the operations of a socket may have.
const SOCKET_BYTES: usize = 8 << 20;
/// Bytes of an operation, besides those of what was sent.
const OPERATION_BYTES: usize = 4 * 1024;
/// Memory of what was sent, by byte of a document and variables. Of a document of short fields a subscription keeps more, of others
/// less.
const PARSED: usize = 64;
/// How long an operation waits for others of its socket to end that were completed.
const WAIT: Duration = Duration::from_secs(1);

/// A turn and bytes of all answers, which a message holds until it is sent.
#[derive(Default)]
pub(super) struct Sending {
    #[expect(dead_code, reason = "it is held")]
    turn: Option<OwnedSemaphorePermit>,
    #[expect(dead_code, reason = "it is held")]
    share: AnswerShare,
}

/// The immediate result of a message.
pub(super) enum Received {
    Done,
    Pong(String),
    /// The message that says why there is no operation.
    Refused(String),
}

/// An operation under way, and its entry in the log.
struct Running {
    number: u64,
    id: String,
    bytes: usize,
    operation: Operation,
    _entry: LogEntry,
}

/// An operation that waits for its reservation.
struct Starting {
    id: String,
    bytes: usize,
    sent: parameters::Sent,
    reserved: Pin<Box<dyn Future<Output = Result<Held, Error>> + Send>>,
}

pub(super) struct Operations<'a> {
    session: &'a Session,
    client: &'a Client,
    caller: Option<rate_limit::Caller>,
    starting: Option<Starting>,
    running: Vec<Running>,
    out: mpsc::Sender<Outgoing>,
    turns: Arc<Semaphore>,
    /// One operation at a time waits for a permit, and is parsed and validated: a socket does not fill the queue that all wait in.
    preparing: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    bytes: ByteBudget,
    next: u64,
    /// Whether no more begin, since the service stops.
    pub(super) closing: bool,
}

impl<'a> Operations<'a> {
    pub(super) fn new(
        session: &'a Session,
        client: &'a Client,
        out: mpsc::Sender<Outgoing>,
    ) -> Self {
        let admission = &session.service.admission;
        Self {
            session,
            client,
            caller: admission.caller(&client.verified, session.peer, &session.headers),
            starting: None,
            running: Vec::new(),
            out,
            turns: Arc::new(Semaphore::new(TURNS)),
            preparing: Arc::new(Semaphore::new(1)),
            slots: Arc::new(Semaphore::new(session.service.open_streams.operations)),
            bytes: ByteBudget::new(SOCKET_BYTES),
            next: 0,
            closing: false,
        }
    }

    /// Ends the subscriptions. Queries and mutations go on to their ends.
    pub(super) fn close(&mut self) {
        self.closing = true;
        for Running { operation, .. } in &self.running {
            operation.end_subscription();
        }
    }

    /// Whether all have ended since the service stops.
    pub(super) fn are_closed(&self) -> bool {
        self.closing && self.running.is_empty() && self.starting.is_none()
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// Does what a message says.
    pub(super) fn receive(&mut self, text: &str) -> Result<Received, End> {
        let Sent {
            r#type,
            id,
            payload,
        } = parse(text)?;
        match (&*r#type, id) {
            ("subscribe", Some(id)) => {
                let payload =
                    payload.ok_or_else(|| bad_request("subscribe must have a payload"))?;
                return self.subscribe(id, payload);
            }
            ("complete", Some(id)) => self.running.retain(|running| running.id != id),
            ("ping", _) => return Ok(Received::Pong(pong(payload))),
            ("pong", _) => {}
            ("connection_init", _) => {
                let reason = "Too many initialisation requests";
                return Err(close(code::TOO_MANY_INITS, reason));
            }
            ("subscribe" | "complete", None) => return Err(bad_request("id must be a string")),
            _ => return Err(bad_request("the message's type is unknown")),
        }
        Ok(Received::Done)
    }

    /// Begins to reserve what an operation needs. [`Self::start`] waits for it.
    fn subscribe(&mut self, id: String, payload: &RawValue) -> Result<Received, End> {
        if id.is_empty() {
            return Err(bad_request("id must not be empty"));
        }
        if self.running.iter().any(|running| running.id == id) {
            let reason = format!("Subscriber for {id:.50} already exists");
            return Err(close(code::SUBSCRIBER_EXISTS, &reason));
        }
        let sent = parameters::from_body(payload.get().as_bytes())
            .map_err(|error| bad_request(&error.message))?;
        let refuse = |error: &Error| Ok(Received::Refused(refusal(&id, error)));
        if self.closing {
            return refuse(&Error::unavailable(STOPS));
        }
        let service = &self.session.service;
        let most = service.open_streams.operations;
        if self.running.len() >= most {
            let message = format!("a socket may have at most {most} operations");
            let current = self.running.len() as u64;
            return refuse(&Error::over(message, most as u64, Some(current)));
        }
        let bytes = bytes(&id, &sent);
        let of_others: usize = self.running.iter().map(|running| running.bytes).sum();
        if of_others + bytes > SOCKET_BYTES {
            let message = "the operations of the socket have too many bytes: complete one, or open another socket";
            let current = (of_others + bytes) as u64;
            return refuse(&Error::over(message, SOCKET_BYTES as u64, Some(current)));
        }
        if let Some(caller) = &self.caller
            && let Err(too_many) = service.admission.charge(caller)
        {
            return refuse(&too_many.error());
        }
        let reserved = reserve(
            (Arc::clone(&self.slots), most),
            self.bytes.clone(),
            Arc::clone(self.client.open.account()),
            bytes,
        );
        self.starting = Some(Starting {
            id,
            bytes,
            sent,
            reserved: Box::pin(reserved),
        });
        Ok(Received::Done)
    }

    /// Starts the operation that waits, once it has what it needs, or gives the message that says why not. Dropped in the middle,
    /// it waits on.
    pub(super) async fn start(&mut self) -> Option<String> {
        let held = self.starting.as_mut()?.reserved.as_mut().await;
        let Starting {
            id, bytes, sent, ..
        } = self.starting.take()?;
        match held {
            Err(error) => Some(refusal(&id, &error)),
            Ok(_) if self.closing => Some(refusal(&id, &Error::unavailable(STOPS))),
            Ok(held) => {
                self.run(id, bytes, sent, held);
                None
            }
        }
    }

    fn run(&mut self, id: String, bytes: usize, sent: parameters::Sent, held: Held) {
        let service = &self.session.service;
        let number = self.next;
        self.next += 1;
        let record = RequestRecord::new(self.session.record.id().clone());
        if self.client.verified.viewer.user().is_some() {
            record.record_token();
        }
        let entry = LogEntry::of_operation(service.metrics.clone(), record.clone());
        let caller = Caller {
            viewer: self.client.verified.viewer.clone(),
            key: service.admission.key(self.caller.as_ref()),
            record,
            last_event_id: None,
        };
        let (admission, timeout) = (service.admission.clone(), service.request_timeout);
        let preparing = Arc::clone(&self.preparing);
        let permit = async move {
            let turn = preparing.acquire_owned().await;
            let permit = admission.permit(Instant::now() + timeout).await;
            let permit = permit.map_err(|Full| {
                turned_away(FULL);
                Error::unavailable(FULL)
            })?;
            Ok((permit, turn))
        };
        let outlet = Outlet {
            number,
            out: self.out.clone(),
            turns: Arc::clone(&self.turns),
        };
        let operation = (service.pipeline).stream(sent, caller, permit, outlet, held);
        self.running.push(Running {
            number,
            id,
            bytes,
            operation,
            _entry: entry,
        });
    }

    /// The message of an operation, with what it holds until it is sent; none when it was completed meanwhile, or is left to the close frame.
    pub(super) fn say(&mut self, outgoing: Outgoing) -> Option<(String, Sending)> {
        let Outgoing {
            number,
            message,
            turn,
        } = outgoing;
        let mut share = AnswerShare::default();
        let mut running = self.running.iter();
        let index = running.position(|running| running.number == number)?;
        let text = match message {
            Message::Next(answer, _) => {
                let (id, payload) = (json!(self.running[index].id), answer.as_str());
                let text = format!(r#"{{"id":{id},"type":"next","payload":{payload}}}"#);
                share = answer.into_share();
                text
            }
            Message::Refused(errors) => {
                let Running { id, .. } = self.running.swap_remove(index);
                refused(&id, &errors)
            }
            Message::Complete => {
                let Running { id, .. } = self.running.swap_remove(index);
                json!({ "id": id, "type": "complete" }).to_string()
            }
            // A client that was sent no "complete" subscribes again on its next socket.
            Message::Ended | Message::GivenUp => {
                self.running.swap_remove(index);
                return None;
            }
        };
        Some((text, Sending { turn, share }))
    }
}

/// Memory that an operation is taken to have. One alone may have all of its socket's.
fn bytes(id: &str, sent: &parameters::Sent) -> usize {
    let document = match &sent.document {
        Given::Text { text, .. } => text.len(),
        Given::Id(id) => id.len(),
    };
    let parsed = PARSED.saturating_mul(document.saturating_add(sent.variables.len()));
    let all = OPERATION_BYTES
        .saturating_add(id.len())
        .saturating_add(parsed);
    all.min(SOCKET_BYTES)
}

/// Waits for a slot and bytes of a socket, which operations that were completed leave when their work has ended.
async fn reserve(
    (slots, most): (Arc<Semaphore>, usize),
    of_socket: ByteBudget,
    account: Arc<Account>,
    bytes: usize,
) -> Result<Held, Error> {
    let until = Instant::now() + WAIT;
    let under_way = |most: usize| {
        let message = "operations that were completed are still under way: try again in a while";
        Error::over(message, most as u64, None)
    };
    let slot = timeout_at(until, slots.acquire_owned()).await;
    let slot = slot.map_err(|_| under_way(most))?;
    let of_socket = timeout_at(until, of_socket.take(bytes)).await;
    let of_socket = of_socket.map_err(|_| under_way(SOCKET_BYTES))?;
    let of_caller = account
        .take(bytes)
        .map_err(|too_many| account.error(too_many))?;
    Ok(Arc::new((slot, of_socket, of_caller)))
}

fn refusal(id: &str, error: &Error) -> String {
    refused(id, &json!([error.to_json()]).to_string())
}

fn refused(id: &str, errors: &str) -> String {
    format!(
        r#"{{"id":{},"type":"error","payload":{errors}}}"#,
        json!(id)
    )
}
