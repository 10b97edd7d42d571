//! The operations of one socket.
//!
//! Invariant: an operation holds a slot and bytes of its socket, caller and process. It reserves them before its start,
//! and releases them when its work has ended, even if it was completed or the socket closed earlier. So operations that
//! a client starts and abandons are bounded too.

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

/// The most responses of a socket that are computed or wait to be written.
pub(super) const TURNS: usize = 8;
/// The most bytes of a socket's operations.
const SOCKET_BYTES: usize = 8 << 20;
/// Bytes of an operation besides its request.
const OPERATION_BYTES: usize = 4 * 1024;
/// Memory for each byte of a document and variables. A subscription with many short fields takes more, and others less.
const PARSED: usize = 64;
/// The longest wait of an operation for completed ones of its socket to end.
const WAIT: Duration = Duration::from_secs(1);

/// A turn and response bytes that a message holds until it is sent.
#[derive(Default)]
pub(super) struct Sending {
    #[expect(dead_code, reason = "it is held until drop")]
    turn: Option<OwnedSemaphorePermit>,
    #[expect(dead_code, reason = "it is held until drop")]
    share: AnswerShare,
}

/// The immediate result of a message.
pub(super) enum Received {
    Done,
    Pong(String),
    /// The message with the reason that no operation starts.
    Refused(String),
}

/// A running operation, with its log entry.
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
    /// A socket prepares one operation at a time, so that it does not fill the shared queue for permits.
    preparing: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    bytes: ByteBudget,
    next: u64,
    /// Whether no more operations begin, because the service stops.
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

    /// Ends the subscriptions. Queries and mutations run to their ends.
    pub(super) fn close(&mut self) {
        self.closing = true;
        for Running { operation, .. } in &self.running {
            operation.end_subscription();
        }
    }

    /// Returns whether all operations have ended since the stop.
    pub(super) fn are_closed(&self) -> bool {
        self.closing && self.running.is_empty() && self.starting.is_none()
    }

    pub(super) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// Handles a message.
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

    /// Begins to reserve resources for an operation. [`Self::start`] waits for them.
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

    /// Starts the waiting operation once its reservation is complete, or returns the message with the refusal. It is
    /// safe to cancel: the operation waits on.
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

    /// Returns an operation's message, with the resources that it holds until it is sent. None if the operation was
    /// completed meanwhile, or if the close frame replaces the message.
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
            // The protocol has no other message with a payload that clients may ignore.
            Message::Passed(cursor) => {
                let id = &self.running[index].id;
                json!({ "type": "ping", "payload": { "id": id, "cursor": cursor } }).to_string()
            }
            Message::Refused(errors) => {
                let Running { id, .. } = self.running.swap_remove(index);
                refused(&id, &errors)
            }
            Message::Complete => {
                let Running { id, .. } = self.running.swap_remove(index);
                json!({ "id": id, "type": "complete" }).to_string()
            }
            // A client without a "complete" subscribes again on its next socket.
            Message::Ended | Message::GivenUp => {
                self.running.swap_remove(index);
                return None;
            }
        };
        Some((text, Sending { turn, share }))
    }
}

/// Estimates an operation's memory. A single one may take all of its socket's.
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

/// Waits for a slot and bytes of a socket, which completed operations release when their work has ended.
async fn reserve(
    (slots, most): (Arc<Semaphore>, usize),
    of_socket: ByteBudget,
    account: Arc<Account>,
    bytes: usize,
) -> Result<Held, Error> {
    let until = Instant::now() + WAIT;
    let under_way = |most: usize| {
        let message = "completed operations have not ended yet: try again in a while";
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
