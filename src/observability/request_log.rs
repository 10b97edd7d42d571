//! Log line, metrics and span of each request.
//!
//! Invariant: each request is recorded once, when its response is sent or abandoned, and without its token, body or
//! variables. A request that is rejected under overload has no line of its own.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::StatusCode,
    response::Response,
};
use http_body::{Frame, SizeHint};

use crate::{clock::Clock, error::Code};

use super::{
    metrics::{Answered, Metrics},
    request_id::RequestId,
    request_record::{OperationLabel, RequestRecord},
    span::RequestSpan,
    telemetry::Tracer,
};

/// The status that nginx logs for a client that disconnected. It is never sent.
const GONE: u16 = 499;

/// Marks a response without `data`, for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejected {
    pub(crate) code: Code,
    /// Whether the request is rejected under overload, and has no log line.
    pub(crate) is_shed: bool,
}

/// The log of the requests of a route.
#[derive(Clone)]
pub(crate) struct RequestLog {
    pub(crate) metrics: Arc<Metrics>,
    /// The tracer; none if spans are off.
    pub(crate) tracer: Option<Tracer>,
    pub(crate) clock: Clock,
    /// The route, as spans name it.
    pub(crate) route: &'static str,
}

impl RequestLog {
    /// Gives a request its id and its [`RequestRecord`], runs it, and logs it.
    pub(crate) async fn log<A: Future<Output = Response>>(
        &self,
        mut request: Request,
        answer: impl FnOnce(Request) -> A,
    ) -> Response {
        let record = RequestRecord::new(RequestId::of(request.headers(), &self.clock));
        request.extensions_mut().insert(record.clone());
        let mut entry = LogEntry::new(self.metrics.clone(), record, GONE);
        let tracer = self.tracer.as_ref();
        entry.span = tracer.map(|tracer| RequestSpan::begin(tracer, &request, self.route));
        let mut response = answer(request).await;
        entry.record.id().show(&mut response);
        if let Some(Rejected { code, is_shed }) = response.extensions().get() {
            entry.record.record_error(*code);
            entry.is_shed = *is_shed;
        }
        entry.status = response.status().as_u16();
        // An empty body is never polled.
        entry.is_whole = response.body().is_end_stream();
        response.map(|body| Body::new(LoggedBody { body, entry }))
    }
}

/// The log entry of one request, written on drop.
pub(crate) struct LogEntry {
    metrics: Arc<Metrics>,
    span: Option<RequestSpan>,
    record: RequestRecord,
    began: Instant,
    status: u16,
    bytes: u64,
    is_whole: bool,
    is_shed: bool,
}

impl LogEntry {
    fn new(metrics: Arc<Metrics>, record: RequestRecord, status: u16) -> Self {
        Self {
            metrics,
            span: None,
            record,
            began: Instant::now(),
            status,
            bytes: 0,
            is_whole: false,
            is_shed: false,
        }
    }

    /// Creates the entry of an operation over a socket.
    pub(crate) fn of_operation(metrics: Arc<Metrics>, record: RequestRecord) -> Self {
        let mut entry = Self::new(metrics, record, StatusCode::OK.as_u16());
        entry.is_whole = true;
        entry
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        let recorded = self.record.take();
        let id = &self.record.id().0;
        let unknown = || OperationLabel {
            kind: "",
            name: Arc::default(),
        };
        let OperationLabel { kind, name } = recorded.operation.clone().unwrap_or_else(unknown);
        let code = recorded.code.map(Code::as_str);
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        let answered = Answered {
            r#type: kind,
            operation: name,
            status: self.status,
            code,
            has_token: recorded.has_token,
        };
        self.metrics.answered(&answered, took, now);
        if let Some(span) = &mut self.span {
            let sent = (self.status != GONE).then_some(self.status);
            span.end(id, sent, &recorded);
        }
        if self.is_shed {
            return;
        }
        tracing::info!(
            target: "access",
            operation = &*answered.operation,
            kind,
            status = self.status,
            code,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            bytes = self.bytes,
            whole = self.is_whole,
            request_id = id,
        );
    }
}

/// A response body with its log entry, which is written when the body ends.
struct LoggedBody {
    body: Body,
    entry: LogEntry,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.entry.is_whole = self.body.is_end_stream();
            }
            Some(Err(_)) => {}
            None => self.entry.is_whole = true,
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
