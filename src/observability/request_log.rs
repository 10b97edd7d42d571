//! A line in the log for each request, its part in the metrics, and its span.
//!
//! Invariant: each request is recorded once, when its answer is sent or given up; never with a token, a body or a variable.
//! A request that is turned away in an overload has no line of its own.

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

/// The status that nginx writes for a client that hung up; no such status is ever sent.
const GONE: u16 = 499;

/// An extension of a response without `data`, for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejected {
    pub(crate) code: Code,
    /// Whether the request is one of so many that the log has no line for it.
    pub(crate) is_shed: bool,
}

/// The log of the requests of a route.
#[derive(Clone)]
pub(crate) struct RequestLog {
    pub(crate) metrics: Arc<Metrics>,
    /// `None` if no spans are wanted.
    pub(crate) tracer: Option<Tracer>,
    pub(crate) clock: Clock,
    /// The route that is logged, as spans name it.
    pub(crate) route: &'static str,
}

impl RequestLog {
    /// Gives a request its id and its [`RequestRecord`], has it answered, and logs it.
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

/// The entry of one request, which is written when it is dropped.
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

    /// The entry of an operation over a socket.
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

/// A body with its request's entry, which is written at its end.
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
