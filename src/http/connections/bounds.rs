//! The limits of connections.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::time::Instant;

/// The most connections, if the process may open as many files.
pub const CONNECTIONS: usize = 10_000;

/// The limits of connections.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The longest time for a request's head, and for an idle connection.
    pub head: Duration,
    /// The longest time in which a client reads nothing, on a connection and on an HTTP/2 stream.
    pub without_progress: Duration,
    /// The most connections. Further ones wait in the system's queue.
    pub connections: usize,
    /// The most connections of one address, or of an IPv6 /64. A further connection may send one request, and only a
    /// probe is answered.
    pub connections_of_address: usize,
    /// Proxies, whose connections only count in total.
    pub trusted: Arc<[IpNet]>,
    /// The time for which idle connections stay open at a stop, for requests on their way. New connections on their way
    /// are accepted for half of it.
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
    /// Returns the grace of a stop with a deadline, as a part of the remaining time.
    pub(in crate::http) fn grace(&self, deadline: Instant) -> Duration {
        let time = deadline.saturating_duration_since(Instant::now());
        self.grace.min(time / 4)
    }
}
