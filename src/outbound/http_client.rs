//! Requests to URLs that the operator configures: the JWKS and the span collector.
//!
//! Invariant: each request has a time limit and a size limit. Its errors name no URL, because a query may hold secrets.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt, TryStreamExt,
    future::{self, BoxFuture},
    stream,
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    header::{ACCEPT_ENCODING, LOCATION},
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use tokio::{sync::Mutex, task::spawn_blocking, time::timeout};
use tower::Service;
use url::Url;

use crate::content_decoding::{self, Coding, Unknown};

use super::{
    Outbound, Way,
    connection::{ConnectError, Connection, dial, is_of_unknown_authority},
};

/// The longest lookup of a name that the proxy may know as well.
const LOOKUP: Duration = Duration::from_secs(1);
/// The most redirects of one request.
const REDIRECTS: usize = 3;

/// The reason that a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("it does not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("it answers with HTTP status {0}")]
    Status(StatusCode),
    #[error("it redirects to where it may not be followed: {0}")]
    Redirect(&'static str),
    #[error("it redirects more than {REDIRECTS} times")]
    Redirects,
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("it does not answer")]
    Client(#[source] hyper_util::client::legacy::Error),
    #[error("its answer breaks off")]
    Broken(#[source] ConnectError),
    #[error("it has the Content-Encoding {0:?}: gzip, deflate and br can be decoded")]
    UnknownCoding(String),
    #[error("it is not in the coding of its Content-Encoding")]
    NotDecoded(#[source] io::Error),
    #[error("its URL cannot be called")]
    Url,
}

/// A client with time and size limits for one purpose.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    time: Duration,
    most: usize,
}

impl HttpClient {
    /// Creates a client with a time limit for requests and a size limit for responses.
    pub(crate) fn new(outbound: Outbound, time: Duration, most: usize) -> Self {
        let connector = Connector {
            outbound,
            lookup: Arc::default(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, time, most }
    }

    /// Sends a request and returns the response, whatever its status.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, RequestError> {
        let sent = timeout(self.time, self.answer(request)).await;
        sent.unwrap_or(Err(RequestError::Late(self.time)))
    }

    /// Gets the body at a URL, and follows redirects. A redirect from https leads only to https.
    pub(crate) async fn get(&self, url: &Url) -> Result<Bytes, RequestError> {
        let followed = timeout(self.time, self.follow(url.clone())).await;
        followed.unwrap_or(Err(RequestError::Late(self.time)))
    }

    async fn follow(&self, mut url: Url) -> Result<Bytes, RequestError> {
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = url.as_str().parse().map_err(|_| RequestError::Url)?;
            let response = self.answer(request).await?;
            let status = response.status();
            let location = response.headers().get(LOCATION);
            match location.filter(|_| status.is_redirection()) {
                Some(location) => {
                    let location = location.to_str().unwrap_or_default();
                    url = redirect(&url, location).map_err(RequestError::Redirect)?;
                }
                None if status.is_success() => return Ok(response.into_body()),
                None => return Err(RequestError::Status(status)),
            }
        }
        Err(RequestError::Redirects)
    }

    async fn answer(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, RequestError> {
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, content_decoding::ACCEPTED);
        let response = self.client.request(request.map(Full::new)).await;
        let (head, body) = response.map_err(RequestError::Client)?.into_parts();
        let body = Limited::new(body, self.most).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                RequestError::TooLarge(self.most)
            } else {
                RequestError::Broken(error)
            }
        })?;
        let codings = content_decoding::codings(&head.headers);
        let codings = codings.map_err(|Unknown(name)| RequestError::UnknownCoding(name))?;
        let body = self.decoded(&codings, body.to_bytes()).await?;
        Ok(Response::from_parts(head, body))
    }

    async fn decoded(&self, codings: &[Coding], body: Bytes) -> Result<Bytes, RequestError> {
        if codings.is_empty() {
            return Ok(body);
        }
        let body = stream::once(future::ready(Ok(body)));
        let decoded = content_decoding::decoded(codings, body, self.most);
        let whole = decoded.try_fold(BytesMut::new(), |mut whole, chunk| {
            whole.extend_from_slice(&chunk);
            future::ok(whole)
        });
        let whole = whole.await.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => RequestError::TooLarge(self.most),
            _ => RequestError::NotDecoded(error),
        })?;
        Ok(whole.freeze())
    }
}

fn redirect(from: &Url, location: &str) -> Result<Url, &'static str> {
    let to = from.join(location).map_err(|_| "it is not a URL")?;
    match (from.scheme(), to.scheme()) {
        ("https" | "http", "https") | ("http", "http") => Ok(to),
        ("https", "http") => Err("http, from https"),
        _ => Err("it is not an http or https URL"),
    }
}

/// Connects to the host of a URL. The proxy connects by name if the host is unknown here, or has public addresses only.
#[derive(Clone, Debug)]
struct Connector {
    outbound: Outbound,
    /// Allows one lookup at a time, so that hanging lookups do not occupy a thread each.
    lookup: Arc<Mutex<()>>,
}

/// A certificate that no trusted authority signed.
#[derive(Debug, thiserror::Error)]
#[error(
    "its certificate is of an unknown authority: give the authority's certificate with --ca-file"
)]
struct UnknownAuthority;

impl Connector {
    async fn connect(self, url: Uri) -> Result<Connection, ConnectError> {
        let is_encrypted = url.scheme_str() == Some("https");
        let port = url.port_u16();
        let port = port.unwrap_or(if is_encrypted { 443 } else { 80 });
        let written = url.host().ok_or("there is no host")?.to_owned();
        let host = written.trim_start_matches('[').trim_end_matches(']');
        let found = self.addresses(host.to_owned(), port);
        // A network behind a proxy may have no DNS server.
        let mut addresses = if self.outbound.has_proxy() {
            let found = timeout(LOOKUP, found).await;
            found
                .unwrap_or_else(|late| Err(late.into()))
                .unwrap_or_default()
        } else {
            found.await?
        };
        let tcp = match self.outbound.way(&mut addresses) {
            Way::Direct => dial(url.clone(), addresses).await?,
            Way::Through(proxy) => {
                let mut tcp = proxy.connect().await?;
                proxy.tunnel(&mut tcp, &format!("{written}:{port}")).await?;
                tcp
            }
        };
        if !is_encrypted {
            return Ok(Connection::new(tcp));
        }
        let name = ServerName::try_from(host.to_owned())?;
        match self.outbound.tls().connect(name, tcp).await {
            Ok(encrypted) => Ok(Connection::new(encrypted)),
            Err(error) if is_of_unknown_authority(&error) => Err(UnknownAuthority.into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn addresses(&self, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let turn = self.lookup.clone().lock_owned().await;
        let ask = move || {
            let _turn = turn;
            Ok((host.as_str(), port).to_socket_addrs()?.collect())
        };
        spawn_blocking(ask).await?
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.clone().connect(url);
        connecting.map(|made| made.map(TokioIo::new)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_from_https_leads_to_https_alone() {
        let to = |from: &str, location| {
            let to = redirect(&Url::parse(from).unwrap(), location);
            to.map(String::from)
        };
        assert_eq!(
            to("https://issuer.example/a", "/b"),
            Ok("https://issuer.example/b".to_owned())
        );
        assert!(to("http://issuer.example", "https://other.example").is_ok());
        assert!(to("http://issuer.example", "http://other.example").is_ok());
        for (location, expected) in [
            ("http://issuer.example", "from https"),
            ("file:///etc/passwd", "not an http"),
            ("https://[", "not a URL"),
        ] {
            let refused = to("https://issuer.example", location).unwrap_err();
            assert!(refused.contains(expected), "{location}: {refused}");
        }
    }
}
