//! Outbound connections and their errors.

use std::{
    error::Error as StdError,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::Uri;
use hyper_util::client::legacy::connect::{
    Connected, Connection as Connecting, HttpConnector, dns::Name,
};
use rustls::CertificateError;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower::{Service, service_fn};

/// The error of a failed connection.
pub(crate) type ConnectError = Box<dyn StdError + Send + Sync>;

/// Connects to one of these addresses of a URL's host. It tries addresses of both families at once (RFC 8305).
pub(crate) async fn dial(url: Uri, addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
    let resolve = move |_: Name| {
        let addresses = addresses.clone().into_iter();
        std::future::ready(Ok::<_, io::Error>(addresses))
    };
    let mut connector = HttpConnector::new_with_resolver(service_fn(resolve));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    Ok(connector.call(url).await?.into_inner())
}

/// Returns whether an error or one of its causes says that this process or machine lacks files, ports or memory.
pub(crate) fn has_none_to_spare(error: &(dyn StdError + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| (**error).source());
    causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(is_ours)
}

/// Returns whether an I/O error comes from this process or machine, which lacks files, ports or memory, and not from a
/// server.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        code,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Returns whether a TLS handshake failed because no trusted authority signed the certificate.
pub(crate) fn is_of_unknown_authority(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    )
}

/// A connection, with or without TLS.
pub(crate) struct Connection(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection(..)")
    }
}

impl Connection {
    pub(crate) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Box::new(stream))
    }
}

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

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn an_address_that_cannot_be_reached_is_no_fault_of_ours() {
        // A host without IPv6 has no local address for it.
        for (errno, is) in [
            (Errno::ADDRNOTAVAIL, false),
            (Errno::NETUNREACH, false),
            (Errno::MFILE, true),
        ] {
            assert_eq!(is_ours(&errno.into()), is, "{errno}");
        }
    }
}
