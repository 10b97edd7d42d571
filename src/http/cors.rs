//! The web pages that may send requests from a browser: by CORS (Fetch, section 3.3), and over a WebSocket, for which
//! browsers send no preflight request.
//!
//! Invariant: no page of another origin may, unless it is configured. No page ever uses a browser's cookies or
//! credentials.

use std::time::Duration;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ALLOW, ETAG, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    config::{AllowedOrigin, CorsHeader, Origin},
    observability::request_id::X_REQUEST_ID,
};

use super::admission::client_address::Asked;

/// The time for which a browser may cache a preflight response. Two hours is the most that all browsers accept.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The request headers that pages may send. docs/reference/http.md lists the same.
const REQUEST_HEADERS: [&str; 20] = [
    // Headers that the service reads.
    "accept",
    "authorization",
    "cache-control",
    "content-type",
    "graphql-cost",
    "if-none-match",
    "last-event-id",
    "x-request-id",
    // Trace Context and Baggage of the W3C, and Sentry's headers.
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
    // Headers of Apollo Client and Apollo Kotlin.
    "apollo-require-preflight",
    "apollographql-client-name",
    "apollographql-client-version",
    "x-apollo-operation-id",
    "x-apollo-operation-name",
    "x-apollo-operation-type",
    // Headers of other clients that force a preflight request.
    "graphql-preflight",
    "graphql-require-preflight",
];

/// The response headers that pages may read, besides the default ones.
const RESPONSE_HEADERS: [HeaderName; 5] =
    [ALLOW, ETAG, RETRY_AFTER, WWW_AUTHENTICATE, X_REQUEST_ID];

/// Creates the CORS layer; none if no other page is allowed. `more` are additional request headers.
pub(super) fn layer(origins: Vec<AllowedOrigin>, more: Vec<CorsHeader>) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    // If every origin is allowed, all get the same response.
    let (allowed, vary) = if origins.contains(&AllowedOrigin::Any) {
        (AllowOrigin::any(), Vec::new())
    } else {
        let is_allowed = move |origin: &HeaderValue, _: &_| allows(&origins, origin);
        (AllowOrigin::predicate(is_allowed), vec![ORIGIN])
    };
    let headers = REQUEST_HEADERS.map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .vary(vary)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(headers.into_iter().chain(more).collect::<Vec<_>>())
        .expose_headers(RESPONSE_HEADERS)
        .max_age(REMEMBERED);
    Some(layer)
}

fn allows(origins: &[AllowedOrigin], origin: &HeaderValue) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    origins.iter().any(|allowed| allowed.allows(origin))
}

/// Checks that a handshake comes from no page, or from a page of the requested origin or an allowed one.
pub(in crate::http) fn check_handshake(
    headers: &HeaderMap,
    asked: &Asked,
    allowed: &[AllowedOrigin],
) -> Result<(), String> {
    let Some(header) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let sent = header.to_str().unwrap_or_default();
    let host = asked.host.as_deref().unwrap_or_default();
    // An unknown scheme counts as the page's, because a proxy may terminate TLS. Web views have schemes of their own.
    let page = Origin::parse(sent).filter(|origin| ["http", "https"].contains(&origin.scheme()));
    let is_own = page.is_some_and(|origin| {
        let own = Origin::new(asked.scheme.unwrap_or_else(|| origin.scheme()), host);
        own.as_ref() == Some(&origin)
    });
    if is_own || allows(allowed, header) {
        return Ok(());
    }
    let scheme = asked.scheme.map(|scheme| format!("{scheme}://"));
    let scheme = scheme.unwrap_or_default();
    Err(format!(
        "pages of {sent} may not open WebSockets of {scheme}{host}: the service allows other origins by --cors-origin"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_the_headers() {
        let page = include_str!("../../docs/reference/http.md").to_lowercase();
        let responses = RESPONSE_HEADERS;
        let responses = responses.iter().map(HeaderName::as_str);
        for name in REQUEST_HEADERS.into_iter().chain(responses) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn a_handshake_comes_from_its_own_origin_or_an_allowed_one() {
        let allowed = ["https://b.example".parse().unwrap()];
        for (origin, scheme, host, expected) in [
            ("http://a.example", None, "a.example", true),
            ("https://a.example", None, "a.example", true),
            ("https://a.example", None, "A.example:443", true),
            ("http://a.example", None, "a.example:80", true),
            ("http://a.example", None, "a.example:443", false),
            ("https://a.example", None, "a.example:8080", false),
            ("http://[::1]:8080", None, "[::1]:8080", true),
            ("https://a.example", Some("https"), "a.example", true),
            ("https://a.example", Some("http"), "a.example", false),
            ("http://a.example", Some("https"), "a.example", false),
            ("https://a.example:443", Some("https"), "a.example", true),
            ("https://b.example", Some("https"), "a.example", true),
            ("https://b.example:443", None, "a.example", true),
            ("https://B.example", None, "a.example", true),
            ("http://b.example", None, "a.example", false),
            ("https://a.example.evil.example", None, "a.example", false),
            ("https://a.example@evil.example", None, "a.example", false),
            ("capacitor://a.example", None, "a.example", false),
            ("https://a.exam\tple", None, "a.example", false),
            ("null", None, "null", false),
            ("", None, "", false),
        ] {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            let asked = Asked {
                scheme,
                host: Some(host.to_owned()),
            };
            let checked = check_handshake(&headers, &asked, &allowed);
            assert_eq!(checked.is_ok(), expected, "{origin} {scheme:?} {host}");
            if let Err(message) = checked {
                assert!(
                    message.contains(origin) && message.contains(host),
                    "{message}"
                );
            }
        }
        assert_eq!(
            check_handshake(&HeaderMap::new(), &Asked::default(), &[]),
            Ok(())
        );
    }
}
