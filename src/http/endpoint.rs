//! `POST /graphql`, strictly (GraphQL over HTTP): JSON in, JSON out.

use std::sync::Arc;

use async_graphql_axum::GraphQLResponse;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use crate::error::{Code, Error};

use super::{Routes, auth::Refusal, body, gate};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) async fn post(
    State(routes): State<Arc<Routes>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !is_json(&headers) {
        let error = Error::new(
            Code::BadRequest,
            "the Content-Type must be application/json",
        );
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
    }
    let viewer = match routes.authenticator.viewer(&headers).await {
        Ok(verified) => verified.viewer,
        Err(refusal) => return unauthorized(refusal),
    };
    let bytes = match Limited::new(body, routes.max_body_bytes).collect().await {
        Ok(bytes) => bytes.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let most = routes.max_body_bytes;
            let error = Error::new(
                Code::LimitExceeded,
                format!("the body must be at most {most} bytes"),
            );
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &error);
        }
        Err(_) => {
            let error = Error::new(Code::BadRequest, "the body did not arrive whole");
            return refuse(StatusCode::BAD_REQUEST, &error);
        }
    };
    let operation = match body::parse(&bytes) {
        Ok(operation) => operation,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    match gate::execute(&routes, viewer, operation).await {
        gate::Answer::Executed(response) => {
            let mut response = GraphQLResponse::from(*response).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response
        }
        gate::Answer::Refused(errors) => answer(StatusCode::OK, &json!({ "errors": errors })),
    }
}

pub(super) async fn method_not_allowed() -> Response {
    let error = Error::new(Code::BadRequest, "use POST");
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, &error);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// `application/json`, with no parameter but `charset=utf-8`.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (types.next().map(HeaderValue::to_str), types.next()) else {
        return false;
    };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().as_deref() == Some("application/json")
        && parts.all(|part| matches!(part.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\""))
}

fn unauthorized(refusal: Refusal) -> Response {
    let error = Error::new(Code::Unauthenticated, refusal.to_string());
    let mut response = refuse(StatusCode::UNAUTHORIZED, &error);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, refusal.www_authenticate());
    response
}

/// An answer to what never came to be executed: errors and no `data`.
fn refuse(status: StatusCode, error: &Error) -> Response {
    let error = json!({ "message": error.message, "extensions": { "code": error.code.as_str() } });
    answer(status, &json!({ "errors": [error] }))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}
