//! Content codings of responses (RFC 9110, section 8.4).

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::header,
    response::Response,
};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;

use crate::answer_budget::AnswerText;

use super::negotiation::{Coding, MediaType};

/// The size from which responses are compressed, in bytes. Smaller ones fit in one packet anyway.
pub(in crate::http) const COMPRESSED_FROM: u16 = 1024;

/// Builds a response from text in a coding.
pub(super) fn response(media_type: MediaType, coding: Coding, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type.content_type());
    if coding != Coding::Identity {
        headers.insert(header::CONTENT_ENCODING, coding.name());
    }
    response
}

/// Encodes text; short text stays as it is.
pub(super) async fn encoded(coding: Coding, text: AnswerText) -> (Coding, Bytes) {
    if coding == Coding::Identity || text.text().len() < usize::from(COMPRESSED_FROM) {
        return (Coding::Identity, text.into_bytes());
    }
    let body = text.text().clone();
    let plain = service_fn(async |_| Ok::<_, Infallible>(Response::new(Body::from(body.clone()))));
    let mut request = Request::new(Body::empty());
    request
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, coding.name());
    let Ok(response) = Compression::new(plain).oneshot(request).await;
    match response.into_body().collect().await {
        Ok(body) => (coding, text.replaced(body.to_bytes()).into_bytes()),
        Err(_) => (Coding::Identity, text.into_bytes()),
    }
}
