//! HTTP caching (RFC 9111): the caches that may store a response, and revalidation.
//!
//! Invariant: a stored response is revalidated before each use. No shared cache stores a response to a token, and no
//! cache stores an error or a response to POST. One `ETag` stands for one media type and one text, in any content
//! coding.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use sha2::{Digest, Sha256};

/// The request headers that a response depends on. The CORS layer adds `origin` if it matters.
const VARY: HeaderValue =
    HeaderValue::from_static("accept, accept-encoding, authorization, graphql-cost");

/// Adds an `ETag` to a response, or returns 304 if the client has it (RFC 9110, section 13.1.2).
pub(in crate::http) fn revalidated(
    asked: &HeaderMap,
    etag: &ETag,
    answer: impl FnOnce() -> Response,
) -> Response {
    let cache_control = if asked.contains_key(header::AUTHORIZATION) {
        "private, no-cache"
    } else {
        "public, no-cache"
    };
    let known = asked.typed_get::<IfNoneMatch>();
    let is_known = known.is_some_and(|known| !known.precondition_passes(etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        answer()
    };
    let headers = response.headers_mut();
    headers.typed_insert(etag.clone());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(cache_control),
    );
    headers.insert(header::VARY, VARY);
    response
}

/// Returns whether a request demands a fresh response (RFC 9111, section 5.2.1).
pub(in crate::http) fn wants_anew(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::CACHE_CONTROL).iter();
    let mut directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    directives.any(|directive| {
        let directive = directive.trim();
        directive.eq_ignore_ascii_case("no-cache") || directive.eq_ignore_ascii_case("no-store")
    })
}

/// Marks a response as not to be stored.
pub(in crate::http) fn not_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, VARY);
    response
}

/// The bytes of an `ETag`.
pub(in crate::http) const ETAG_BYTES: usize = "W/\"\"".len() + 22;

/// Computes a weak `ETag`, because compression follows (RFC 9110, section 8.8.1).
pub(in crate::http) fn etag(content_type: impl AsRef<[u8]>, text: &[u8]) -> Option<ETag> {
    let digest = Sha256::new()
        .chain_update(content_type)
        .chain_update(text)
        .finalize();
    let tag = URL_SAFE_NO_PAD.encode(&digest[..16]);
    format!("W/\"{tag}\"").parse().ok()
}
