//! Sends and receives messages as WebSocket frames (RFC 6455).
//!
//! Invariant: reading and writing proceed independently, within each other's limits. One message at a time is written
//! in fragments, so that the write buffer is small and control frames come between them. Only the latest pong is kept.
//! Each end sends the client a close frame, if the client accepts one.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use futures_util::{Sink, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use crate::{http::admission::open_streams::Account, pipeline::stream::PATIENCE};

use super::{
    close::{End, bad_request, close, failed},
    code,
    metered::Metered,
    operations::Sending,
};

/// The read buffer of each open socket. Most clients receive much and send little. Longer messages take more.
const READ_BUFFER: usize = 4 * 1024;
/// The most bytes of a message in one frame.
const FRAGMENT: usize = 16 * 1024;
/// The most bytes of unsent frames: one fragment, and pongs.
const WRITE_BUFFER: usize = 64 * 1024;
/// The most bytes on the wire for each byte of a message: a fragment of one byte has a head of six.
const MOST_HEADS: usize = 8;
/// The most replies to a client's messages that wait to be written. At this number, nothing is read.
const ANSWERS: usize = 8;
/// The longest time for a client to read a close frame and reply.
const CLOSING: Duration = Duration::from_secs(10);
/// The same time at a stop.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The longest time for a stalled client to read the reason of its disconnect. It costs no more than the write buffer.
const GIVEN_UP: Duration = Duration::from_mins(1);

/// An event of the connection.
pub(super) enum Event {
    Text(Utf8Bytes),
    /// The client is alive.
    Heard,
    /// All messages are written.
    Written,
}

/// A message that is being written.
struct Writing {
    left: Bytes,
    begun: bool,
    _held: Sending,
}

pub(super) struct Wire {
    socket: WebSocketStream<Metered>,
    writing: Option<Writing>,
    answers: VecDeque<String>,
    /// The latest reply to a `ping` message.
    pong: Option<String>,
    /// Whether a ping is due.
    ping: bool,
    /// Whether frames wait for the client.
    flushing: bool,
    overdue: Pin<Box<Sleep>>,
    /// The longest time for a client's message.
    message_time: Duration,
    /// The present limit of a message in bytes.
    longest: usize,
    max_message: usize,
}

impl Wire {
    /// Creates a connection of an unacknowledged client, whose messages have at most `init_bytes`.
    pub(super) async fn new(
        stream: Upgraded,
        account: Arc<Account>,
        init_bytes: usize,
        max_message: usize,
        message_time: Duration,
    ) -> Self {
        let most = max_message.max(init_bytes);
        let stream = Metered::new(TokioIo::new(stream), account, init_bytes);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            writing: None,
            answers: VecDeque::new(),
            pong: None,
            ping: false,
            flushing: false,
            overdue: Box::pin(sleep_until(Instant::now())),
            message_time,
            longest: init_bytes,
            max_message,
        }
    }

    /// Acknowledges the client. Messages may be as long as bodies, and count for its account.
    pub(super) fn acknowledge(&mut self, account: Arc<Account>) {
        self.longest = self.max_message;
        let most = self.max_message.saturating_mul(MOST_HEADS);
        self.socket.get_mut().count_for(account, most);
    }

    /// Starts to send a message. Call this only while none is being written.
    pub(super) fn send(&mut self, text: String, held: Sending) {
        self.writing = Some(Writing {
            left: text.into(),
            begun: false,
            _held: held,
        });
    }

    /// Queues a reply to a client's message, after the current message.
    pub(super) fn answer(&mut self, text: String) {
        self.answers.push_back(text);
    }

    /// Queues a `pong` message in place of one that still waits.
    pub(super) fn pong(&mut self, text: String) {
        self.pong = Some(text);
    }

    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    /// Returns whether all messages are written.
    pub(super) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.answers.is_empty() && self.pong.is_none()
    }

    /// Writes waiting messages, and reads if `reads`, until an event. It is safe to cancel: nothing is lost.
    pub(super) async fn event(&mut self, reads: bool) -> Result<Event, End> {
        poll_fn(|context| self.poll_event(context, reads)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>, reads: bool) -> Poll<Result<Event, End>> {
        if let Poll::Ready(true) = self.poll_write(context)? {
            return Poll::Ready(Ok(Event::Written));
        }
        if reads
            && self.answers.len() < ANSWERS
            && let Poll::Ready(received) = self.socket.poll_next_unpin(context)
        {
            return Poll::Ready(self.received(received));
        }
        let Some((at, reason)) = self.deadline() else {
            return Poll::Pending;
        };
        if self.overdue.deadline() != at {
            self.overdue.as_mut().reset(at);
        }
        ready!(self.overdue.as_mut().poll(context));
        Poll::Ready(Err(close(code::TRY_AGAIN_LATER, reason)))
    }

    /// Returns the time at which the client is disconnected, and the reason.
    fn deadline(&self) -> Option<(Instant, &'static str)> {
        let stream = self.socket.get_ref();
        let blocked = stream.blocked_since();
        let unfinished = stream.unfinished_since();
        let deadlines = [
            blocked.map(|since| (since + PATIENCE, "the client reads nothing")),
            unfinished.map(|since| {
                let at = since + self.message_time;
                (at, "a message was not finished in time")
            }),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Writes waiting messages. Ready when none is left, with whether any was written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, End>> {
        let mut wrote = false;
        while self.flushing || self.ping || !self.is_idle() {
            let mut socket = Pin::new(&mut self.socket);
            // This comes before the next frame, so that it fits in the buffer.
            ready!(socket.as_mut().poll_flush(context)).map_err(|_| End::Gone)?;
            self.flushing = false;
            if self.writing.as_ref().is_some_and(Writing::is_over) {
                self.writing = None;
                wrote = true;
            }
            let frame = if std::mem::take(&mut self.ping) {
                Some(Message::Ping(Bytes::new()))
            } else {
                if self.writing.is_none()
                    && let Some(text) = self.answers.pop_front().or_else(|| self.pong.take())
                {
                    self.send(text, Sending::default());
                }
                self.writing.as_mut().map(Writing::next)
            };
            if let Some(frame) = frame {
                self.flushing = true;
                let sent = Pin::new(&mut self.socket).start_send(frame);
                sent.map_err(|_| End::Gone)?;
            }
        }
        Poll::Ready(Ok(wrote))
    }

    fn received(
        &mut self,
        received: Option<Result<Message, tungstenite::Error>>,
    ) -> Result<Event, End> {
        let stream = self.socket.get_mut();
        match received {
            Some(Ok(Message::Text(text))) if text.len() > self.longest => {
                let (size, max_size) = (text.len(), self.longest);
                let too_long = CapacityError::MessageTooLong { size, max_size };
                Err(failed(&too_long.into()))
            }
            Some(Ok(Message::Text(text))) => {
                stream.delivered();
                Ok(Event::Text(text))
            }
            Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                stream.delivered_control(payload.len());
                Ok(Event::Heard)
            }
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                Err(bad_request("a message must be text"))
            }
            Some(Ok(Message::Close(_))) => Err(End::Closed),
            Some(Err(error)) => Err(failed(&error)),
            None => Err(End::Gone),
        }
    }

    /// Ends the connection: sends the close frame, or the reply to the client's, and waits until it is read.
    pub(super) async fn end(mut self, end: End) {
        // A partly written message is dropped.
        self.writing = None;
        match end {
            End::Gone => {}
            End::Closed => {
                // Reading sends the reply.
                let _ = timeout(CLOSING, self.until_closed()).await;
            }
            End::Close(frame) => {
                let (time, patience) = match u16::from(frame.code) {
                    code::GOING_AWAY => (CLOSING, LAST_WORD),
                    code::TRY_AGAIN_LATER => (GIVEN_UP, CLOSING),
                    _ => (CLOSING, CLOSING),
                };
                if self.send_close(frame, time).await {
                    // The wait lasts until the client has read it, or disconnected.
                    let _ = timeout(patience, self.until_closed()).await;
                }
            }
            End::Fail(frame) => {
                if self.send_close(frame, CLOSING).await {
                    self.socket.get_mut().drain(LAST_WORD).await;
                }
            }
        }
    }

    /// Sends a close frame. Returns whether it was sent in time.
    async fn send_close(&mut self, frame: CloseFrame, time: Duration) -> bool {
        let said = timeout(time, async {
            // A message that was begun comes first.
            self.socket.flush().await?;
            self.socket.send(Message::Close(Some(frame))).await
        });
        matches!(said.await, Ok(Ok(())))
    }

    async fn until_closed(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            match message {
                Message::Ping(payload) | Message::Pong(payload) => {
                    self.socket.get_mut().delivered_control(payload.len());
                }
                _ => self.socket.get_mut().delivered(),
            }
        }
    }
}

impl Writing {
    fn is_over(&self) -> bool {
        self.begun && self.left.is_empty()
    }

    /// Returns the next fragment (RFC 6455, section 5.4).
    fn next(&mut self) -> Message {
        let fragment = self.left.split_to(self.left.len().min(FRAGMENT));
        let opcode = if self.begun {
            Data::Continue
        } else {
            Data::Text
        };
        self.begun = true;
        let is_last = self.left.is_empty();
        Message::Frame(Frame::message(fragment, OpCode::Data(opcode), is_last))
    }
}
