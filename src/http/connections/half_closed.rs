//! A client that has sent its last byte: does it wait for its answer, or has it hung up?
//!
//! TCP does not distinguish the two, a Unix socket does. An interim response does: a client that waits skips it (RFC 9110,
//! section 15.2), and the system of a client that has closed its socket answers it with a reset.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::socket::Stream;

const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How often a reset is looked for. Nothing wakes a task for one after the end of what the client sends.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// After how many checks a body is taken for cut off: what has arrived of it may still be on its way to the handler.
const CHECKS_OF_A_BODY: u32 = 5;

/// A half-closed connection whose request is not answered yet.
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

    /// Sends an interim response over TCP, once. To be called only where no part of the answer is written.
    pub(super) fn ask(&mut self, stream: &Stream) {
        if let Stream::Tcp(stream) = stream
            && !self.is_asked
        {
            self.is_asked = true;
            // 25 bytes fit whole where nothing else was written.
            let _ = stream.try_write(INTERIM);
        }
    }

    /// Is ready with an error when the client has hung up, and without one when the body that it sent has no end.
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
