//! What one inspection sends and receives: by the guard's leave, and within bounds.
//!
//! Invariant: all that is read comes over a counted [`connection`](super::connection), no header is sent but those named here and
//! in the transports, a redirect is followed only to where the guard lets it, and no answer is waited for when the inspection is
//! over.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
        USER_AGENT, WWW_AUTHENTICATE,
    },
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rmcp::model::ServerJsonRpcMessage;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::{
    config::InspectionLimits,
    content_decoding::{self, Coding, Unknown},
    outbound::{Outbound, proxy::ProxyFailure},
};

use super::{
    connection::{Connector, Line},
    failure::{Failure, NOT_DECODED, NOT_JSON_RPC, TOO_LARGE, reason},
    guard::{Guard, Refusal},
    memory::{Memory, SMALL_VALUES},
    stopwatch::Stopwatch,
    transport::message,
};

pub(super) type Response = hyper::Response<Incoming>;

/// Who asks.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION")
));
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const EVENT_STREAM: &str = "text/event-stream";

const REDIRECTS: usize = 3;
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a URL that a server gives: what URLs may cost to parse is more than their bytes.
pub(super) const URL_BYTES: usize = 8 * 1024;
/// What a request may say to a host that another one redirected to.
const NEUTRAL: [HeaderName; 3] = [
    ACCEPT,
    CONTENT_TYPE,
    HeaderName::from_static("mcp-protocol-version"),
];

/// One attempt's way to a server. Clones are of the same attempt.
#[derive(Clone)]
pub(super) struct Wire {
    calls: Arc<Calls>,
    failure: Arc<watch::Sender<Option<Failure>>>,
}

/// What all attempts of an inspection share.
struct Calls {
    line: Arc<Line>,
    /// It asks no proxy of its own, for the line's resolves no names; it decodes nothing, since what grows is counted here; and it
    /// follows no redirect, since redirects are judged here.
    client: Client<Connector, Full<Bytes>>,
    requests_left: AtomicUsize,
    /// Cancelled when the inspection is over.
    over: CancellationToken,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    pub(super) fn new(
        guard: Guard,
        outbound: Outbound,
        proxy_failure: Arc<OnceLock<ProxyFailure>>,
        limits: InspectionLimits,
        memory: Memory,
    ) -> Self {
        let requests_left = AtomicUsize::new(limits.requests);
        let line = Line::new(guard, outbound, proxy_failure, limits, memory);
        let line = Arc::new(line);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(HEAD_BYTES)
            .build(Connector(line.clone()));
        Self {
            calls: Arc::new(Calls {
                line,
                client,
                requests_left,
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
        &self.calls.line.guard
    }

    pub(super) fn line(&self) -> Arc<Line> {
        self.calls.line.clone()
    }

    pub(super) fn stopwatch(&self) -> &Stopwatch {
        &self.calls.line.stopwatch
    }

    pub(super) fn limits(&self) -> &InspectionLimits {
        &self.calls.line.limits
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
        let body = Bytes::from(body.unwrap_or_default());
        for _ in 0..=REDIRECTS {
            self.request()?;
            self.guard().judge(&url)?;
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri(&url)?;
            *request.headers_mut() = headers.clone();
            request.headers_mut().insert(USER_AGENT, AGENT);
            request
                .headers_mut()
                .insert(ACCEPT_ENCODING, content_decoding::ACCEPTED);
            let response = tokio::select! {
                response = self.calls.client.request(request) => {
                    response.map_err(|error| reason(&error, error.is_connect()))?
                }
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
            if location.len() > URL_BYTES {
                return Err(TOO_LARGE);
            }
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

    /// The bytes of a body as they come, decoded, so many at most.
    pub(super) fn body(
        &self,
        response: Response,
        most: usize,
    ) -> impl Stream<Item = Result<Vec<u8>, Failure>> + Send + use<> {
        let codings = content_decoding::codings(response.headers());
        let over = self.calls.over.clone().cancelled_owned();
        let chunks = response.into_body().into_data_stream().take_until(over);
        let chunks = chunks.map(|chunk| chunk.map_err(|error| reason(&error, false)));
        match codings {
            Err(Unknown(name)) => stream::iter([Err(Failure::UnknownCoding(name))]).boxed(),
            Ok(codings) if codings.is_empty() => {
                let mut left = most;
                let chunks = chunks.map(move |chunk| {
                    let chunk = chunk?;
                    left = left.checked_sub(chunk.len()).ok_or(TOO_LARGE)?;
                    Ok(chunk.to_vec())
                });
                chunks.boxed()
            }
            Ok(codings) => {
                let line = self.line();
                let chunks = chunks.map_err(std::io::Error::other);
                let chunks = content_decoding::decoded(&codings, chunks, most);
                let decoded = async move {
                    if codings.contains(&Coding::Brotli) {
                        line.grow().await;
                    }
                    chunks.then(move |chunk| {
                        let line = line.clone();
                        async move {
                            let chunk = chunk.map_err(|error| undecoded(&error))?;
                            line.decoded(chunk.len()).await?;
                            Ok(chunk.to_vec())
                        }
                    })
                };
                stream::once(decoded).flatten().boxed()
            }
        }
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

    /// A message of the server's, in the form that the library takes, if it is one and no larger in any way than it may be. None
    /// is one that no request waits for.
    pub(super) async fn message(
        &self,
        json: &[u8],
    ) -> Result<Option<ServerJsonRpcMessage>, Failure> {
        let message = self.message_value(json).await?;
        let message = message.map(serde_json::from_value).transpose();
        message.map_err(|_| NOT_JSON_RPC)
    }

    /// [`Self::message`], as JSON.
    pub(super) async fn message_value(&self, json: &[u8]) -> Result<Option<Value>, Failure> {
        let limits = self.limits();
        if json.len() > limits.message_bytes {
            return Err(TOO_LARGE);
        }
        let values = values(json, limits.depth, limits.values).ok_or(TOO_LARGE)?;
        if values > SMALL_VALUES {
            self.calls.line.grow().await;
        }
        message::read(json)
    }
}

/// Why an answer in a coding cannot be read on.
fn undecoded(error: &std::io::Error) -> Failure {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Failure>());
    match inner {
        Some(failure) => failure.clone(),
        None => match error.kind() {
            std::io::ErrorKind::FileTooLarge => TOO_LARGE,
            std::io::ErrorKind::UnexpectedEof => Failure::Broken,
            _ => NOT_DECODED,
        },
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

/// How many values JSON has, if it is at most so deep and they are at most so many. It need not be JSON.
pub(super) fn values(json: &[u8], depth: usize, most: usize) -> Option<usize> {
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
        if open > depth || count > most {
            return None;
        }
    }
    Some(count)
}

fn take(left: &AtomicUsize, count: usize) -> Option<()> {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(count)
    });
    taken.ok().map(|_| ())
}

/// A URL as HTTP's library has it.
pub(super) fn uri(url: &Url) -> Result<Uri, Refusal> {
    url.as_str().parse().map_err(|_| Refusal::NotAUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_measured_before_it_is_parsed() {
        let nested = br#"{"a":[1,{"b":"[[[[[,,,,,\"[["}]}"#;
        assert_eq!(values(nested, 3, 5), Some(5));
        assert_eq!(values(nested, 2, 5), None);
        assert_eq!(values(nested, 3, 4), None);
        assert_eq!(values(b"[1,2,3,4]", 2, 4), None);
        assert_eq!(values(&b"[".repeat(100), 64, 1000), None);
        assert_eq!(values(b"", 0, 1), Some(1));
    }
}
