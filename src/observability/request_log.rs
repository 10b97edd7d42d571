//! An account of each request: its line in the log, its part in the metrics, and its span.
//!
//! Invariant: each request is accounted for once, when its answer is sent or given up; never with a token, a body or a variable.
//! What is turned away in an overload has no line of its own.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};

use crate::{clock::Clock, error::Code};

use super::{metrics::Metrics, request_id::RequestId, span::RequestSpan, telemetry::Tracer};

const NAME_CHARACTERS: usize = 64;
/// What nginx writes for a client that hung up; no such status is ever sent.
const GONE: u16 = 499;

/// An operation that was asked for: query, mutation or subscription, and the name it has.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: &'static str,
    pub(crate) name: Arc<str>,
}

/// What the gate tells of an operation.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) operation: Option<Operation>,
    pub(crate) code: Option<Code>,
    turned_away: bool,
}

tokio::task_local! {
    static TOLD: Arc<Mutex<Told>>;
}

/// The operation that this task's request asks for.
pub(crate) fn operation(kind: &'static str, name: Option<&str>) {
    let name = name.unwrap_or_default();
    // A document's names are letters, digits and underscores; what a body calls its operation may be anything.
    let name = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_');
    let name: String = name.take(NAME_CHARACTERS).collect();
    operation_again(Operation {
        kind,
        name: name.into(),
    });
}

/// The operation that this task's request asks for, as another's account was told it.
pub(crate) fn operation_again(operation: Operation) {
    tell(|told| told.operation = Some(operation));
}

/// The operation that this task's account was told.
pub(crate) fn told_operation() -> Option<Operation> {
    let told = TOLD.try_with(Arc::clone).ok()?;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.operation.clone()
}

/// An error of this task's request. The log tells the first.
pub(crate) fn error(code: Code) {
    tell(|told| {
        told.code.get_or_insert(code);
    });
}

/// Has a task of its own tell the account of the request that it works for.
pub(crate) fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let told = TOLD.try_with(Arc::clone).unwrap_or_default();
    TOLD.scope(told, work)
}

/// This task's request is one of so many that the log has no line for it.
pub(crate) fn turned_away() {
    tell(|told| told.turned_away = true);
}

fn tell(what: impl FnOnce(&mut Told)) {
    let _ = TOLD.try_with(|told| what(&mut told.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// Where they are kept.
#[derive(Clone)]
pub(crate) struct Books {
    pub(crate) metrics: Arc<Metrics>,
    /// None where no spans are wanted.
    pub(crate) tracer: Option<Tracer>,
    pub(crate) clock: Clock,
}

/// The layer that keeps them, and gives each request its id.
pub(crate) async fn keep(
    State(Books {
        metrics,
        tracer,
        clock,
    }): State<Books>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::of(request.headers(), &clock);
    request.extensions_mut().insert(id.clone());
    let mut account = Account {
        metrics,
        span: tracer.map(|tracer| RequestSpan::begin(&tracer, &request)),
        id: id.0.clone(),
        began: Instant::now(),
        told: Arc::default(),
        status: GONE,
        bytes: 0,
        whole: false,
    };
    let mut response = TOLD.scope(account.told.clone(), next.run(request)).await;
    id.show(&mut response);
    account.status = response.status().as_u16();
    // Nobody asks for more of a body that is empty.
    account.whole = response.body().is_end_stream();
    response.map(|body| Body::new(Accounted { body, account }))
}

/// One request's, closed when it is dropped.
pub(crate) struct Account {
    metrics: Arc<Metrics>,
    span: Option<RequestSpan>,
    id: String,
    began: Instant,
    told: Arc<Mutex<Told>>,
    status: u16,
    bytes: u64,
    whole: bool,
}

impl Account {
    /// Of an operation over a socket that this request opened.
    pub(crate) fn of_operation(metrics: Arc<Metrics>, id: String) -> Self {
        Self {
            metrics,
            span: None,
            id,
            began: Instant::now(),
            told: Arc::default(),
            status: StatusCode::OK.as_u16(),
            bytes: 0,
            whole: true,
        }
    }

    /// What begins in it tells it.
    pub(crate) fn scope<T>(&self, begin: impl FnOnce() -> T) -> T {
        TOLD.sync_scope(self.told.clone(), begin)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, name) = match &told.operation {
            Some(Operation { kind, name }) => (*kind, name.clone()),
            None => ("", Arc::default()),
        };
        let code = told.code.map(Code::as_str);
        let took = self.began.elapsed();
        self.metrics.answered(kind, &name, self.status, code, took);
        if let Some(span) = &mut self.span {
            let sent = (self.status != GONE).then_some(self.status);
            span.end(&self.id, sent, &told);
        }
        if told.turned_away {
            return;
        }
        tracing::info!(
            target: "access",
            operation = &*name,
            kind,
            status = self.status,
            code,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            bytes = self.bytes,
            whole = self.whole,
            request_id = self.id,
        );
    }
}

/// A body that closes its request's account at its end.
struct Accounted {
    body: Body,
    account: Account,
}

impl HttpBody for Accounted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.account.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.account.whole = self.body.is_end_stream();
            }
            Some(Err(_)) => {}
            None => self.account.whole = true,
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
