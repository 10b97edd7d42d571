//! The stop of the service: its phases, and their common deadline.
//!
//! Invariant: phases only advance, each entered once.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{self, Instant},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::rejection::Rejection;

/// The exit code of a process after SIGINT, as in shells.
const ABORTED: i32 = 130;

/// The message to clients that are refused because of the stop.
pub(super) const STOPS: &str = "the service stops: try again in a while";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    #[default]
    Serving,
    /// Everything is served, but the service is not ready, and responses close their connections.
    Draining,
    /// New connections are refused. Sockets and streams end, and responses in progress finish.
    Closing,
    /// The deadline is near, and unfinished work is cut.
    Cutting,
}

/// The phase of the stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<State>);

#[derive(Debug, Default)]
struct State {
    phase: watch::Sender<Phase>,
    deadline: OnceLock<Instant>,
    sockets: TaskTracker,
}

impl Stopping {
    /// Begins the stop at the first SIGTERM or SIGINT. A second one ends the process at once.
    ///
    /// After SIGTERM, the service drains for `drain_delay`; after SIGINT it does not. Then everything ends `within` a
    /// time.
    pub fn at_signal(&self, drain_delay: Duration, within: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stopping = self.clone();
        tokio::spawn(async move {
            let delay = tokio::select! {
                _ = terminate.recv() => drain_delay,
                _ = interrupt.recv() => Duration::ZERO,
            };
            tracing::info!(
                drain_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                "the service stops: it finishes the responses that it has begun"
            );
            stopping.drain();
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::warn!("a second signal: the process ends at once");
                std::process::exit(ABORTED);
            });
            time::sleep(delay).await;
            stopping.close(Instant::now() + within);
        });
        Ok(())
    }

    /// Begins the drain: everything is served, but the service is not ready. Has no effect in this or a later phase.
    pub fn drain(&self) {
        self.enter(Phase::Draining);
    }

    /// Closes the listener. Everything ends by the deadline; the first deadline counts.
    pub fn close(&self, deadline: Instant) {
        let _ = self.0.deadline.set(deadline);
        self.enter(Phase::Closing);
    }

    pub(super) fn cut(&self) {
        self.enter(Phase::Cutting);
    }

    fn enter(&self, phase: Phase) {
        self.0.phase.send_if_modified(|entered| {
            let is_later = *entered < phase;
            *entered = phase.max(*entered);
            is_later
        });
    }

    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        *self.0.phase.borrow() >= phase
    }

    /// Waits for a phase, or a later one.
    pub(crate) fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let this = self.clone();
        async move {
            let mut phases = this.0.phase.subscribe();
            // It fails without a sender, and this holds one.
            let _ = phases.wait_for(|entered| *entered >= phase).await;
        }
    }

    /// Returns the deadline of the stop; none before [`Phase::Closing`].
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline.get().copied()
    }

    /// Refuses a socket or a subscription that would end at once.
    pub(super) fn refuse_streams(&self) -> Result<(), Rejection> {
        if !self.has_reached(Phase::Closing) {
            return Ok(());
        }
        Err(Rejection::unavailable(STOPS))
    }

    /// Counts a socket as open until the token is dropped, because its request's connection has ended.
    pub(super) fn open_socket(&self) -> TaskTrackerToken {
        self.0.sockets.token()
    }

    /// Waits until no socket is open.
    pub(super) async fn sockets_closed(&self) {
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }
}
