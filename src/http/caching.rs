//! HTTP caching (RFC 9111): who may keep an answer, and how it is found to be still the same.
//!
//! Invariant: what is kept is compared with us before each use; no shared cache keeps what was answered to a token, and
//! nobody an error, or an answer to POST; one `ETag` is one media type and one text, whatever coding they are sent in.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

/// What an answer depends on beside the URL. The origin, where it counts, is added by the layer of CORS.
const VARY: HeaderValue =
    HeaderValue::from_static("accept, accept-encoding, authorization, graphql-cost");

/// The answer with its `ETag`, or 304 where the client has it already (RFC 9110, section 13.1.2).
pub(super) async fn revalidated(asked: &HeaderMap, response: Response) -> Response {
    let cache_control = if asked.contains_key(header::AUTHORIZATION) {
        "private, no-cache"
    } else {
        "public, no-cache"
    };
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = body.to_bytes();
    let etag = etag(parts.headers.get(header::CONTENT_TYPE), &body);
    let known = asked.typed_get::<IfNoneMatch>();
    let is_known = etag
        .as_ref()
        .zip(known)
        .is_some_and(|(etag, known)| !known.precondition_passes(etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (parts, body).into_response()
    };
    let headers = response.headers_mut();
    if let Some(etag) = etag {
        headers.typed_insert(etag);
    }
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(cache_control),
    );
    headers.insert(header::VARY, VARY);
    response
}

/// An answer that is to be asked for anew each time.
pub(super) fn not_kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, VARY);
    response
}

/// Weak, since compression comes after it (RFC 9110, section 8.8.1).
fn etag(content_type: Option<&HeaderValue>, body: &[u8]) -> Option<ETag> {
    let digest = Sha256::new()
        .chain_update(content_type.map_or(&[][..], HeaderValue::as_bytes))
        .chain_update(body)
        .finalize();
    let tag = URL_SAFE_NO_PAD.encode(&digest[..16]);
    format!("W/\"{tag}\"").parse().ok()
}
