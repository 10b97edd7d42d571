//! The HTTP proxy for connections to public addresses, by CONNECT (RFC 9110 §9.3.6).
//!
//! Invariant: a proxy's fault never counts as the server's. Nothing after the head of its response is read here, and no
//! text has its password.

use std::{
    fmt, io,
    net::ToSocketAddrs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex as AsyncMutex,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::config::ProxyUrl;

use super::connection::{ConnectError, dial, has_none_to_spare};

/// The longest time to connect to the proxy, including the lookup of its name.
const CONNECT: Duration = Duration::from_secs(3);
/// The time after a failure in which the proxy is not tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The most bytes of the head of the proxy's response.
const HEAD_BYTES: usize = 8 * 1024;

/// An HTTP proxy. Clones share its state.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Shared>);

struct Shared {
    url: ProxyUrl,
    /// Allows one lookup of its name at a time.
    lookup: Arc<AsyncMutex<()>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The time of the last failed connection; none if it succeeded.
    failed: Option<Instant>,
    /// The last logged fault; none after the proxy works again.
    logged: Option<ProxyFault>,
}

/// The reason that a tunnel cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    /// The proxy failed, or its setting is wrong. The server's state is unknown.
    #[error(transparent)]
    Proxy(ProxyFailure),
    /// The proxy's policy forbids the target.
    #[error("the outbound proxy does not permit a connection to it: HTTP status {0}")]
    Forbidden(u16),
    #[error("the outbound proxy cannot connect to it: HTTP status {0}")]
    Unreachable(u16),
    /// This process lacks files or memory, or the stream's limit is reached.
    #[error(transparent)]
    Io(ConnectError),
}

/// A fault of the proxy, which is named without its password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbound proxy {proxy} {fault}")]
pub struct ProxyFailure {
    proxy: String,
    pub(crate) fault: ProxyFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyFault {
    #[error("cannot be reached")]
    Unreachable,
    #[error(
        "wants a user name and a password, or other ones (HTTP status 407): give them as http://user:password@host:port"
    )]
    Authentication,
    #[error("answers CONNECT with HTTP status {0}")]
    Status(u16),
    #[error("does not answer as an HTTP proxy does")]
    NotHttp,
    #[error("closes the connection instead of an answer")]
    Closed,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.url.fmt(f)
    }
}

impl Proxy {
    pub(crate) fn new(url: ProxyUrl) -> Self {
        Self(Arc::new(Shared {
            url,
            lookup: Arc::default(),
            state: Mutex::default(),
        }))
    }

    /// Connects to the proxy, within three seconds.
    pub(crate) async fn connect(&self) -> Result<TcpStream, TunnelError> {
        let has_just_failed = {
            let state = self.state();
            state.failed.is_some_and(|at| at.elapsed() < PAUSE)
        };
        if has_just_failed {
            return Err(self.failure(ProxyFault::Unreachable));
        }
        let made = timeout(CONNECT, self.dial()).await;
        match made.unwrap_or_else(|late| Err(late.into())) {
            Ok(tcp) => {
                self.state().failed = None;
                Ok(tcp)
            }
            Err(error) if has_none_to_spare(&*error) => Err(TunnelError::Io(error)),
            Err(_) => {
                self.state().failed = Some(Instant::now());
                Err(self.failure(ProxyFault::Unreachable))
            }
        }
    }

    async fn dial(&self) -> Result<TcpStream, ConnectError> {
        let turn = self.0.lookup.clone().lock_owned().await;
        let (host, port) = (self.0.url.host().to_owned(), self.0.url.port());
        let ask = move || {
            let _turn = turn;
            Ok::<_, io::Error>((host.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>())
        };
        let addresses = spawn_blocking(ask).await??;
        dial(self.0.url.to_string().parse()?, addresses).await
    }

    /// Requests a tunnel to a target (`HOST:PORT`) on a connection to the proxy. All bytes after the response belong to
    /// the target.
    pub(crate) async fn tunnel(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        target: &str,
    ) -> Result<(), TunnelError> {
        let authorization = match self.0.url.authorization() {
            Some(value) => format!("Proxy-Authorization: {value}\r\n"),
            None => String::new(),
        };
        let request = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {}/{}\r\n{authorization}\r\n",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
        );
        let sent = stream.write_all(request.as_bytes()).await;
        let answered = match sent {
            Ok(()) => status(stream).await,
            Err(error) => Err(error),
        };
        let fault = match answered {
            Ok(Some(200..=299)) => {
                self.works();
                return Ok(());
            }
            Ok(Some(status @ (403 | 451))) => {
                self.works();
                return Err(TunnelError::Forbidden(status));
            }
            // A web server that is no proxy answers 501 to the method.
            Ok(Some(status @ (500 | 502..=599))) => {
                self.works();
                return Err(TunnelError::Unreachable(status));
            }
            Ok(Some(407)) => ProxyFault::Authentication,
            Ok(Some(status)) => ProxyFault::Status(status),
            Ok(None) => ProxyFault::NotHttp,
            // The stream's own limit is reached.
            Err(error) if error.get_ref().is_some() && error.kind() == io::ErrorKind::Other => {
                return Err(TunnelError::Io(error.into()));
            }
            Err(_) => ProxyFault::Closed,
        };
        Err(self.failure(fault))
    }

    /// Returns the failure, and logs it once.
    fn failure(&self, fault: ProxyFault) -> TunnelError {
        let failure = ProxyFailure {
            proxy: self.0.url.to_string(),
            fault,
        };
        if self.state().logged.replace(fault) != Some(fault) {
            tracing::warn!(
                "{failure}: until it connects, no MCP server at a public address is checked or inspected, and a JWKS \
                 or collector there is not reached"
            );
        }
        TunnelError::Proxy(failure)
    }

    fn works(&self) {
        if self.state().logged.take().is_some() {
            tracing::info!("the outbound proxy {} connects again", self.0.url);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the head of a response and returns its status, if it is HTTP.
async fn status(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u16>> {
    let mut head = Vec::new();
    // One byte at a time, because the next one may belong to the target.
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        head.push(stream.read_u8().await?);
        let is_http = head.iter().zip(b"HTTP/1.").all(|(is, as_of)| is == as_of);
        if !is_http || head.len() > HEAD_BYTES {
            return Ok(None);
        }
    }
    let line = head.split(|byte| *byte == b'\n').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let status = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    Ok(status.and_then(|status| status.parse().ok()))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// Returns the result of a response, and its unread bytes.
    async fn tunnelled(answer: &'static [u8]) -> (Result<(), String>, Vec<u8>) {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        let proxy = Proxy::new("http://ann:p%40ss@proxy.example:3128".parse().unwrap());
        let answering = async move {
            let mut request = vec![0; 1024];
            let length = theirs.read(&mut request).await.unwrap();
            theirs.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        let (made, request) = tokio::join!(proxy.tunnel(&mut ours, "8.8.8.8:443"), answering);
        let mut lines = request.split("\r\n");
        assert_eq!(lines.next(), Some("CONNECT 8.8.8.8:443 HTTP/1.1"));
        assert_eq!(lines.next(), Some("Host: 8.8.8.8:443"));
        // The Base64 form of `ann:p@ss`.
        assert!(request.contains("\r\nProxy-Authorization: Basic YW5uOnBAc3M=\r\n"));
        let mut left = Vec::new();
        ours.read_to_end(&mut left).await.unwrap();
        (made.map_err(|error| error.to_string()), left)
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_the_targets() {
        for answer in [
            &b"HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0"[..],
            b"HTTP/1.0 200\r\nVia: 1.1 x\r\n\r\nSSH-2.0",
            b"HTTP/1.1 204 OK\n\nSSH-2.0",
        ] {
            assert_eq!(tunnelled(answer).await, (Ok(()), b"SSH-2.0".to_vec()));
        }
    }

    #[tokio::test]
    async fn a_fault_of_the_proxy_is_not_the_servers() {
        const LONG: &[u8] = &[b'a'; 9000];
        let long: &[u8] = [b"HTTP/1.1 200 ", LONG].concat().leak();
        for (answer, expected) in [
            (
                &b"HTTP/1.1 502 Bad Gateway\r\n\r\n"[..],
                "cannot connect to it: HTTP status 502",
            ),
            (
                b"HTTP/1.1 500 Unable to connect\r\n\r\n",
                "cannot connect to it: HTTP status 500",
            ),
            (
                b"HTTP/1.1 504 X\r\n\r\n",
                "cannot connect to it: HTTP status 504",
            ),
            (
                b"HTTP/1.1 403 Forbidden\r\n\r\n",
                "does not permit a connection",
            ),
            (
                b"HTTP/1.1 407 X\r\n\r\n",
                "http://proxy.example:3128 wants a user name",
            ),
            (
                b"HTTP/1.1 405 X\r\n\r\n",
                "http://proxy.example:3128 answers CONNECT with HTTP status 405",
            ),
            (
                b"HTTP/1.1 501 X\r\n\r\n",
                "answers CONNECT with HTTP status 501",
            ),
            (
                b"HTTP/1.1 302 X\r\n\r\n",
                "answers CONNECT with HTTP status 302",
            ),
            (
                b"HTTP/1.1 abc\r\n\r\n",
                "does not answer as an HTTP proxy does",
            ),
            (b"SSH-2.0-OpenSSH", "does not answer as an HTTP proxy does"),
            (b"\x15\x03\x01", "does not answer as an HTTP proxy does"),
            (long, "does not answer as an HTTP proxy does"),
            (b"", "closes the connection"),
            (b"HTTP/1.1 200 OK\r\n", "closes the connection"),
        ] {
            let (made, _) = tunnelled(answer).await;
            let error = made.unwrap_err();
            assert!(
                error.contains(expected),
                "{}: {error}",
                answer.escape_ascii()
            );
            assert!(
                !error.contains("p@ss") && !error.contains("p%40ss"),
                "{error}"
            );
        }
    }
}
