//! An answer without `data`: a list of errors, and the status that says so.

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

/// How long a client waits that was turned away with 503, in seconds.
pub(super) const RETRY_AFTER: u64 = 1;

/// A request that is answered with errors alone.
#[derive(Debug)]
pub(super) struct Rejection {
    code: Code,
    /// `None` leaves it to the code and the media type.
    status: Option<StatusCode>,
    header: Option<(HeaderName, HeaderValue)>,
    text: String,
    is_shed: bool,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, code: Code, message: &str) -> Self {
        let error = json!({ "message": message, "extensions": { "code": code.as_str() } });
        Self {
            status: Some(status),
            ..Self::of(code, &[error], None)
        }
    }

    /// An error of the service's own, under the id of its request.
    pub(super) fn internal(request_id: &str) -> Self {
        let Error { code, message, .. } = Error::internal("a panic");
        let extensions = json!({ "code": code.as_str(), "requestId": request_id });
        let error = json!({ "message": message, "extensions": extensions });
        Self {
            status: Some(StatusCode::INTERNAL_SERVER_ERROR),
            ..Self::of(code, &[error], None)
        }
    }

    /// There is too much to do: 503. The log counts those with the same message.
    pub(super) fn shed(message: &'static str) -> Self {
        turned_away(message);
        Self {
            is_shed: true,
            ..Self::unavailable(message)
        }
    }

    /// The service lacks what the request needs: 503, and when to try again.
    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
            .with(header::RETRY_AFTER, RETRY_AFTER.into())
    }

    fn of(code: Code, errors: &[Value], cost: Option<Value>) -> Self {
        let mut answer = json!({ "errors": errors });
        if let Some(cost) = cost {
            answer["extensions"] = json!({ "cost": cost });
        }
        Self {
            code,
            status: None,
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

    /// The JSON of the answer, and the response that is still without it.
    pub(super) fn into_parts(self, media_type: MediaType) -> (String, Response) {
        let status = self.status.unwrap_or_else(|| status(self.code, media_type));
        let mut response = status.into_response();
        response.headers_mut().extend(self.header);
        response.extensions_mut().insert(Rejected {
            code: self.code,
            is_shed: self.is_shed,
        });
        (self.text, response)
    }

    /// The response to a request of which only the head was read.
    pub(super) fn unread(self, headers: &HeaderMap) -> Response {
        let media_type = accepted(headers).answer.unwrap_or(MediaType::Json);
        let (text, mut response) = self.into_parts(media_type);
        let content_type = media_type.content_type();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        http_caching::not_kept(response.map(|_| text.into()))
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
        let rejection = Self::of(refused.code, &refused.errors, refused.cost_report);
        if refused.code == Code::Unavailable {
            return Self {
                status: Some(StatusCode::SERVICE_UNAVAILABLE),
                ..rejection
            }
            .with(header::RETRY_AFTER, RETRY_AFTER.into());
        }
        rejection
    }
}

/// The status of a request that could be read, but was not executed (GraphQL over HTTP, section 6.4).
///
/// Automatic persisted queries are not of that specification: some clients of theirs read no body but that of 200.
fn status(code: Code, media_type: MediaType) -> StatusCode {
    match (media_type, code) {
        (_, Code::BadRequest) => StatusCode::BAD_REQUEST,
        (MediaType::Json, _)
        | (_, Code::PersistedQueryNotFound | Code::PersistedQueryNotSupported) => StatusCode::OK,
        (MediaType::GraphqlResponse, Code::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (MediaType::GraphqlResponse, _) => StatusCode::BAD_REQUEST,
    }
}
