//! Which web pages may ask from a browser (CORS).
//!
//! Invariant: none unless configured; and none ever asks with what a browser keeps (cookies, credentials).

use std::{str::FromStr, time::Duration};

use axum::http::{
    HeaderValue, Method,
    header::{
        AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

use crate::observability::request_id::X_REQUEST_ID;

use super::graphql::endpoint::GRAPHQL_COST;

/// How long a browser may remember what it was told. Two hours are the most that all of them do.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Whose pages may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Any,
    /// `scheme://host[:port]`
    One(HeaderValue),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        // As browsers write it: they are compared as text.
        let written = Url::parse(text)
            .ok()
            .map(|url| url.origin())
            .filter(|origin| origin.is_tuple() && !text.contains('*'))
            .map(|origin| origin.ascii_serialization());
        match (written, HeaderValue::from_str(text)) {
            (Some(written), Ok(value)) if written == text => Ok(Self::One(value)),
            (Some(written), _) => Err(format!("expected an origin as browsers send it: {written}")),
            _ => Err("expected * or an origin such as https://app.example.com".to_owned()),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for text in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
        ] {
            assert_eq!(
                text.parse(),
                Ok(Origin::One(HeaderValue::from_static(text)))
            );
        }
        assert_eq!("*".parse(), Ok(Origin::Any));
        for (text, expected) in [
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com/path", "https://app.example.com"),
            ("HTTPS://App.example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://a@app.example.com", "https://app.example.com"),
            ("app.example.com", "* or an origin"),
            ("null", "* or an origin"),
            ("file:///tmp", "* or an origin"),
            ("", "* or an origin"),
            ("https://*.example.com", "* or an origin"),
        ] {
            let error = text.parse::<Origin>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
