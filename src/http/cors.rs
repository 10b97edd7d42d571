//! Which web pages may ask from a browser (CORS).
//!
//! Invariant: none unless configured; and none ever asks with what a browser keeps (cookies, credentials).

use std::time::Duration;

use axum::http::{
    Method,
    header::{
        AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Origin;

use crate::observability::request_id::X_REQUEST_ID;

use super::graphql::endpoint::GRAPHQL_COST;

/// How long a browser may remember what it was told. Two hours are the most that all of them do.
const REMEMBERED: Duration = Duration::from_hours(1);

/// None where no other page may ask.
pub(super) fn layer(origins: Vec<Origin>) -> Option<CorsLayer> {
    let one = |origin| match origin {
        Origin::Any => None,
        Origin::One(origin) => Some(origin),
    };
    if origins.is_empty() {
        return None;
    }
    // Any beside others is any.
    let origins: Option<Vec<_>> = origins.into_iter().map(one).collect();
    // Where any may ask, all are told the same.
    let (allowed, vary) = origins.map_or_else(
        || (AllowOrigin::any(), Vec::new()),
        |origins| (AllowOrigin::list(origins), vec![ORIGIN]),
    );
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .vary(vary)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            GRAPHQL_COST,
            IF_NONE_MATCH,
            X_REQUEST_ID,
        ])
        .expose_headers([ETAG, X_REQUEST_ID, RETRY_AFTER, WWW_AUTHENTICATE])
        .max_age(REMEMBERED);
    Some(layer)
}
