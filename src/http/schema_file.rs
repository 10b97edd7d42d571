//! The schema as a file, for code generators if introspection is off.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use headers::ETag;

use crate::graphql::sdl;

use super::{
    admission::{Admission, Admitted},
    graphql::http_caching::{etag, revalidated},
    rejection::Rejection,
};

const PATH: &str = "/schema.graphql";

/// SDL has no media type of its own.
const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

static FILE: LazyLock<(String, Option<ETag>)> = LazyLock::new(|| {
    let text = sdl();
    let etag = etag(CONTENT_TYPE, text.as_bytes());
    (text, etag)
});

/// Serves the file to the callers who may query the schema: within the same rate limit, and with a token if one is
/// required.
pub(super) fn routes(admission: Admission) -> Router {
    Router::new().route(PATH, get(file)).with_state(admission)
}

async fn file(Admitted(verified): Admitted, asked: HeaderMap) -> Response {
    if let Err(refusal) = verified {
        return Rejection::from(refusal).unread(&asked);
    }
    let (text, etag) = &*FILE;
    let whole = || ([(header::CONTENT_TYPE, CONTENT_TYPE)], text.as_str()).into_response();
    match etag {
        Some(etag) => revalidated(&asked, etag, whole),
        None => whole(),
    }
}
