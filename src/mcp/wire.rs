//! The HTTP requests of one inspection, within its bounds and the guard's rules.
//!
//! Invariant: all bytes come over a counted [`connection`](super::connection). The only headers sent are those named
//! here and in the transports. A redirect is followed only if the guard permits it. No request outlives the inspection.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
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
use rmcp::model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::{
    config::InspectionLimits,
    content_decoding::{self, Coding, Unknown},
    outbound::{Outbound, proxy::ProxyFailure},
};

use super::{
    connection::{Connector, Line, reuse::Used},
    failure::{ANOTHER_ANSWER, Failure, NOT_DECODED, NOT_JSON_RPC, TOO_LARGE, reason},
    guard::{Guard, Refusal},
    measure::values,
    memory::{Memory, SMALL_VALUES},
    stopwatch::Stopwatch,
    transport::message,
    verdict::Evidence,
};

pub(super) type Response = hyper::Response<Incoming>;

/// The `User-Agent` of all requests.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION")
));
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const EVENT_STREAM: &str = "text/event-stream";

const REDIRECTS: usize = 3;
/// The most bytes of a response's head.
const HEAD_BYTES: usize = 64 * 1024;
/// The most bytes of a URL from a server, because parsing may cost more than its bytes.
pub(super) const URL_BYTES: usize = 8 * 1024;
/// The request headers that a redirect may carry to another host.
const NEUTRAL: [HeaderName; 3] = [
    ACCEPT,
    CONTENT_TYPE,
    HeaderName::from_static("mcp-protocol-version"),
];

/// The HTTP client of one attempt. Clones belong to the same attempt.
#[derive(Clone)]
pub(super) struct Wire {
    calls: Arc<Calls>,
    seen: Arc<watch::Sender<Seen>>,
    result: Arc<Mutex<LastResult>>,
}

/// The text of the last result, which bypasses the library.
#[derive(Debug, Default)]
struct LastResult {
    key: u64,
    text: Option<String>,
}

/// Evidence, requests and the failure of an attempt.
#[derive(Debug, Default)]
struct Seen {
    evidence: Evidence,
    /// The requests that were sent.
    asked: Vec<RequestId>,
    /// Whether the last request has no response yet.
    waiting: bool,
    failure: Option<Failure>,
}

/// The state that all attempts of an inspection share.
struct Calls {
    line: Arc<Line>,
    /// The HTTP client. It has no proxy, because [`Line`] handles it; no decoding, because decoded bytes are counted
    /// here; and no redirects, because they are judged here.
    client: Client<Connector, Full<Bytes>>,
    /// The client that opens a new connection for each request.
    fresh: Client<Connector, Full<Bytes>>,
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
        let mut builder = Client::builder(TokioExecutor::new());
        builder.http1_max_buf_size(HEAD_BYTES);
        let client = builder.build(Connector(line.clone()));
        builder.pool_max_idle_per_host(0);
        let fresh = builder.build(Connector(line.clone()));
        Self {
            calls: Arc::new(Calls {
                line,
                client,
                fresh,
                requests_left,
                over: CancellationToken::new(),
            }),
            seen: Arc::default(),
            result: Arc::default(),
        }
    }

    /// Returns a guard of the inspection. Dropping it cancels the library's tasks, which would otherwise wait for
    /// answers.
    pub(super) fn inspection(&self) -> DropGuard {
        self.calls.over.clone().drop_guard()
    }

    /// Begins another attempt, within the remaining limits.
    pub(super) fn fresh(&self) -> Self {
        Self {
            calls: self.calls.clone(),
            seen: Arc::default(),
            result: Arc::default(),
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

    /// Records the attempt's failure. The first one counts, and is returned.
    pub(super) fn fail(&self, failure: Failure) -> Failure {
        self.seen.send_if_modified(|seen| {
            let is_first = seen.failure.is_none();
            seen.failure.get_or_insert_with(|| failure.clone());
            is_first
        });
        self.failure().unwrap_or(failure)
    }

    /// Records the attempt's failure, and returns when the inspection is over. So the library gets no failure, and
    /// cannot report one before [`failed`](Self::failed).
    pub(super) async fn end(&self, failure: Failure) -> Failure {
        let failure = self.fail(failure);
        self.over().await;
        failure
    }

    pub(super) async fn over(&self) {
        self.calls.over.cancelled().await;
    }

    /// Waits for the attempt's failure.
    pub(super) async fn failed(&self) -> Failure {
        let mut seen = self.seen.subscribe();
        let failed = seen.wait_for(|seen| seen.failure.is_some()).await;
        let failed = failed.ok().and_then(|seen| seen.failure.clone());
        match failed {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Returns the attempt's failure, if there is one.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.seen.borrow().failure.clone()
    }

    /// Records evidence; the best counts.
    pub(super) fn saw(&self, evidence: Evidence) {
        self.seen
            .send_modify(|seen| seen.evidence = seen.evidence.max(evidence));
    }

    pub(super) fn evidence(&self) -> Evidence {
        self.seen.borrow().evidence
    }

    /// Records a message to be sent. Returns whether it is a request, which has a response.
    pub(super) fn asks(&self, message: &ClientJsonRpcMessage) -> bool {
        let ClientJsonRpcMessage::Request(request) = message else {
            return false;
        };
        self.seen.send_modify(|seen| {
            seen.asked.push(request.id.clone());
            seen.waiting = true;
        });
        true
    }

    /// Returns whether the last request has no response yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.seen.borrow().waiting
    }

    /// Waits until a request has no response.
    pub(super) async fn waiting(&self) {
        // The sender is alive, so this cannot fail.
        let _ = self.seen.subscribe().wait_for(|seen| seen.waiting).await;
    }

    /// Matches a response to its request. An error without a known id belongs to the last request, because servers
    /// refuse some requests before they read the id (JSON-RPC 2.0 §5).
    fn matched(&self, mut message: Value) -> Result<Value, Failure> {
        // Some servers return a number as text.
        let text = |id: &Value| {
            id.as_str()
                .map_or_else(|| id.to_string(), ToOwned::to_owned)
        };
        let is_error = message.get("error").is_some();
        let is_answer = message.get("method").is_none();
        let mut is_foreign = false;
        self.seen.send_if_modified(|seen| {
            let Some(last) = seen.asked.last() else {
                return false;
            };
            seen.evidence = seen.evidence.max(Evidence::Message);
            if !is_answer {
                return true;
            }
            let given = message.get("id").map(text);
            let asked = seen
                .asked
                .iter()
                .find(|id| Some(id.to_string()) == given)
                .or_else(|| is_error.then_some(last));
            match asked {
                Some(asked) => {
                    seen.waiting &= asked != last;
                    message["id"] = json!(asked);
                }
                None => is_foreign = true,
            }
            true
        });
        if is_foreign {
            Err(ANOTHER_ANSWER)
        } else {
            Ok(message)
        }
    }

    /// Sends a request. Follows redirects, and retries if a reused connection was closed.
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
                response = self.exchange(request) => response?,
                // A session may still be ended; the library waits 5 s for it.
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

    /// Sends a request, and again if its connection was closed after an earlier response. Servers close idle
    /// connections at will, and some after each response without notice. A retry is harmless: `server/discover`,
    /// `initialize` and lists change nothing on a server (RFC 9110 §9.2.2).
    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        let again = request.clone();
        let used = Used::by(&mut request);
        let error = match self.calls.client.request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let failure = reason(&error, error.is_connect());
        if failure != Failure::Broken || !used.was_stale() {
            return Err(failure);
        }
        self.request()?;
        let response = self.calls.fresh.request(again).await;
        response.map_err(|error| reason(&error, error.is_connect()))
    }

    /// Counts a request or connection.
    pub(super) fn request(&self) -> Result<(), Failure> {
        take(&self.calls.requests_left, 1).ok_or(Failure::NotMcp(
            "needs more requests than this service sends",
        ))
    }

    /// Returns the decoded bytes of a body as they arrive, within a limit.
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

    /// Reads a whole body.
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

    /// Reads a server's message in the library's form; none for a notification, which no request waits for.
    pub(super) async fn message(
        &self,
        json: &[u8],
    ) -> Result<Option<ServerJsonRpcMessage>, Failure> {
        let known = self.known(json).await?;
        let message = known.map(serde_json::from_value).transpose();
        message.map_err(|_| NOT_JSON_RPC)
    }

    /// Like [`Self::message`], as text.
    pub(super) async fn message_text(&self, json: &[u8]) -> Result<Option<String>, Failure> {
        let known = self.known(json).await?;
        Ok(known.map(|known| known.to_string()))
    }

    /// Reads the parts of a message that the library needs. Fails if it is no message, or exceeds a limit.
    async fn known(&self, json: &[u8]) -> Result<Option<Value>, Failure> {
        let limits = self.limits();
        if json.len() > limits.message_bytes {
            return Err(TOO_LARGE);
        }
        if values(json, limits.depth, SMALL_VALUES).is_none() {
            self.calls.line.grow().await;
        }
        let message = message::read(json, limits)?;
        if message.is_none() {
            self.saw(Evidence::Message);
        }
        let Some(message) = message else {
            return Ok(None);
        };
        let was_waiting = self.is_waiting();
        let mut message = self.matched(message)?;
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let text = message::set_aside(&mut message, result.key + 1);
        // A second response to the same request does not count.
        if text.is_some() && was_waiting && !self.is_waiting() {
            result.key += 1;
            result.text = text;
        }
        Ok(Some(message))
    }

    /// Takes the text of the result with this key.
    pub(super) fn result(&self, key: u64) -> Option<String> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if result.key == key {
            result.text.take()
        } else {
            None
        }
    }
}

/// Returns the failure for a body that cannot be decoded.
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

/// Returns the failure that a status alone means, if any.
pub(super) fn refused<B>(url: &Url, response: &hyper::Response<B>) -> Option<Failure> {
    let status = response.status();
    if status.is_success() {
        return None;
    }
    let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenges = challenges.map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned());
    let challenges: Vec<_> = challenges.collect();
    let sign_in = status == StatusCode::UNAUTHORIZED
        || (status == StatusCode::FORBIDDEN && !challenges.is_empty());
    Some(if sign_in {
        Failure::AuthRequired(challenges, Box::new(url.clone()))
    } else {
        Failure::Status(status)
    })
}

/// Returns whether the content has a media type, ignoring parameters.
pub(super) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let content = headers.get(CONTENT_TYPE);
    let content = content.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content.split(';').next().unwrap_or("");
    essence.trim().eq_ignore_ascii_case(media_type)
}

fn take(left: &AtomicUsize, count: usize) -> Option<()> {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(count)
    });
    taken.ok().map(|_| ())
}

/// Converts a URL to the HTTP library's type.
pub(super) fn uri(url: &Url) -> Result<Uri, Refusal> {
    url.as_str().parse().map_err(|_| Refusal::NotAUrl)
}
