//! `/graphql`, strictly by GraphQL over HTTP: queries by GET, every operation by POST.
//!
//! Invariant: whatever comes, the answer is of one of the two media types, and has `data` only where execution began; a
//! request is given up, its body included, when it has taken the request timeout.

use std::{sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use async_graphql_axum::GraphQLResponse;
use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::error::Code;

use super::{
    Routes, account,
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
        request_id,
        verified,
        deadline,
    };
    let mut response = match call.answer(accepted, &mut body).await {
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
    errors: Vec<serde_json::Value>,
}

impl Rejection {
    fn new(status: StatusCode, code: Code, message: &str) -> Self {
        account::error(code);
        let error = json!({ "message": message, "extensions": { "code": code.as_str() } });
        Self {
            status,
            header: None,
            errors: vec![error],
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
        let text = json!({ "errors": self.errors }).to_string();
        let mut response = (self.status, text).into_response();
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
        let verified = self.verified.clone().map_err(unauthorized)?;
        let parameters = if is_get {
            parameters::from_url(self.parts.uri.query().unwrap_or_default())
        } else {
            parameters::from_body(&self.body(body).await?)
        };
        let parameters = parameters
            .map_err(|error| Rejection::new(StatusCode::BAD_REQUEST, error.code, &error.message))?;
        let refused = |refused| rejection(refused, media_type);
        let prepared = gate::prepare(parameters, self.routes.limits).map_err(refused)?;
        // A link that somebody follows changes nothing.
        if is_get && prepared.operation_type == OperationType::Mutation {
            return Err(not_allowed("use POST for a mutation", "POST"));
        }
        let caller = Caller {
            viewer: verified.viewer,
            request_id: self.request_id.clone(),
        };
        let executed = gate::execute(self.routes, caller, prepared, self.deadline).await;
        executed.map_err(refused)
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

/// What a well-formed request that was not executed is answered, under either media type.
fn rejection(refused: Refused, media_type: MediaType) -> Rejection {
    let status = match (media_type, refused.code) {
        (MediaType::Json, _) => StatusCode::OK,
        (MediaType::GraphqlResponse, Code::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (MediaType::GraphqlResponse, _) => StatusCode::BAD_REQUEST,
    };
    Rejection {
        status,
        header: None,
        errors: refused.errors,
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
