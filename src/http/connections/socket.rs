//! Accepted TCP and Unix sockets, and the detection of dead connections.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// Connections that the system completes before they are accepted. The system may have a lower limit (`somaxconn`).
pub(super) const BACKLOG: u32 = 4096;

/// The idle time before the first keepalive probe, and the interval of probes.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_PROBES: u32 = 3;

/// The factor by which a WebSocket's and the system's time limits exceed those of other connections. Within it, a
/// socket has tried to send a close frame with the reason.
pub(super) const BACKSTOP: u32 = 4;

/// Unsent bytes that the system buffers for a connection on Linux. A client that reads nothing occupies this much
/// kernel memory instead of megabytes.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 * 1024;

/// An accepted connection.
#[derive(Debug)]
pub(in crate::http) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same method on either kind of stream.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl Stream {
    /// Fails if the client has disconnected, as far as the system reports it.
    pub(super) fn check_open(&self) -> io::Result<()> {
        if let Some(error) = each!(self, stream => stream.take_error())? {
            return Err(error);
        }
        // A half-closed Unix socket stays writable.
        if let Self::Unix(stream) = self
            && let Some(ready) = stream.ready(Interest::WRITABLE).now_or_never()
            && ready?.is_write_closed()
        {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}

/// Returns the system's limit on a listener's queue, if it is below the requested one.
pub fn short_backlog() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    let most = text.trim().parse().ok()?;
    (most < BACKLOG).then_some(most)
}

/// Sets the options of an accepted connection. The system ends it when the client reads nothing for a time.
///
/// An option that the system refuses is left out, because a later limit covers its case.
///
/// A Unix socket needs none, because its peer cannot vanish silently.
pub(super) fn prepare(stream: &Stream, without_progress: Duration) {
    match stream {
        Stream::Tcp(stream) => prepare_tcp(stream, without_progress),
        Stream::Unix(_) => {}
    }
}

fn prepare_tcp(stream: &TcpStream, without_progress: Duration) {
    // Responses are written as a whole, so waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_PROBES);
    let _ = socket.set_tcp_keepalive(&keep_alive);
    #[cfg(target_os = "linux")]
    {
        // The timeout also applies to a closed window, which a client could keep closed for ever.
        let _ = socket.set_tcp_user_timeout(Some(without_progress * BACKSTOP));
        let _ = socket.set_tcp_notsent_lowat(UNSENT);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = without_progress;
}
