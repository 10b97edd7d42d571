//! What one inspection sends and receives: by the guard's leave, and within bounds.
//!
//! Invariant: nothing is read that is not counted, no header is sent but those named here and in the transports, a redirect is
//! followed only to where the guard lets it, and no answer is waited for when the inspection is over.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{Stream, StreamExt, stream};
use reqwest::{
    Body, Method, Response, StatusCode,
    header::{
        ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
        WWW_AUTHENTICATE,
    },
    redirect,
};
use rmcp::model::ServerJsonRpcMessage;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::config::InspectionLimits;

use super::guard::{Guard, Refusal, Unresolved};

/// Who asks.
pub(super) const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const EVENT_STREAM: &str = "text/event-stream";

const REDIRECTS: usize = 3;
/// What a request may say to a host that another one redirected to.
const NEUTRAL: [HeaderName; 3] = [
    ACCEPT,
    CONTENT_TYPE,
    HeaderName::from_static("mcp-protocol-version"),
];

/// Why nothing more comes of an attempt. Its text completes "The server …", for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("is not called: {0}")]
    Blocked(#[from] Refusal),
    #[error("cannot be reached: {0}")]
    Unreachable(&'static str),
    #[error("ends the connection in the middle of an answer")]
    Broken,
    /// With its `WWW-Authenticate`, and the URL that said so.
    #[error("asks for a sign-in")]
    AuthRequired(Option<String>, Box<Url>),
    #[error("answers with HTTP status {0}")]
    Status(StatusCode),
    #[error("{0}")]
    NotMcp(&'static str),
}

impl From<Unresolved> for Failure {
    fn from(unresolved: Unresolved) -> Self {
        match unresolved {
            Unresolved::Refused(refusal) => Self::Blocked(refusal),
            Unresolved::Unknown => Self::Unreachable("its host's name is not known"),
        }
    }
}

pub(super) const NO_CONNECTION: Failure =
    Failure::Unreachable("no connection can be made to its host and port");
pub(super) const NO_TLS: Failure =
    Failure::Unreachable("no secure connection can be made, or its certificate is not valid");
pub(super) const TOO_LARGE: Failure =
    Failure::NotMcp("sends more than an MCP server has reason to");
pub(super) const NOT_JSON_RPC: Failure = Failure::NotMcp("sends what is not a message of MCP");

/// One attempt's way to a server. Clones are of the same attempt.
#[derive(Clone)]
pub(super) struct Wire {
    calls: Arc<Calls>,
    failure: Arc<watch::Sender<Option<Failure>>>,
}

/// What all attempts of an inspection share.
struct Calls {
    guard: Guard,
    tls: rustls::ClientConfig,
    /// By port: which addresses a name may lead to depends on it.
    clients: Mutex<HashMap<u16, reqwest::Client>>,
    bytes_left: AtomicUsize,
    requests_left: AtomicUsize,
    limits: InspectionLimits,
    /// Cancelled when the inspection is over.
    over: CancellationToken,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    pub(super) fn new(guard: Guard, tls: rustls::ClientConfig, limits: InspectionLimits) -> Self {
        Self {
            calls: Arc::new(Calls {
                guard,
                tls,
                clients: Mutex::default(),
                bytes_left: AtomicUsize::new(limits.bytes),
                requests_left: AtomicUsize::new(limits.requests),
                limits,
                over: CancellationToken::new(),
            }),
            failure: Arc::new(watch::Sender::new(None)),
        }
    }

    /// What stands for the inspection: dropped, it is over. The library's tasks would wait on for answers that nobody wants.
    pub(super) fn inspection(&self) -> DropGuard {
        self.calls.over.clone().drop_guard()
    }

    /// Another attempt, on what is left of the bounds.
    pub(super) fn fresh(&self) -> Self {
        Self {
            calls: self.calls.clone(),
            failure: Arc::new(watch::Sender::new(None)),
        }
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.calls.guard
    }

    pub(super) fn tls(&self) -> rustls::ClientConfig {
        self.calls.tls.clone()
    }

    pub(super) fn limits(&self) -> &InspectionLimits {
        &self.calls.limits
    }

    /// Notes why the attempt fails; the first reason counts.
    pub(super) fn fail(&self, failure: Failure) -> Failure {
        self.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(|| failure.clone());
            is_first
        });
        failure
    }

    /// Why the attempt fails, as soon as it does.
    pub(super) async fn failed(&self) -> Failure {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        let failed = failed.ok().and_then(|failure| failure.clone());
        match failed {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Why the attempt failed, if that is known.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// Sends a request, and the same one to where it is redirected to.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<(Url, Response), Failure> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            self.request()?;
            self.guard().judge(&url)?;
            let client = self.client(url.port_or_known_default().unwrap_or(0))?;
            let mut request = client.request(method.clone(), url.clone());
            request = request.headers(headers.clone());
            if let Some(body) = &body {
                request = request.body(Body::from(body.clone()));
            }
            let response = tokio::select! {
                response = request.send() => response.map_err(|error| reason(&error))?,
                // What ends a session may still be sent then; the library waits 5 s for it.
                () = self.calls.over.cancelled(), if method != Method::DELETE => return Err(Failure::Broken),
            };
            let status = response.status();
            let location = response.headers().get(LOCATION);
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return Ok((url, response));
            };
            if status == StatusCode::SEE_OTHER && method != Method::GET {
                return Err(Failure::Status(status));
            }
            let location = location.to_str().map_err(|_| Refusal::NotAUrl)?;
            let next = self.guard().redirect(&url, location)?;
            if next.origin() != url.origin() {
                headers = headers
                    .into_iter()
                    .filter_map(|(name, value)| Some((name?, value)))
                    .filter(|(name, _)| NEUTRAL.contains(name))
                    .collect();
            }
            url = next;
        }
        Err(Failure::NotMcp("redirects more than 3 times"))
    }

    /// Counts a request or a connection.
    pub(super) fn request(&self) -> Result<(), Failure> {
        take(&self.calls.requests_left, 1).ok_or(Failure::NotMcp(
            "needs more requests than an MCP server has reason to",
        ))
    }

    /// Counts bytes that were received.
    pub(super) fn received(&self, bytes: usize) -> Result<(), Failure> {
        take(&self.calls.bytes_left, bytes).ok_or(TOO_LARGE)
    }

    fn client(&self, port: u16) -> Result<reqwest::Client, Failure> {
        let clients = self.calls.clients.lock();
        let mut clients = clients.unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&port) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .dns_resolver(self.guard().resolver(port))
            // A proxy would resolve names itself, and redirects are judged here.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .tls_backend_preconfigured(self.tls())
            // What is not decoded cannot grow.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .build()
            .map_err(|_| NO_TLS)?;
        clients.insert(port, client.clone());
        Ok(client)
    }

    /// The bytes of a body as they come, counted: those of this one body too, if it has a bound of its own.
    pub(super) fn body(
        &self,
        response: Response,
        most: usize,
    ) -> impl Stream<Item = Result<Vec<u8>, Failure>> + Send + use<> {
        let wire = self.clone();
        let coded = response.headers().contains_key(CONTENT_ENCODING);
        let over = self.calls.over.clone().cancelled_owned();
        let chunks = response.bytes_stream().take_until(over);
        let first = coded.then_some(Err(Failure::NotMcp(
            "compresses its answers without being asked to",
        )));
        let mut left = most;
        let chunks = chunks.map(move |chunk| {
            let chunk = chunk.map_err(|_| Failure::Broken)?;
            wire.received(chunk.len())?;
            left = left.checked_sub(chunk.len()).ok_or(TOO_LARGE)?;
            Ok(chunk.to_vec())
        });
        stream::iter(first).chain(chunks)
    }

    /// A whole body.
    pub(super) async fn collect(
        &self,
        response: Response,
        most: usize,
    ) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        let mut body = std::pin::pin!(self.body(response, most));
        while let Some(chunk) = body.next().await {
            whole.extend(chunk?);
        }
        Ok(whole)
    }

    /// A message of the server's, if it is one and no larger in any way than it may be.
    pub(super) fn message(&self, json: &[u8]) -> Result<ServerJsonRpcMessage, Failure> {
        let limits = self.limits();
        if json.len() > limits.message_bytes || !fits(json, limits.depth, limits.values) {
            return Err(TOO_LARGE);
        }
        serde_json::from_slice(json).map_err(|_| NOT_JSON_RPC)
    }
}

/// The failure that a status alone tells of, if it does.
pub(super) fn refused(url: &Url, response: &Response) -> Option<Failure> {
    let status = response.status();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.and_then(|value| value.to_str().ok());
    refused_by(url, status, challenge)
}

pub(super) fn refused_by(
    url: &Url,
    status: StatusCode,
    challenge: Option<&str>,
) -> Option<Failure> {
    let sign_in = status == StatusCode::UNAUTHORIZED
        || (status == StatusCode::FORBIDDEN && challenge.is_some());
    if sign_in {
        let url = Box::new(url.clone());
        return Some(Failure::AuthRequired(challenge.map(str::to_owned), url));
    }
    (!status.is_success()).then_some(Failure::Status(status))
}

/// Whether the content has a media type, whatever its parameters.
pub(super) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let content = headers.get(CONTENT_TYPE);
    let content = content.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content.split(';').next().unwrap_or("");
    essence.trim().eq_ignore_ascii_case(media_type)
}

/// Whether JSON is at most so deep, and of at most so many values. It need not be JSON.
pub(super) fn fits(json: &[u8], depth: usize, values: usize) -> bool {
    let (mut open, mut count, mut quoted, mut escaped) = (0_usize, 1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                open += 1;
                count += 1;
            }
            b'}' | b']' => open = open.saturating_sub(1),
            b',' => count += 1,
            _ => {}
        }
        if open > depth || count > values {
            return false;
        }
    }
    true
}

fn take(left: &AtomicUsize, count: usize) -> Option<()> {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(count)
    });
    taken.ok().map(|_| ())
}

/// Why a request got no answer, without the library's words.
fn reason(error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(unresolved) = error.downcast_ref::<Unresolved>() {
            return unresolved.clone().into();
        }
        if error.is::<rustls::Error>() {
            return NO_TLS;
        }
        // An I/O error hides what is in it from its sources.
        let inner = error.downcast_ref::<std::io::Error>();
        cause = match inner.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    if error.is_connect() {
        NO_CONNECTION
    } else {
        Failure::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_measured_before_it_is_parsed() {
        let nested = br#"{"a":[1,{"b":"[[[[[,,,,,\"[["}]}"#;
        assert!(fits(nested, 3, 5));
        assert!(!fits(nested, 2, 5));
        assert!(!fits(nested, 3, 4));
        assert!(!fits(b"[1,2,3,4]", 2, 4));
        assert!(!fits(&b"[".repeat(100), 64, 1000));
        assert!(fits(b"", 0, 1));
    }
}
