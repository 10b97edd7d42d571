//! Detects whether a client that sent its last byte waits for its response, or disconnected.
//!
//! TCP does not distinguish them; a Unix socket does. An interim response does too: a waiting client skips it (RFC
//! 9110, section 15.2), and the system of a closed socket replies with a reset.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::socket::Stream;

const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The interval of checks for a reset, because no task is woken for one after the end of the client's data.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The number of checks after which a body counts as cut off. Its received part may still be on the way to the handler.
const CHECKS_OF_A_BODY: u32 = 5;

/// A half-closed connection with an unanswered request.
#[derive(Debug)]
pub(super) struct HalfClosed {
    timer: Interval,
    checks: u32,
    is_asked: bool,
}

impl HalfClosed {
    pub(super) fn new() -> Self {
        let mut timer = interval(CHECK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            timer,
            checks: 0,
            is_asked: false,
        }
    }

    /// Sends one interim response over TCP. Call this only while no part of the response is written.
    pub(super) fn ask(&mut self, stream: &Stream) {
        if let Stream::Tcp(stream) = stream
            && !self.is_asked
        {
            self.is_asked = true;
            // 25 bytes fit as a whole if nothing else was written.
            let _ = stream.try_write(INTERIM);
        }
    }

    /// Ready with an error when the client has disconnected, and without one when its body was cut off.
    pub(super) fn poll(
        &mut self,
        stream: &Stream,
        awaits_body: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.timer.poll_tick(context).is_ready() {
            stream.check_open()?;
            self.checks += 1;
            if awaits_body && self.checks > CHECKS_OF_A_BODY {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}
