//! A response without `data`: a list of errors with a status.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    error::{Code, Error},
    observability::request_log::Rejected,
    pipeline::refused::Refused,
};

use super::{
    graphql::{
        http_caching,
        negotiation::{MediaType, accepted},
    },
    shed::turned_away,
};

/// A request that gets only errors.
#[derive(Debug)]
pub(super) struct Rejection {
    code: Code,
    /// The status; `None` derives it from the code and the media type.
    status: Option<StatusCode>,
    /// The seconds of `Retry-After`.
    retry_after: Option<u64>,
    header: Option<(HeaderName, HeaderValue)>,
    text: String,
    is_shed: bool,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, code: Code, message: &str) -> Self {
        Self::at(status, Error::new(code, message))
    }

    /// Creates an error with a status of its own.
    pub(super) fn at(status: StatusCode, error: Error) -> Self {
        Self {
            status: Some(status),
            ..error.into()
        }
    }

    /// Creates an internal error with its request's id.
    pub(super) fn internal(request_id: &str) -> Self {
        let error = Error::internal("a panic");
        let mut json = error.to_json();
        json["extensions"]["requestId"] = request_id.into();
        Self {
            status: Some(StatusCode::INTERNAL_SERVER_ERROR),
            ..Self::of(error.code, None, &[json], None)
        }
    }

    /// Rejects a request under overload with 503. The log counts requests by message.
    pub(super) fn shed(message: &'static str) -> Self {
        turned_away(message);
        Self {
            is_shed: true,
            ..Self::unavailable(message)
        }
    }

    /// Rejects a request with 503 and the seconds to wait, because the service lacks a resource.
    pub(super) fn unavailable(message: &str) -> Self {
        Error::unavailable(message).into()
    }

    fn of(code: Code, retry_after: Option<u64>, errors: &[Value], cost: Option<Value>) -> Self {
        let mut answer = json!({ "errors": errors });
        if let Some(cost) = cost {
            answer["extensions"] = json!({ "cost": cost });
        }
        Self {
            code,
            status: None,
            retry_after,
            header: None,
            text: answer.to_string(),
            is_shed: false,
        }
    }

    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// Returns the JSON of the response, and the response without it.
    pub(super) fn into_parts(self, media_type: MediaType) -> (String, Response) {
        let status = self.status.unwrap_or_else(|| status(self.code, media_type));
        let mut response = status.into_response();
        response.headers_mut().extend(self.header);
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(Rejected {
            code: self.code,
            is_shed: self.is_shed,
        });
        (self.text, response)
    }

    /// Builds the response to a request of which only the head was read.
    pub(super) fn unread(self, headers: &HeaderMap) -> Response {
        let media_type = accepted(headers).answer.unwrap_or(MediaType::Json);
        let (text, mut response) = self.into_parts(media_type);
        let content_type = media_type.content_type();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        http_caching::not_stored(response.map(|_| text.into()))
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        let refused: Refused = error.into();
        refused.into()
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        let Refused {
            code, retry_after, ..
        } = refused;
        Self::of(
            code,
            retry_after,
            &refused.errors,
            refused.cost_report.map(|report| *report),
        )
    }
}

/// Returns the status of a well-formed request that was not executed (GraphQL over HTTP, section 6.4).
///
/// Automatic persisted queries are not part of that specification: some of their clients read the body only with 200.
fn status(code: Code, media_type: MediaType) -> StatusCode {
    match (media_type, code) {
        (_, Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Code::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
        (_, Code::BadRequest) => StatusCode::BAD_REQUEST,
        (MediaType::Json, _)
        | (_, Code::PersistedQueryNotFound | Code::PersistedQueryNotSupported) => StatusCode::OK,
        (MediaType::GraphqlResponse, Code::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (MediaType::GraphqlResponse, _) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_and_the_extension_have_the_same_seconds() {
        for (error, status, seconds) in [
            (Error::rate_limited("too many", 7), 429, Some(7)),
            (Error::unavailable("not now"), 503, Some(1)),
            (
                Error::unavailable("not now").retrying_after(60),
                503,
                Some(60),
            ),
            (Error::new(Code::BadRequest, "no"), 400, None),
        ] {
            for media_type in [MediaType::Json, MediaType::GraphqlResponse] {
                let error = match error.retry_after() {
                    Some(seconds) => Error::new(error.code, "").retrying_after(seconds),
                    None => Error::new(error.code, ""),
                };
                let (text, response) = Rejection::from(error).into_parts(media_type);
                assert_eq!(response.status().as_u16(), status);
                let header = response.headers().get(header::RETRY_AFTER);
                let header = header.map(|value| value.to_str().unwrap().parse().unwrap());
                let answer: Value = serde_json::from_str(&text).unwrap();
                let extension = answer["errors"][0]["extensions"]["retryAfter"].as_u64();
                assert_eq!((header, extension), (seconds, seconds), "{text}");
            }
        }
        let shed = Rejection::shed("too much").into_parts(MediaType::Json).1;
        assert_eq!(shed.headers()[header::RETRY_AFTER], "1");
    }
}
