//! `/graphql`, strictly by GraphQL over HTTP: queries by GET, every operation by POST.
//!
//! Invariant: whatever comes, the answer is of one of the two media types, and has `data` only where execution began; a
//! request is given up, its body included, when it has taken the request timeout.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::{
    domain::viewer::Viewer,
    error::{Code, Error},
    http::{
        Routes,
        admission::{
            concurrency::{self, Full},
            open_streams::Crowded,
            rate_limit::TooMany,
        },
        auth::{self, Verified},
        peer,
    },
    observability::{metrics::Metrics, request_id::RequestId, request_log},
    pipeline::{
        cost::Cost,
        encode::encode,
        execute::{self, Caller, Refused},
        parameters::{self, Sent},
    },
};

use super::{
    http_caching,
    negotiation::{Accepted, Coding, MediaType, accepted, coding},
    response_cache::{Asked, Found, Turn, Whole, encoded, written},
    server_sent_events, websocket,
};

pub(crate) async fn graphql(
    routes: &Arc<Routes>,
    metrics: Arc<Metrics>,
    request_id: RequestId,
    verified: Result<Verified, auth::Refusal>,
    request: Request,
) -> Response {
    let deadline = Instant::now() + routes.request_timeout;
    let (mut parts, mut body) = request.into_parts();
    if websocket::is_upgrade(&parts.headers) {
        let upgrade = websocket::upgrade(routes, metrics, request_id, &mut parts).await;
        return upgrade.unwrap_or_else(IntoResponse::into_response);
    }
    let accepted = accepted(&parts.headers);
    let call = Call {
        routes,
        parts: &parts,
        request_id: request_id.clone(),
        verified,
        deadline,
    };
    let answer = unless_panicked(call.answer(accepted, &mut body), &request_id).await;
    if !body.is_end_stream() {
        let until = deadline.min(Instant::now() + DRAINED_TIME);
        let _ = timeout_at(until, drain(body)).await;
    }
    match answer {
        Ok(Answer::Whole(whole)) => whole.response(&parts.method, &parts.headers),
        Ok(Answer::Partial(text, media_type)) => {
            let text = Bytes::from(text.into_boxed_slice());
            not_kept(text, media_type, coding(&parts.headers)).await
        }
        // It says itself what it is.
        Ok(Answer::Events(response)) => http_caching::not_kept(response),
        Err(Rejection {
            status,
            header,
            text,
        }) => {
            let media_type = accepted.answer.unwrap_or(MediaType::Json);
            let mut response = not_kept(text.into(), media_type, coding(&parts.headers)).await;
            *response.status_mut() = status;
            response.headers_mut().extend(header);
            response
        }
    }
}

/// An answer that is sent once.
async fn not_kept(text: Bytes, media_type: MediaType, coding: Coding) -> Response {
    let (coding, body) = encoded(coding, text).await;
    http_caching::not_kept(written(media_type, coding, body))
}

/// The answer to a caller who asks too often, whatever they ask.
pub(crate) fn too_many_requests(too_many: TooMany, headers: &HeaderMap) -> Response {
    let status = StatusCode::TOO_MANY_REQUESTS;
    Rejection::new(status, Code::RateLimited, &too_many.to_string())
        .with(header::RETRY_AFTER, too_many.retry_after.into())
        .unread(headers)
}

/// The answer to what comes when there is too much to do, whatever it asks.
pub(crate) fn overloaded(full: Full, headers: &HeaderMap) -> Response {
    unavailable(full).unread(headers)
}

/// A panic is an error of ours like others, not a connection that just ends. The log has what the panic said.
async fn unless_panicked<T>(
    answer: impl Future<Output = Result<T, Rejection>>,
    id: &RequestId,
) -> Result<T, Rejection> {
    // What it worked with is dropped with it.
    if let Ok(answer) = AssertUnwindSafe(answer).catch_unwind().await {
        return answer;
    }
    request_log::error(Code::Internal);
    let said = || tracing::error!("the request ended in a panic");
    id.span().in_scope(said);
    let RequestId(id) = id;
    let Error { code, message, .. } = Error::internal("a panic");
    let extensions = json!({ "code": code.as_str(), "requestId": id });
    let error = json!({ "message": message, "extensions": extensions });
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Err(Rejection::of(status, &[error], None))
}

/// Asks for `extensions.cost`.
pub(crate) const GRAPHQL_COST: HeaderName = HeaderName::from_static("graphql-cost");

/// How much longer than needed, and how much more, a body is read.
const DRAINED_TIME: Duration = Duration::from_secs(1);
const DRAINED_BYTES: usize = 16 << 20;

/// Takes what is left of a body: a client that is still sending when the connection ends may never see its answer.
async fn drain(mut body: Body) {
    let mut left = DRAINED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        let Some(less) = left.checked_sub(read) else {
            return;
        };
        left = less;
    }
}

/// An answer without `data`.
pub(crate) struct Rejection {
    status: StatusCode,
    header: Option<(HeaderName, HeaderValue)>,
    text: String,
}

impl Rejection {
    pub(crate) fn new(status: StatusCode, code: Code, message: &str) -> Self {
        request_log::error(code);
        let error = json!({ "message": message, "extensions": { "code": code.as_str() } });
        Self::of(status, &[error], None)
    }

    fn of(
        status: StatusCode,
        errors: &[serde_json::Value],
        cost: Option<serde_json::Value>,
    ) -> Self {
        let mut answer = json!({ "errors": errors });
        if let Some(cost) = cost {
            answer["extensions"] = json!({ "cost": cost });
        }
        Self {
            status,
            header: None,
            text: answer.to_string(),
        }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// To a request of which only the head was read.
    fn unread(self, headers: &HeaderMap) -> Response {
        let media_type = accepted(headers).answer.unwrap_or(MediaType::Json);
        let mut response = self.into_response();
        let content_type = media_type.content_type();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        http_caching::not_kept(response)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        response.headers_mut().extend(self.header);
        response
    }
}

impl From<Crowded> for Rejection {
    fn from(crowded: Crowded) -> Self {
        let (status, code) = match crowded {
            Crowded::Caller => (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited),
            Crowded::Process => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        };
        Self::new(status, code, crowded.message())
            .with(header::RETRY_AFTER, concurrency::RETRY_AFTER.into())
    }
}

/// What a request is answered with.
enum Answer {
    Whole(Whole),
    /// A text with errors in it.
    Partial(Vec<u8>, MediaType),
    Events(Response),
}

/// In which form an answer is wanted.
#[derive(Clone, Copy)]
struct Form {
    accepted: Accepted,
    coding: Coding,
    reports_cost: bool,
}

/// A request on its way.
struct Call<'a> {
    routes: &'a Arc<Routes>,
    parts: &'a Parts,
    request_id: RequestId,
    verified: Result<Verified, auth::Refusal>,
    deadline: Instant,
}

impl Call<'_> {
    async fn answer(self, accepted: Accepted, body: &mut Body) -> Result<Answer, Rejection> {
        let is_get = match self.parts.method {
            Method::GET => true,
            Method::POST => false,
            _ => return Err(not_allowed("use GET or POST", "GET, POST")),
        };
        if accepted.answer.is_none() && !accepted.events {
            return Err(not_acceptable(
                "answers are application/graphql-response+json, application/json or text/event-stream, in UTF-8",
            ));
        }
        if !is_get && !is_json(&self.parts.headers) {
            let message = "the Content-Type must be application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Rejection::new(status, Code::BadRequest, message));
        }
        let reports_cost = self.reports_cost()?;
        let verified = self.verified.clone().map_err(unauthorized)?;
        let sent = if is_get {
            parameters::from_url(self.parts.uri.query().unwrap_or_default())
        } else {
            parameters::from_body(&self.body(body).await?)
        };
        let sent = sent.map_err(|error| malformed(&error))?;
        let form = Form {
            accepted,
            coding: coding(&self.parts.headers),
            reports_cost,
        };
        let mut turn = match self.find(&sent, &verified.viewer, form).await? {
            Found::Kept(whole) => return Ok(Answer::Whole(whole)),
            Found::Nothing(turn) => turn,
        };
        // In a box: whoever is given a kept answer is not to carry what making one needs.
        let made = Box::pin(self.make(sent, &verified, form, &mut turn))
            .instrument(self.request_id.span())
            .await;
        match &made {
            Ok(Answer::Whole(whole)) => turn.keep(whole),
            _ => turn.pass(),
        }
        made
    }

    /// An answer that is kept, or the turn to make it.
    async fn find(&self, sent: &Sent, viewer: &Viewer, form: Form) -> Result<Found<'_>, Rejection> {
        let Self {
            routes,
            parts,
            deadline,
            ..
        } = *self;
        let (Some(media_type), false) = (
            form.accepted.answer,
            http_caching::wants_anew(&parts.headers),
        ) else {
            return Ok(Found::Nothing(Turn::alone()));
        };
        // What is wrong with it is told where it is looked for.
        let Ok(document) = routes.documents.hash(&sent.document) else {
            return Ok(Found::Nothing(Turn::alone()));
        };
        let asked = Asked {
            document: &document,
            operation_name: sent.operation_name.as_deref(),
            variables: &sent.variables,
            viewer,
            media_type,
            coding: form.coding,
            reports_cost: form.reports_cost,
        };
        let found = routes.answers.find(&asked, deadline).await;
        found.map_err(|_| {
            let refused = execute::took_too_long();
            let status = status(refused.code, media_type);
            Rejection::of(status, &refused.errors, None)
        })
    }

    /// Executes what was sent. What others are not to wait for is passed.
    async fn make(
        &self,
        sent: Sent,
        verified: &Verified,
        form: Form,
        turn: &mut Turn<'_>,
    ) -> Result<Answer, Rejection> {
        let parameters = sent.read().map_err(|error| malformed(&error))?;
        let place = self.routes.places.take(self.deadline).await;
        let place = place.map_err(unavailable)?;
        let documents = &self.routes.documents;
        let prepared = execute::prepare(documents, parameters);
        let kind = prepared.as_ref().map(|prepared| prepared.operation_type);
        let is_get = self.parts.method == Method::GET;
        // A link that somebody follows changes nothing.
        if is_get && matches!(kind, Ok(OperationType::Mutation)) {
            return Err(not_allowed("use POST for a mutation", "POST"));
        }
        let caller = Caller {
            viewer: verified.viewer.clone(),
            request_id: self.request_id.clone(),
        };
        let is_subscription = matches!(kind, Ok(OperationType::Subscription));
        let media_type = match form.accepted.answer {
            Some(media_type) if !is_subscription => media_type,
            _ if form.accepted.events => {
                let (parts, routes) = (self.parts, self.routes);
                let peer = peer(&parts.extensions);
                let rated = routes.rate.caller(verified, peer, &parts.headers);
                let open = routes.live.take(rated)?;
                let expiry = routes.authenticator.expiry(verified);
                return Ok(Answer::Events(server_sent_events::answer(
                    routes, caller, prepared, open, expiry,
                )));
            }
            _ => {
                return Err(not_acceptable(
                    "a subscription is answered as text/event-stream, or over a WebSocket",
                ));
            }
        };
        let report = |cost: Cost| form.reports_cost.then(|| cost.report(documents.limits()));
        let refused = |refused: Refused| {
            let status = status(refused.code, media_type);
            Rejection::of(status, &refused.errors, refused.cost.and_then(report))
        };
        let prepared = prepared.map_err(refused)?;
        if !prepared.depends_on_state_alone() {
            turn.pass();
        }
        let cost = prepared.cost;
        let executed = execute::execute(self.routes, caller, place, prepared, self.deadline).await;
        let mut response = executed.map_err(refused)?;
        if let Some(cost) = report(cost).map(async_graphql::Value::from_json) {
            let cost = cost.unwrap_or_default();
            response.extensions.insert("cost".to_owned(), cost);
        }
        Ok(if response.errors.is_empty() {
            let with_etag = is_get || turn.keeps();
            Answer::Whole(Whole::new(&response, media_type, form.coding, with_etag).await)
        } else {
            Answer::Partial(encode(&response), media_type)
        })
    }

    /// Whether `GraphQL-Cost: report` asks what the operation costs.
    fn reports_cost(&self) -> Result<bool, Rejection> {
        match self.parts.headers.get(GRAPHQL_COST) {
            None => Ok(false),
            Some(asked) if asked.as_bytes().eq_ignore_ascii_case(b"report") => Ok(true),
            Some(_) => {
                let message = "GraphQL-Cost must be report, or be left out";
                let status = StatusCode::BAD_REQUEST;
                Err(Rejection::new(status, Code::BadRequest, message))
            }
        }
    }

    async fn body(&self, body: &mut Body) -> Result<Bytes, Rejection> {
        let most = self.routes.max_body_bytes;
        let collected = timeout_at(self.deadline, Limited::new(body, most).collect()).await;
        match collected {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let message = format!("the body must be at most {most} bytes");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                Err(Rejection::new(status, Code::LimitExceeded, &message))
            }
            Ok(Err(_)) => {
                let message = "the body did not arrive whole";
                Err(Rejection::new(
                    StatusCode::BAD_REQUEST,
                    Code::BadRequest,
                    message,
                ))
            }
            Err(_) => {
                let message = "the body took too long to arrive";
                Err(Rejection::new(
                    StatusCode::REQUEST_TIMEOUT,
                    Code::Timeout,
                    message,
                ))
            }
        }
    }
}

/// How a request that could be read, but was not executed, is answered.
fn status(code: Code, media_type: MediaType) -> StatusCode {
    match (media_type, code) {
        (_, Code::BadRequest) => StatusCode::BAD_REQUEST,
        (MediaType::Json, _) => StatusCode::OK,
        (MediaType::GraphqlResponse, Code::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (MediaType::GraphqlResponse, _) => StatusCode::BAD_REQUEST,
    }
}

fn malformed(error: &Error) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, error.code, &error.message)
}

fn not_acceptable(message: &str) -> Rejection {
    Rejection::new(StatusCode::NOT_ACCEPTABLE, Code::BadRequest, message)
}

fn not_allowed(message: &str, allow: &'static str) -> Rejection {
    let rejection = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, message);
    rejection.with(header::ALLOW, HeaderValue::from_static(allow))
}

fn unavailable(Full: Full) -> Rejection {
    request_log::turned_away();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Rejection::new(status, Code::Unavailable, concurrency::FULL)
        .with(header::RETRY_AFTER, concurrency::RETRY_AFTER.into())
}

fn unauthorized(refusal: auth::Refusal) -> Rejection {
    let message = refusal.to_string();
    Rejection::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, &message)
        .with(header::WWW_AUTHENTICATE, refusal.www_authenticate())
}

/// `application/json`, with no parameter but `charset=utf-8`. No page of another site sends it without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (types.next().map(HeaderValue::to_str), types.next()) else {
        return false;
    };
    let is = |part: &str, other: &str| part.trim().eq_ignore_ascii_case(other);
    let utf8 = ["", "charset=utf-8", "charset=\"utf-8\""];
    let mut parts = text.split(';');
    parts
        .next()
        .is_some_and(|part| is(part, "application/json"))
        && parts.all(|part| utf8.iter().any(|utf8| is(part, utf8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        let panicking = async {
            assert!(std::hint::black_box(false), "as no request should make it");
            Ok(())
        };
        let rejection = unless_panicked(panicking, &RequestId("r-1".to_owned())).await;
        let response = rejection.err().unwrap().into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({ "errors": [{
            "message": "Something went wrong on our side.",
            "extensions": { "code": "INTERNAL", "requestId": "r-1" },
        }] });
        assert_eq!(answer, expected);
    }
}
