//! The bounds of connections.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::time::Instant;

/// Connections at once, where the process may open as many files.
pub const CONNECTIONS: usize = 10_000;

/// The bounds of connections.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How long a client may take for a request's head, and keep a connection that it asks nothing on.
    pub head: Duration,
    /// How long a client may take nothing of what it is sent: on a connection, and on a stream of HTTP/2.
    pub without_progress: Duration,
    /// Beyond these, connections wait in the system's queue.
    pub connections: usize,
    /// Connections of one address; of IPv6, of a /64. Beyond them, a connection may send one request, and only a probe is
    /// answered.
    pub connections_of_address: usize,
    /// Proxies, whose connections are bounded with all others alone.
    pub trusted: Arc<[IpNet]>,
    /// How long an idle connection stays open at a stop, for a request that is on its way. For half as long, connections are
    /// accepted that were on their way.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            without_progress: Duration::from_secs(30),
            connections: CONNECTIONS,
            connections_of_address: CONNECTIONS / 2,
            trusted: Arc::default(),
            grace: Duration::from_millis(500),
        }
    }
}

impl Bounds {
    /// The grace of a stop with a deadline, of which it is a part.
    pub(in crate::http) fn grace(&self, deadline: Instant) -> Duration {
        let time = deadline.saturating_duration_since(Instant::now());
        self.grace.min(time / 4)
    }
}
