//! Sockets: the listener's queue, and when a connection is dead.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that the system finishes before they are accepted. The system may have a lower bound (`somaxconn`).
const BACKLOG: u32 = 4096;

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

/// Listens on an address, with a queue for bursts of connections.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart does not wait until the connections of the last process are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The system's bound on the queue of a listener, where it is lower than [`listen`] asks for.
pub fn short_backlog() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    let most = text.trim().parse().ok()?;
    (most < BACKLOG).then_some(most)
}

/// Prepares an accepted connection. The system ends it when the other end has taken nothing for a time.
///
/// An option that the system refuses is left out: each bounds a case that others bound later.
pub(super) fn prepare(stream: &TcpStream, without_progress: Duration) {
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
