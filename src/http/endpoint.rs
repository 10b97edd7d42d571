//! `/graphql`, strictly by GraphQL over HTTP: queries by GET, every operation by POST.
//!
//! Invariant: whatever comes, the answer is of one of the two media types, and has `data` only where execution began; a
//! request is given up, its body included, when it has taken the request timeout.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use async_graphql_axum::GraphQLResponse;
use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::error::{Code, Error};

use super::{
    Cost, Routes, account,
    auth::{self, Verified},
    gate::{self, Caller, Refused},
    negotiation::{MediaType, media_type},
    parameters,
    rate::TooMany,
    request_id::RequestId,
};

pub(super) async fn graphql(
    State(routes): State<Arc<Routes>>,
    Extension(request_id): Extension<RequestId>,
    Extension(verified): Extension<Result<Verified, auth::Refusal>>,
    request: Request,
) -> Response {
    let deadline = Instant::now() + routes.request_timeout;
    let (parts, mut body) = request.into_parts();
    let accepted = media_type(&parts.headers);
    let call = Call {
        routes: &routes,
        parts: &parts,
        request_id: request_id.clone(),
        verified,
        deadline,
    };
    let answer = unless_panicked(call.answer(accepted, &mut body), &request_id);
    let mut response = match answer.await {
        Ok(executed) => GraphQLResponse::from(executed).into_response(),
        Err(rejection) => rejection.into_response(),
    };
    let until = deadline.min(Instant::now() + DRAINED_TIME);
    let _ = timeout_at(until, drain(body)).await;
    let headers = response.headers_mut();
    let media_type = accepted.unwrap_or(MediaType::Json);
    headers.insert(header::CONTENT_TYPE, media_type.content_type());
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // What there is to see depends on who asks, and changes.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The answer to a caller who asks too often, whatever they ask.
pub(super) fn too_many_requests(TooMany { retry_after }: TooMany, headers: &HeaderMap) -> Response {
    let message = format!("too many requests: wait {retry_after} s");
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = Rejection::new(status, Code::RateLimited, &message)
        .with(header::RETRY_AFTER, retry_after.into())
        .into_response();
    let media_type = media_type(headers).unwrap_or(MediaType::Json);
    let content_type = media_type.content_type();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A panic is an error of ours like others, not a connection that just ends. The log has what the panic said.
async fn unless_panicked<T>(
    answer: impl Future<Output = Result<T, Rejection>>,
    RequestId(id): &RequestId,
) -> Result<T, Rejection> {
    // What it worked with is dropped with it.
    if let Ok(answer) = AssertUnwindSafe(answer).catch_unwind().await {
        return answer;
    }
    account::error(Code::Internal);
    let Error { code, message, .. } = Error::internal("a panic");
    let extensions = json!({ "code": code.as_str(), "requestId": id });
    let error = json!({ "message": message, "extensions": extensions });
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Err(Rejection::of(status, &[error], None))
}

/// Asks for `extensions.cost`.
pub(super) const GRAPHQL_COST: HeaderName = HeaderName::from_static("graphql-cost");

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
struct Rejection {
    status: StatusCode,
    header: Option<(HeaderName, HeaderValue)>,
    text: String,
}

impl Rejection {
    fn new(status: StatusCode, code: Code, message: &str) -> Self {
        account::error(code);
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
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        response.headers_mut().extend(self.header);
        response
    }
}

/// A request on its way.
struct Call<'a> {
    routes: &'a Routes,
    parts: &'a Parts,
    request_id: RequestId,
    verified: Result<Verified, auth::Refusal>,
    deadline: Instant,
}

impl Call<'_> {
    async fn answer(
        self,
        accepted: Option<MediaType>,
        body: &mut Body,
    ) -> Result<async_graphql::Response, Rejection> {
        let is_get = match self.parts.method {
            Method::GET => true,
            Method::POST => false,
            _ => return Err(not_allowed("use GET or POST", "GET, POST")),
        };
        let media_type = accepted.ok_or_else(|| {
            let message =
                "answers are application/graphql-response+json or application/json, in UTF-8";
            Rejection::new(StatusCode::NOT_ACCEPTABLE, Code::BadRequest, message)
        })?;
        if !is_get && !is_json(&self.parts.headers) {
            let message = "the Content-Type must be application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Rejection::new(status, Code::BadRequest, message));
        }
        let reports_cost = self.reports_cost()?;
        let verified = self.verified.clone().map_err(unauthorized)?;
        let parameters = if is_get {
            parameters::from_url(self.parts.uri.query().unwrap_or_default())
        } else {
            parameters::from_body(&self.body(body).await?)
        };
        let parameters = parameters
            .map_err(|error| Rejection::new(StatusCode::BAD_REQUEST, error.code, &error.message))?;
        let documents = &self.routes.documents;
        let report = |cost: Cost| reports_cost.then(|| cost.report(documents.limits()));
        let refused = |refused: Refused| {
            let status = status(refused.code, media_type);
            Rejection::of(status, &refused.errors, refused.cost.and_then(report))
        };
        let prepared = gate::prepare(documents, parameters).map_err(refused)?;
        // A link that somebody follows changes nothing.
        if is_get && prepared.operation_type == OperationType::Mutation {
            return Err(not_allowed("use POST for a mutation", "POST"));
        }
        let caller = Caller {
            viewer: verified.viewer,
            request_id: self.request_id.clone(),
        };
        let cost = prepared.cost;
        let executed = gate::execute(self.routes, caller, prepared, self.deadline).await;
        let mut response = executed.map_err(refused)?;
        if let Some(cost) = report(cost).map(async_graphql::Value::from_json) {
            let cost = cost.unwrap_or_default();
            response.extensions.insert("cost".to_owned(), cost);
        }
        Ok(response)
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

    async fn body(&self, body: &mut Body) -> Result<Vec<u8>, Rejection> {
        let most = self.routes.max_body_bytes;
        let collected = timeout_at(self.deadline, Limited::new(body, most).collect()).await;
        match collected {
            Ok(Ok(body)) => Ok(body.to_bytes().into()),
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

/// How a well-formed request that was not executed is answered.
fn status(code: Code, media_type: MediaType) -> StatusCode {
    match (media_type, code) {
        (MediaType::Json, _) => StatusCode::OK,
        (MediaType::GraphqlResponse, Code::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (MediaType::GraphqlResponse, _) => StatusCode::BAD_REQUEST,
    }
}

fn not_allowed(message: &str, allow: &'static str) -> Rejection {
    let rejection = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, message);
    rejection.with(header::ALLOW, HeaderValue::from_static(allow))
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
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().as_deref() == Some("application/json")
        && parts.all(|part| matches!(part.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\""))
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
