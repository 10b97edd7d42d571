//! Connections to MCP servers, for all transports.
//!
//! Invariant: a connection leads to an address that the guard permits, directly or through the outbound proxy. Every
//! byte received counts before it is parsed, including heads, framing and TLS.

pub(super) mod reuse;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Mutex, OnceCell},
    time::{sleep, timeout},
};
use tower::Service;

use crate::{
    byte_budget::Share,
    config::InspectionLimits,
    outbound::{
        Outbound, Way,
        connection::{Connection, dial, has_none_to_spare, is_of_unknown_authority},
        proxy::{Proxy, ProxyFailure, TunnelError},
    },
};

use self::reuse::Reusable;
use super::{
    failure::{
        Failure, NO_CONNECTION, NO_TLS, PROXY_AT_FAULT, TOO_LARGE, UNKNOWN_AUTHORITY, reason,
    },
    guard::{Guard, Refusal},
    lookups::AGAIN,
    memory::{Memory, SMALL_BYTES},
    stopwatch::Stopwatch,
};

/// State that all connections of an inspection share.
pub(super) struct Line {
    pub(super) guard: Guard,
    pub(super) limits: InspectionLimits,
    pub(super) stopwatch: Stopwatch,
    outbound: Outbound,
    /// The fault of the outbound proxy, if it had one.
    proxy_failure: Arc<OnceLock<ProxyFailure>>,
    /// Whether a request to the proxy for a connection is unanswered.
    awaits_proxy: AtomicBool,
    /// Bytes received over all connections.
    received: AtomicUsize,
    memory: Memory,
    large: OnceCell<Share>,
    /// Serializes the inspection's name lookups, so that it uses one slot whatever names its server redirects to. A
    /// hanging lookup runs until the system ends it; the next one waits in the server's own time.
    lookup: Arc<Mutex<()>>,
}

impl Line {
    pub(super) fn new(
        guard: Guard,
        outbound: Outbound,
        proxy_failure: Arc<OnceLock<ProxyFailure>>,
        limits: InspectionLimits,
        memory: Memory,
    ) -> Self {
        Self {
            guard,
            limits,
            stopwatch: Stopwatch::default(),
            outbound,
            proxy_failure,
            awaits_proxy: AtomicBool::new(false),
            received: AtomicUsize::new(0),
            memory,
            large: OnceCell::new(),
            lookup: Arc::default(),
        }
    }

    /// Waits for the larger share of memory, if the server sends much.
    pub(super) async fn grow(&self) {
        let large = || self.stopwatch.wait(self.memory.large());
        self.large.get_or_init(large).await;
    }

    /// Returns whether more was received than the first share of memory allows.
    fn is_to_grow(&self) -> bool {
        !self.large.initialized() && self.received.load(Ordering::Relaxed) > SMALL_BYTES
    }

    /// Returns whether the last connection still waits for the proxy.
    pub(super) fn awaits_proxy(&self) -> bool {
        self.awaits_proxy.load(Ordering::Relaxed)
    }

    /// Counts decoded bytes, and waits for their memory.
    pub(super) async fn decoded(&self, bytes: usize) -> Result<(), Failure> {
        self.count(bytes)?;
        if self.is_to_grow() {
            self.grow().await;
        }
        Ok(())
    }

    fn count(&self, bytes: usize) -> Result<(), Failure> {
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limits.bytes {
            return Err(TOO_LARGE);
        }
        Ok(())
    }

    /// Connects to the host of a URL that the guard permitted.
    pub(super) async fn connect(self: Arc<Self>, url: Uri) -> Result<Connection, Failure> {
        let host = url.host().ok_or(Refusal::NotAUrl)?;
        let is_encrypted = matches!(url.scheme_str(), Some("https" | "wss"));
        let port = url
            .port_u16()
            .unwrap_or(if is_encrypted { 443 } else { 80 });
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Refusal::NotAUrl)?;
        let mut addresses = self.addresses(host, port).await?;
        let counted = match self.outbound.way(&mut addresses) {
            Way::Direct => self.counted(self.dial(&url, &addresses).await?),
            Way::Through(proxy) => self.tunnel(proxy, &addresses).await?,
        };
        if !is_encrypted {
            return Ok(Connection::new(counted));
        }
        let encrypted = self.outbound.tls().connect(name, counted).await;
        let encrypted = encrypted.map_err(|error| {
            // The size limit may have been reached before the connection was made.
            match reason(&error, true) {
                TOO_LARGE => TOO_LARGE,
                _ if is_of_unknown_authority(&error) => UNKNOWN_AUTHORITY,
                _ => NO_TLS,
            }
        })?;
        Ok(Connection::new(encrypted))
    }

    /// Returns the permitted addresses of a host. An address in the URL itself was judged with the URL.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let turn = self.lookup.clone().lock_owned().await;
        let found = self.guard.resolve(host, port, &self.stopwatch, turn);
        Ok(found.await?)
    }

    async fn dial(&self, url: &Uri, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        loop {
            match dial(url.clone(), addresses.to_vec()).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) if has_none_to_spare(&*error) => {
                    self.stopwatch.wait(sleep(AGAIN)).await;
                }
                Err(error) => return Err(reason(&*error, true)),
            }
        }
    }

    /// Requests a tunnel to one of the addresses, which the proxy tries in turn.
    async fn tunnel(
        self: &Arc<Self>,
        proxy: &Proxy,
        addresses: &[SocketAddr],
    ) -> Result<Counted, Failure> {
        let mut failure = NO_CONNECTION;
        for (index, address) in addresses.iter().enumerate() {
            let is_last = index + 1 == addresses.len();
            let tcp = loop {
                // Connecting to the proxy does not count as the server's time.
                match self.stopwatch.wait(proxy.connect()).await {
                    Err(TunnelError::Io(_)) => self.stopwatch.wait(sleep(AGAIN)).await,
                    made => break made,
                }
            };
            let mut counted = self.counted(tcp.map_err(|error| self.untunnelled(error))?);
            let target = address.to_string();
            self.awaits_proxy.store(true, Ordering::Relaxed);
            let asked = proxy.tunnel(&mut counted, &target);
            let asked = if is_last {
                asked.await
            } else {
                match timeout(self.limits.beginning, asked).await {
                    Ok(asked) => asked,
                    Err(_) => continue,
                }
            };
            self.awaits_proxy.store(false, Ordering::Relaxed);
            match asked {
                Ok(()) => return Ok(counted),
                Err(error @ TunnelError::Unreachable(_)) => failure = self.untunnelled(error),
                Err(error) => return Err(self.untunnelled(error)),
            }
        }
        Err(failure)
    }

    /// Converts the error of a tunnel. A fault of the proxy is recorded, because it says nothing about the server.
    fn untunnelled(&self, error: TunnelError) -> Failure {
        match error {
            TunnelError::Proxy(failure) => {
                let _ = self.proxy_failure.set(failure);
                PROXY_AT_FAULT
            }
            TunnelError::Forbidden(status) => Failure::Blocked(Refusal::Proxy(status)),
            TunnelError::Unreachable(status) => Failure::ByProxy(status),
            TunnelError::Io(error) => reason(&*error, true),
        }
    }

    fn counted(self: &Arc<Self>, tcp: TcpStream) -> Counted {
        Counted {
            tcp,
            line: self.clone(),
            growing: None,
        }
    }
}

/// The connector of the HTTP client.
#[derive(Clone)]
pub(super) struct Connector(pub(super) Arc<Line>);

impl Service<Uri> for Connector {
    type Response = TokioIo<Reusable<Connection>>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.0.clone().connect(url);
        connecting
            .map(|made| made.map(Reusable::new).map(TokioIo::new))
            .boxed()
    }
}

/// Counts received bytes, and waits for their memory.
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
