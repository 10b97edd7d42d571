//! The body of a request: its type, its limits, and its unread rest.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    error::{Code, Error},
    fair_budget::FairShare,
    http::{admission::rate_limit::Caller, rejection::Rejection},
};

/// Bytes that are first reserved for a body.
const FIRST: usize = 1024;

/// The time and the bytes to read a body beyond its limit.
const DRAINED_TIME: Duration = Duration::from_secs(1);
const DRAINED_BYTES: usize = 16 << 20;

/// Rejects a body that is not `application/json`, with no parameter except `charset=utf-8`. A page of another site
/// cannot send it without a preflight request.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Rejection> {
    if is_json(headers) {
        return Ok(());
    }
    let message = "the Content-Type must be application/json";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Rejection::new(status, Code::BadRequest, message))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (types.next().map(HeaderValue::to_str), types.next()) else {
        return false;
    };
    let is = |part: &str, other: &str| part.trim().eq_ignore_ascii_case(other);
    let utf8 = ["", "charset=utf-8", "charset=\"utf-8\""];
    let mut parts = text.split(';');
    parts
        .next()
        .is_some_and(|part| is(part, "application/json"))
        && parts.all(|part| utf8.iter().any(|utf8| is(part, utf8)))
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Body,
    /// Whether the client waits for 100 (RFC 9110, section 10.1.1), which the first read sends.
    awaits_leave: bool,
}

/// A complete body and its memory. The memory also covers the parsed body, so it is held until the response is made.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) memory: FairShare<Caller>,
}

/// The reason that a body is not received.
enum Failed {
    /// The body is too large. Contains its size, if the head states it.
    TooLarge(Option<u64>),
    CutOff,
    NoMemory,
}

/// The rejection of a body for lack of memory.
fn no_memory() -> Rejection {
    Rejection::shed("unfinished request bodies use all memory for bodies: try again later")
}

/// Returns the output of a future that is ready at its first or second poll, so that it needs no timer.
///
/// hyper yields a body that arrived with its head at the second poll.
async fn early<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut is_second = false;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if is_second => Poll::Ready(None),
        Poll::Pending => {
            is_second = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

impl RequestBody {
    pub(super) fn new(body: Body, headers: &HeaderMap) -> Self {
        Self {
            body,
            awaits_leave: headers.contains_key(header::EXPECT),
        }
    }

    /// Reads a body up to a size, by the deadline. Memory is taken as bytes arrive.
    pub(super) async fn read(
        &mut self,
        most: usize,
        memory: FairShare<Caller>,
        deadline: Instant,
    ) -> Result<Received, Rejection> {
        let mut receiving = pin!(self.receive(most, memory));
        let received = match early(receiving.as_mut()).await {
            Some(received) => Ok(received),
            None => timeout_at(deadline, receiving).await,
        };
        let (status, error) = match received {
            Ok(Ok(received)) => return Ok(received),
            Ok(Err(Failed::NoMemory)) => return Err(no_memory()),
            Ok(Err(Failed::TooLarge(bytes))) => {
                let message = format!("the body must be at most {most} bytes");
                let error = Error::over(message, most as u64, bytes);
                (StatusCode::PAYLOAD_TOO_LARGE, error)
            }
            Ok(Err(Failed::CutOff)) => {
                let error = Error::new(Code::BadRequest, "the body did not arrive whole");
                (StatusCode::BAD_REQUEST, error)
            }
            Err(_) => {
                let error = Error::new(Code::Timeout, "the body took too long to arrive");
                (StatusCode::REQUEST_TIMEOUT, error)
            }
        };
        Err(Rejection::at(status, error))
    }

    async fn receive(
        &mut self,
        most: usize,
        mut memory: FairShare<Caller>,
    ) -> Result<Received, Failed> {
        let size = self.body.size_hint();
        let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= most);
        if !fits(size.lower()) {
            return Err(Failed::TooLarge(size.exact()));
        }
        let upper = size.upper().and_then(|upper| usize::try_from(upper).ok());
        let upper = upper.map_or(most, |upper| upper.min(most));
        self.awaits_leave = false;
        // The bytes are copied, because each of hyper's pieces keeps a buffer of several KiB, however short it is.
        let mut bytes = Vec::new();
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_| Failed::CutOff)?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if data.len() > most - bytes.len() {
                return Err(Failed::TooLarge(size.exact()));
            }
            let length = bytes.len() + data.len();
            if length > bytes.capacity() {
                let capacity = (2 * bytes.capacity()).max(FIRST).min(upper).max(length);
                let more = capacity - bytes.capacity();
                memory.grow(more).map_err(|_| Failed::NoMemory)?;
                bytes.reserve_exact(capacity - bytes.len());
            }
            bytes.extend_from_slice(data);
            // This avoids another poll, which would only find the end.
            if self.body.is_end_stream() {
                break;
            }
        }
        Ok(Received { bytes, memory })
    }

    /// Reads the rest of the body, within a limit: a client that still sends when the connection ends may never see its
    /// response. A client that waits for 100 sends none.
    pub(super) async fn drain(mut self, deadline: Instant) {
        if self.body.is_end_stream() || self.awaits_leave {
            return;
        }
        let drained = async {
            let mut left = DRAINED_BYTES;
            while let Some(Ok(frame)) = self.body.frame().await {
                let read = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(read) else {
                    return;
                };
                left = less;
            }
        };
        let until = deadline.min(Instant::now() + DRAINED_TIME);
        let _ = timeout_at(until, drained).await;
    }
}
