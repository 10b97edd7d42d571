//! Connections to MCP servers, of all transports.
//!
//! Invariant: a connection leads to an address that the guard permits, and every byte that comes over it is counted before anything
//! looks at it: heads, framing and TLS count as bodies do.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};
use hyper::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection as Connecting, HttpConnector, dns::Name},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Mutex, OnceCell},
    time::sleep,
};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{byte_budget::Share, config::InspectionLimits};

use super::{
    failure::{Failure, NO_TLS, TOO_LARGE, reason},
    guard::{Guard, Refusal, Unresolved},
    lookups::{AGAIN, is_ours},
    memory::{Memory, SMALL_BYTES},
    stopwatch::Stopwatch,
};

/// Counts that all connections of an inspection share.
pub(super) struct Line {
    pub(super) guard: Guard,
    pub(super) limits: InspectionLimits,
    pub(super) stopwatch: Stopwatch,
    tls: Arc<rustls::ClientConfig>,
    /// Bytes received on all connections.
    received: AtomicUsize,
    memory: Memory,
    large: OnceCell<Share>,
    /// A name that hangs is asked for as long as the system likes; the next name waits for it, in the server's own time. So an
    /// inspection has one place of the lookups, whatever names its server redirects to.
    lookup: Arc<Mutex<()>>,
}

impl Line {
    pub(super) fn new(
        guard: Guard,
        tls: Arc<rustls::ClientConfig>,
        limits: InspectionLimits,
        memory: Memory,
    ) -> Self {
        Self {
            guard,
            limits,
            stopwatch: Stopwatch::default(),
            tls,
            received: AtomicUsize::new(0),
            memory,
            large: OnceCell::new(),
            lookup: Arc::default(),
        }
    }

    /// Waits for the memory that a server needs which sends much.
    pub(super) async fn grow(&self) {
        let large = || self.stopwatch.wait(self.memory.large());
        self.large.get_or_init(large).await;
    }

    /// Whether so much was received that the memory to begin with is not enough to read on.
    fn is_to_grow(&self) -> bool {
        !self.large.initialized() && self.received.load(Ordering::Relaxed) > SMALL_BYTES
    }

    fn count(&self, bytes: usize) -> Result<(), Failure> {
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limits.bytes {
            return Err(TOO_LARGE);
        }
        Ok(())
    }

    /// Connects to the host of a URL that was judged.
    pub(super) async fn connect(self: Arc<Self>, url: Uri) -> Result<Connection, Failure> {
        let host = url.host().ok_or(Refusal::NotAUrl)?;
        let is_encrypted = matches!(url.scheme_str(), Some("https" | "wss"));
        let port = url
            .port_u16()
            .unwrap_or(if is_encrypted { 443 } else { 80 });
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Refusal::NotAUrl)?;
        // It tries addresses of both families at once (RFC 8305).
        let mut connector = HttpConnector::new_with_resolver(Resolver {
            line: self.clone(),
            port,
        });
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let tcp = loop {
            match connector.call(url.clone()).await {
                Ok(connection) => break connection.into_inner(),
                Err(error) if has_none_to_spare(&error) => {
                    self.stopwatch.wait(sleep(AGAIN)).await;
                }
                Err(error) => return Err(reason(&error, true)),
            }
        };
        let counted = Counted {
            tcp,
            line: self.clone(),
            growing: None,
        };
        if !is_encrypted {
            return Ok(Connection(Box::new(counted)));
        }
        let tls = TlsConnector::from(self.tls.clone());
        let encrypted = tls.connect(name, counted).await.map_err(|error| {
            // Too much may have come before there was a connection.
            match reason(&error, true) {
                TOO_LARGE => TOO_LARGE,
                _ => NO_TLS,
            }
        })?;
        Ok(Connection(Box::new(encrypted)))
    }
}

/// Whether a connection failed because this process or machine has no file, port or memory to spare.
fn has_none_to_spare(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(is_ours)
}

/// Gives permitted addresses alone.
#[derive(Clone)]
struct Resolver {
    line: Arc<Line>,
    port: u16,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = BoxFuture<'static, Result<Self::Response, Unresolved>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (line, port) = (self.line.clone(), self.port);
        async move {
            let turn = line.lookup.clone().lock_owned().await;
            let found = line
                .guard
                .resolve(name.as_str(), port, &line.stopwatch, turn);
            Ok(found.await?.into_iter())
        }
        .boxed()
    }
}

/// Connects an HTTP client.
#[derive(Clone)]
pub(super) struct Connector(pub(super) Arc<Line>);

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.0.clone().connect(url);
        connecting.map(|made| made.map(TokioIo::new)).boxed()
    }
}

/// A connection, encrypted or not.
pub(super) struct Connection(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connecting for Connection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Counts what is received, and waits for the memory for it.
struct Counted {
    tcp: TcpStream,
    line: Arc<Line>,
    growing: Option<BoxFuture<'static, ()>>,
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.line.is_to_grow() {
            let line = this.line.clone();
            let grow = || async move { line.grow().await }.boxed();
            ready!(this.growing.get_or_insert_with(grow).poll_unpin(cx));
        }
        this.growing = None;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
        let received = buf.filled().len().saturating_sub(before);
        Poll::Ready(this.line.count(received).map_err(io::Error::other))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
