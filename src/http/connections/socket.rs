//! Options of sockets: the listener's queue, and when a connection is dead.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::{listener::BACKLOG, stream::Stream};

/// How long a connection is silent before the system asks whether the other end is there, and how often it asks.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_PROBES: u32 = 3;

/// So many times the bound of other connections, a WebSocket's and the system's bounds end a connection whose client takes
/// nothing. By then, a socket has tried to tell its client why it is closed.
pub(super) const BACKSTOP: u32 = 4;

/// Bytes that the system takes for a connection before it has sent them, on Linux. A reader that reads nothing holds so many
/// of the kernel's memory, instead of megabytes.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 * 1024;

/// The system's bound on the queue of a listener, where it is lower than the service asks for.
pub fn short_backlog() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    let most = text.trim().parse().ok()?;
    (most < BACKLOG).then_some(most)
}

/// Prepares an accepted connection. The system ends it when the other end has taken nothing for a time.
///
/// An option that the system refuses is left out: each bounds a case that others bound later.
///
/// A Unix socket needs none: its other end cannot vanish without a word.
pub(super) fn prepare(stream: &Stream, without_progress: Duration) {
    match stream {
        Stream::Tcp(stream) => prepare_tcp(stream, without_progress),
        Stream::Unix(_) => {}
    }
}

fn prepare_tcp(stream: &TcpStream, without_progress: Duration) {
    // Answers are written whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_PROBES);
    let _ = socket.set_tcp_keepalive(&keep_alive);
    #[cfg(target_os = "linux")]
    {
        // It counts for a closed window too, which the other end may keep closed for ever.
        let _ = socket.set_tcp_user_timeout(Some(without_progress * BACKSTOP));
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = without_progress;
}
