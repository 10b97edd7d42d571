//! The body of a request: its type, its bounds, and the rest of it that nobody reads.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use crate::{error::Code, http::rejection::Rejection};

/// How much longer than needed, and how much more, a body is read.
const DRAINED_TIME: Duration = Duration::from_secs(1);
const DRAINED_BYTES: usize = 16 << 20;

/// Rejects a body that is not `application/json`, with no parameter but `charset=utf-8`. No page of another site sends it
/// without asking first.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Rejection> {
    if is_json(headers) {
        return Ok(());
    }
    let message = "the Content-Type must be application/json";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Rejection::new(status, Code::BadRequest, message))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (types.next().map(HeaderValue::to_str), types.next()) else {
        return false;
    };
    let is = |part: &str, other: &str| part.trim().eq_ignore_ascii_case(other);
    let utf8 = ["", "charset=utf-8", "charset=\"utf-8\""];
    let mut parts = text.split(';');
    parts
        .next()
        .is_some_and(|part| is(part, "application/json"))
        && parts.all(|part| utf8.iter().any(|utf8| is(part, utf8)))
}

/// Reads a body of at most so many bytes, by the deadline.
pub(super) async fn read(
    body: &mut Body,
    most: usize,
    deadline: Instant,
) -> Result<Bytes, Rejection> {
    let (status, code, message) =
        match timeout_at(deadline, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => return Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => (
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::LimitExceeded,
                format!("the body must be at most {most} bytes"),
            ),
            Ok(Err(_)) => (
                StatusCode::BAD_REQUEST,
                Code::BadRequest,
                "the body did not arrive whole".to_owned(),
            ),
            Err(_) => (
                StatusCode::REQUEST_TIMEOUT,
                Code::Timeout,
                "the body took too long to arrive".to_owned(),
            ),
        };
    Err(Rejection::new(status, code, &message))
}

/// Reads what is left of a body, up to a bound: a client that is still sending when the connection ends may never see its
/// answer.
pub(super) async fn drain(mut body: Body, deadline: Instant) {
    if body.is_end_stream() {
        return;
    }
    let drained = async {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            let Some(less) = left.checked_sub(read) else {
                return;
            };
            left = less;
        }
    };
    let until = deadline.min(Instant::now() + DRAINED_TIME);
    let _ = timeout_at(until, drained).await;
}
