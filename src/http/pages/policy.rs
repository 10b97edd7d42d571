//! The headers of pages and their assets.

use std::future::ready;

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::map_response,
    response::Response,
};

/// Adds the headers of a page to all responses of its routes.
pub(super) fn with_policy<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    policy: HeaderValue,
) -> Router<S> {
    const OTHERS: [(HeaderName, HeaderValue); 2] = [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    let headers: HeaderMap = [(header::CONTENT_SECURITY_POLICY, policy)]
        .into_iter()
        .chain(OTHERS)
        .collect();
    routes.layer(map_response(move |mut response: Response| {
        response.headers_mut().extend(headers.clone());
        ready(response)
    }))
}
