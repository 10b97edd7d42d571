//! Request ids: from the header `X-Request-Id`, or new ones.
//!
//! Invariant: a response, the log lines of its request and an internal error in it have the same id. An id has visible
//! ASCII characters only, so that it cannot forge a header or a log line.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument, Span};

use crate::clock::Clock;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// Returns the id from the header, or a new one.
    pub(crate) fn of(headers: &HeaderMap, clock: &Clock) -> Self {
        Self(brought(headers).unwrap_or_else(|| clock.new_request_id()))
    }

    /// Returns a span that adds the id to the log lines within it.
    pub(crate) fn span(&self) -> Span {
        // The highest level, so that no filter removes the span from log lines.
        tracing::error_span!("request", id = self.0)
    }

    /// Adds the id to a response.
    pub(crate) fn show(&self, response: &mut Response) {
        if let Ok(id) = HeaderValue::try_from(self.0.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
    }
}

/// Gives an id to a request, its response and its log lines.
pub(crate) async fn identify(State(clock): State<Clock>, request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers(), &clock);
    let mut response = next.run(request).instrument(id.span()).await;
    id.show(&mut response);
    response
}

/// Returns the id from the header, if it is valid.
fn brought(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let (Some(id), None) = (values.next(), values.next()) else {
        return None;
    };
    let fits = (1..=BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    fits.then(|| id.to_str().ok().map(ToOwned::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_fit_to_be_an_id() {
        let most = "x".repeat(BYTES);
        let too_long = "x".repeat(BYTES + 1);
        for (values, expected) in [
            (&[][..], None),
            (&[&b"a"[..]], Some("a")),
            (&[b"0b3c-11/~!\""], Some("0b3c-11/~!\"")),
            (&[most.as_bytes()], Some(most.as_str())),
            (&[too_long.as_bytes()], None),
            (&[b""], None),
            (&[b"a b"], None),
            (&[b"a\tb"], None),
            (&["\u{e9}".as_bytes()], None),
            (&[b"a", b"a"], None),
        ] {
            let values = values
                .iter()
                .map(|value| HeaderValue::from_bytes(value).unwrap());
            let headers = values.map(|value| (X_REQUEST_ID, value)).collect();
            assert_eq!(brought(&headers).as_deref(), expected, "{headers:?}");
        }
    }
}
