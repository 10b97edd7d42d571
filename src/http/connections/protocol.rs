//! Serves a connection to its end: HTTP/1.1, or HTTP/2 after its preface.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header},
    response::Response,
};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::time::{self, Instant, timeout};

use super::{
    addresses::Slot,
    bounds::Bounds,
    head,
    http2::{self, Paced, Streams},
    peer::Peer,
    socket::{self, Stream},
    stream::{Arrivals, Part, Watched},
};
use crate::{
    clock::Clock,
    config::MOST_TOKEN_BYTES,
    fair_budget::FairBudget,
    http::{
        admission::rate_limit::Caller,
        date,
        probes::is_probe,
        rejection::Rejection,
        router::Routes,
        shed::turned_away,
        stopping::{Phase, Stopping},
    },
};

const HEADERS: usize = 100;
/// The most bytes of a request's head.
const HEAD_BYTES: u32 = 64 * 1024;
/// The most bytes of a request's head over HTTP/2. A connection has the same for all heads together.
const HTTP2_HEAD_BYTES: u32 = 32 * 1024;
/// A head fits the longest token and other headers.
const _: () = assert!(MOST_TOKEN_BYTES + 8 * 1024 <= HTTP2_HEAD_BYTES);
/// Bytes of a stream besides its head: its task and its state.
const STREAM_BYTES: usize = 8 * 1024;
const TOO_MANY_HEADS: &str = "unfinished request heads use all memory for heads: try again later";
/// The longest head after which a connection is reused, because its buffer stays as long.
const KEPT_HEAD: usize = 16 * 1024;
/// The longest time for the only head of a surplus connection.
const SURPLUS_HEAD: Duration = Duration::from_secs(5);

const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"multipart/mixed"];

/// State that all connections of a listener share.
#[derive(Debug)]
pub(in crate::http) struct Served {
    pub(in crate::http) routes: Routes,
    pub(in crate::http) stopping: Stopping,
    pub(in crate::http) bounds: Bounds,
    /// Bytes of request heads in progress.
    pub(in crate::http) heads: FairBudget<Caller>,
}

/// The state of one connection that its requests use.
#[derive(Clone, Debug)]
struct Connection {
    served: Arc<Served>,
    peer: Peer,
    /// The key by which its bytes are counted; none for a trusted proxy.
    key: Option<Caller>,
    is_surplus: bool,
}

/// Serves a peer's connection, which its slot counts.
pub(in crate::http) async fn serve(
    stream: Stream,
    peer: Peer,
    key: Option<Caller>,
    slot: &Slot,
    served: Arc<Served>,
) {
    let connection = Connection {
        is_surplus: slot.is_surplus(),
        served,
        peer,
        key,
    };
    tokio::select! {
        () = connection.serve(stream) => {}
        () = slot.ended() => {}
    }
}

impl Connection {
    async fn serve(self, stream: Stream) {
        let bounds = &self.served.bounds;
        socket::prepare(&stream, bounds.without_progress);
        let arrivals = Arrivals::new(self.served.heads.open(self.key.clone()));
        let mut stream = Watched::new(stream, arrivals.clone(), bounds.without_progress);
        let mut shut = pin!(self.shut());
        let head = if self.is_surplus {
            bounds.head.min(SURPLUS_HEAD)
        } else {
            bounds.head
        };
        let speaks_http2 = tokio::select! {
            biased;
            speaks_http2 = timeout(head, stream.speaks_http2()) => speaks_http2,
            () = &mut shut => return,
        };
        match speaks_http2 {
            Ok(Ok(Some(true))) => {
                // Each stream counts its own head.
                arrivals.answered(Some(Part::Stream));
                // A head in many frames counts before it is complete.
                let mut reserved = self.served.heads.open(self.key.clone());
                if reserved.grow(HTTP2_HEAD_BYTES as usize).is_err() {
                    turned_away(TOO_MANY_HEADS);
                    return;
                }
                // The future is boxed, because its state is large and most connections speak HTTP/1.1.
                Box::pin(self.http2(stream, shut, head)).await;
            }
            Ok(Ok(Some(false))) => self.http1(stream, arrivals, shut, head).await,
            // The connection brought no request.
            Ok(Ok(None) | Err(_)) | Err(_) => {}
        }
    }

    /// Waits until idle connections are closed at a stop.
    fn shut(&self) -> impl Future<Output = ()> + use<> {
        let served = Arc::clone(&self.served);
        async move {
            served.stopping.reached(Phase::Closing).await;
            let deadline = served.stopping.deadline().unwrap_or_else(Instant::now);
            time::sleep(served.bounds.grace(deadline)).await;
        }
    }

    async fn http1(
        &self,
        stream: Watched,
        arrivals: Arrivals,
        mut shut: Pin<&mut impl Future<Output = ()>>,
        head: Duration,
    ) {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            arrivals.taken();
            let whole = match request.version() {
                Version::HTTP_11 => Part::Answer,
                _ => Part::OldAnswer,
            };
            let arrivals = arrivals.clone();
            if request.body().is_end_stream() {
                arrivals.has_arrived(whole);
            }
            let arriving = arrivals.clone();
            let request = request.map(|body| {
                Body::new(Arriving {
                    body,
                    arrivals: arriving,
                    whole,
                })
            });
            let is_large = head::bytes(&request) > KEPT_HEAD;
            async move {
                let mut response = self.answer(request).await;
                let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                arrivals.answered(if is_upgrade {
                    Some(Part::Socket)
                } else {
                    is_stream(&response).then_some(Part::Stream)
                });
                let is_last = is_large
                    || self.is_surplus
                    || self.served.stopping.has_reached(Phase::Draining);
                if is_last && !is_upgrade {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(response.map(|body| Finishing {
                    body,
                    arrivals: (!is_upgrade).then_some(arrivals),
                }))
            }
        });
        let connection = http1::Builder::new()
            // Responses by hyper itself, such as 400, have its header.
            .auto_date_header(date::value(Clock::system().now()).is_some())
            // This would create a timer for each request: see below.
            .header_read_timeout(None)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES as usize)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        arrivals.begun();
        let mut late = pin!(time::sleep(head));
        let (mut grace_is_over, mut is_shut) = (false, false);
        let ended = poll_fn(|context| {
            // hyper writes the wall time at each poll, and panics if it cannot. The connection is closed before that.
            if !Clock::system().is_usable() {
                tracing::warn!(
                    "a connection is closed: the system's clock is before 1970 or after 9999"
                );
                return Poll::Ready(Ok(()));
            }
            // This comes first, so that a received request is taken before its connection is shut.
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            // One timer serves all heads of the connection. When it fires, it is set to the deadline of the current
            // head.
            while late.as_mut().poll(context).is_ready() {
                let now = Instant::now();
                let end = arrivals.head_since().map_or(now, |since| since) + head;
                if end <= now {
                    tracing::debug!("a connection ended: its next head took too long");
                    return Poll::Ready(Ok(()));
                }
                late.as_mut().reset(end);
            }
            grace_is_over = grace_is_over || shut.as_mut().poll(context).is_ready();
            // The response to a partly received head closes the connection.
            if grace_is_over && !is_shut && !arrivals.has_some() {
                is_shut = true;
                connection.as_mut().graceful_shutdown();
                return connection.as_mut().poll(context);
            }
            Poll::Pending
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }

    async fn http2(
        &self,
        stream: Watched,
        mut shut: Pin<&mut impl Future<Output = ()>>,
        idle: Duration,
    ) {
        let streams = Streams::new(self.served.bounds.without_progress);
        let stuck = streams.stuck();
        let requests = tokio::sync::Notify::new();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            requests.notify_one();
            let connection = self.clone();
            async move {
                let response = connection.charged(request.map(Body::new)).await;
                Ok::<_, Infallible>(response.map(Paced::new))
            }
        });
        let connection = http2::builder(streams.executor(), HTTP2_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut draining = pin!(self.served.stopping.reached(Phase::Draining));
        let mut silent = pin!(time::sleep(idle));
        // The client is asked only once to open no more streams.
        let mut is_last = false;
        let mut is_closing = false;
        let ended = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                () = requests.notified() => {
                    silent.as_mut().reset(Instant::now() + idle);
                    is_last |= self.is_surplus;
                }
                () = &mut draining, if !is_last => is_last = true,
                () = stuck.notified() => return,
                () = shut.as_mut(), if streams.is_idle() => return,
                () = &mut silent => {
                    if streams.is_idle() {
                        if is_last {
                            return;
                        }
                        is_last = true;
                    }
                    silent.as_mut().reset(Instant::now() + idle);
                }
            }
            if is_last && !is_closing {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }

    /// Answers a stream's request, whose head counts as in progress.
    async fn charged(&self, request: Request) -> Response {
        let mut head = self.served.heads.open(self.key.clone());
        if head.grow(STREAM_BYTES + head::bytes(&request)).is_err() {
            return dated(Rejection::shed(TOO_MANY_HEADS).unread(request.headers()));
        }
        self.answer(request).await
    }

    /// Answers a request.
    async fn answer(&self, mut request: Request) -> Response {
        let is_head = *request.method() == Method::HEAD;
        let mut response = if let Some(refused) = self.refused(&mut request) {
            refused
        } else {
            request.extensions_mut().insert(self.peer);
            self.served.routes.answer(request).await
        };
        if is_head {
            head::without_content(&mut response);
        }
        dated(response)
    }

    /// Returns the response to a request that does not reach the router.
    fn refused(&self, request: &mut Request) -> Option<Response> {
        if let Err(rejection) = head::check(request) {
            return Some(rejection.unread(request.headers()));
        }
        if self.is_surplus && !is_probe(request.uri().path()) {
            let message = "too many connections of this address are open: close one";
            return Some(Rejection::shed(message).unread(&HeaderMap::new()));
        }
        head::about_the_server(request.method(), request.uri())
    }
}

fn dated(mut response: Response) -> Response {
    if let Some(date) = date::value(Clock::system().now()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Returns whether the body lasts until the client or the service ends it.
fn is_stream(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let begins = |value: &HeaderValue| {
        STREAMS
            .iter()
            .any(|name| value.as_bytes().starts_with(name))
    };
    content_type.is_some_and(begins)
}

/// A request body that records its complete arrival.
#[derive(Debug)]
struct Arriving {
    body: Incoming,
    arrivals: Arrivals,
    whole: Part,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.arrivals.has_arrived(self.whole);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body. When it is dropped, the connection reads the next request.
#[derive(Debug)]
struct Finishing {
    body: Body,
    /// The arrivals; none if no request follows.
    arrivals: Option<Arrivals>,
}

impl HttpBody for Finishing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        if let Some(arrivals) = &self.arrivals {
            arrivals.finished();
        }
    }
}
