//! `/graphql`, strictly by GraphQL over HTTP: queries by GET, all operations by POST.
//!
//! Invariant: every response has one of the two media types, and has `data` only if execution began. A request is
//! abandoned, including its body, after the request timeout.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::parser::types::OperationType;
use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, request::Parts},
    response::Response,
};
use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    answer_budget::AnswerText,
    domain::viewer::Viewer,
    error::Code,
    http::{
        admission::Admitted,
        auth::{Refusal, Verified},
        connections::peer::peer,
        rejection::Rejection,
    },
    observability::{request_id::RequestId, request_record::RequestRecord},
    pipeline::{
        Answer, Caller, Delivery, Described, Outcome,
        parameters::{self, Sent},
    },
};

use super::{
    content_coding::{encoded, response},
    http_caching,
    methods::Allowed,
    negotiation::{Accepted, Coding, MediaType, StreamType, accepted, coding},
    request_body::{self, Received, RequestBody},
    response_cache::{CacheableResponse, Fill, Key, Lookup, Variant},
    response_stream,
    service::{Endpoint, Service},
    websocket,
};

/// The header that requests `extensions.cost`.
pub(in crate::http) const GRAPHQL_COST: HeaderName = HeaderName::from_static("graphql-cost");

/// The header with the id of the event to continue after.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The most bytes of an event id, which is a cursor.
const EVENT_ID_BYTES: usize = 1024;

pub(in crate::http) async fn graphql(
    State(Endpoint(service)): State<Endpoint>,
    Extension(record): Extension<RequestRecord>,
    Admitted(verified): Admitted,
    request: Request,
) -> Response {
    let deadline = Instant::now() + service.request_timeout;
    let (mut parts, body) = request.into_parts();
    if websocket::is_upgrade(&parts) {
        let upgrade = websocket::upgrade(&service, record, &mut parts);
        return upgrade.unwrap_or_else(|rejection| rejection.unread(&parts.headers));
    }
    let accepted = accepted(&parts.headers);
    let mut body = RequestBody::new(body, &parts.headers);
    let call = Call {
        service: &service,
        parts: &parts,
        record: &record,
        deadline,
    };
    let answer = call.answer(verified, accepted, &mut body);
    let answer = unless_panicked(answer, record.id()).await;
    body.drain(deadline).await;
    match answer {
        Ok(Sending::Cacheable(cached)) => cached.response(&parts.method, &parts.headers),
        Ok(Sending::Once(text, media_type)) => once(text, media_type, coding(&parts.headers)).await,
        // A stream has its own headers.
        Ok(Sending::Stream(response)) => http_caching::not_stored(response),
        Err(rejection) => {
            let media_type = accepted.answer.unwrap_or(MediaType::Json);
            let (text, rejected) = rejection.into_parts(media_type);
            let mut response =
                once(text.into_bytes().into(), media_type, coding(&parts.headers)).await;
            let (parts, _) = rejected.into_parts();
            *response.status_mut() = parts.status;
            response.headers_mut().extend(parts.headers);
            response.extensions_mut().extend(parts.extensions);
            response
        }
    }
}

/// Builds a response that is sent once.
async fn once(text: AnswerText, media_type: MediaType, coding: Coding) -> Response {
    let (coding, body) = encoded(coding, text).await;
    http_caching::not_stored(response(media_type, coding, body))
}

/// Converts a panic to an internal error, so that the connection does not just end. The log has the panic's message.
async fn unless_panicked<T>(
    answer: impl Future<Output = Result<T, Rejection>>,
    id: &RequestId,
) -> Result<T, Rejection> {
    // The state is dropped too, so no one sees it half-changed.
    if let Ok(answer) = AssertUnwindSafe(answer).catch_unwind().await {
        return answer;
    }
    id.span()
        .in_scope(|| tracing::error!("the request ended in a panic"));
    Err(Rejection::internal(&id.0))
}

/// A response to be sent.
enum Sending {
    Cacheable(CacheableResponse),
    /// Text that contains errors.
    Once(AnswerText, MediaType),
    Stream(Response),
}

/// The form of the wanted response.
#[derive(Clone, Copy)]
struct Wanted {
    accepted: Accepted,
    coding: Coding,
    reports_cost: bool,
}

/// A request in progress.
struct Call<'a> {
    service: &'a Arc<Service>,
    parts: &'a Parts,
    record: &'a RequestRecord,
    deadline: Instant,
}

impl Call<'_> {
    async fn answer(
        self,
        verified: Result<Verified, Refusal>,
        accepted: Accepted,
        body: &mut RequestBody,
    ) -> Result<Sending, Rejection> {
        let headers = &self.parts.headers;
        let method = Allowed::of(&self.parts.method)?;
        if accepted.answer.is_none() && accepted.stream.is_none() {
            return Err(not_acceptable(
                "answers are application/graphql-response+json or application/json in UTF-8, and of subscriptions \
                 text/event-stream or multipart/mixed;subscriptionSpec=1.0",
            ));
        }
        if method == Allowed::Post {
            request_body::require_json(headers)?;
        }
        let reports_cost = reports_cost(headers)?;
        let verified = verified?;
        if verified.viewer.user().is_some() {
            self.record.record_token();
        }
        let received = match method {
            Allowed::Get => None,
            Allowed::Post => Some(self.receive(body).await?),
        };
        let query = self.parts.uri.query().unwrap_or_default();
        let bytes = received.as_ref().map(|received| received.bytes.as_slice());
        let wanted = Wanted {
            accepted,
            coding: coding(headers),
            reports_cost,
        };
        let parameters = bytes.unwrap_or(query.as_bytes());
        let key = self.key(method, parameters, &verified.viewer, wanted);
        let responses = &self.service.responses;
        let hit = |response: CacheableResponse| {
            response.record(self.record);
            Ok(Sending::Cacheable(response))
        };
        if let Some(response) = key.as_ref().and_then(|key| responses.get(key)) {
            return hit(response);
        }
        let sent = match bytes {
            None => parameters::from_url(query),
            Some(bytes) => parameters::from_body(bytes),
        }?;
        // The body's memory is held until the response is made.
        let _memory = received.map(|received| received.memory);
        let mut fill = match key {
            None => Fill::none(),
            Some(key) => match responses.look_up(key, self.deadline).await? {
                Lookup::Hit(response) => return hit(response),
                Lookup::Miss(fill) => fill,
            },
        };
        // The future is boxed, so that a cache hit does not carry the state of an execution.
        let executed = Box::pin(self.execute(sent, method, verified, wanted, &mut fill))
            .instrument(self.record.id().span())
            .await;
        match &executed {
            Ok(Sending::Cacheable(response)) => fill.complete(response),
            _ => fill.abandon(),
        }
        executed
    }

    /// Receives the body. Bodies in progress share memory, of which one address gets a part.
    async fn receive(&self, body: &mut RequestBody) -> Result<Received, Rejection> {
        let service = self.service;
        let peer = peer(&self.parts.extensions);
        let address = service.admission.address(peer, &self.parts.headers);
        let memory = service.bodies.open(address);
        let most = service.max_body_bytes;
        body.read(most, memory, self.deadline).await
    }

    /// Returns the cache key of the response, if it may be cached.
    fn key(
        &self,
        method: Allowed,
        parameters: &[u8],
        viewer: &Viewer,
        wanted: Wanted,
    ) -> Option<Key> {
        let media_type = wanted.accepted.answer?;
        if http_caching::wants_anew(&self.parts.headers) {
            return None;
        }
        self.service.responses.key(&Variant {
            method,
            parameters,
            viewer,
            media_type,
            coding: wanted.coding,
            reports_cost: wanted.reports_cost,
        })
    }

    /// Executes a request in the pipeline. No request waits for a response that it cannot share.
    async fn execute(
        &self,
        sent: Sent,
        method: Allowed,
        verified: Verified,
        wanted: Wanted,
        fill: &mut Fill<'_>,
    ) -> Result<Sending, Rejection> {
        let service = self.service;
        let permit = service.admission.permit(self.deadline).await?;
        // A permit is held, because parsed variables take many times the memory of their text.
        let parameters = sent.read(service.pipeline.limits())?;
        let (peer, headers) = (peer(&self.parts.extensions), &self.parts.headers);
        let own = service.admission.caller(&verified, peer, headers);
        let caller = Caller {
            viewer: verified.viewer.clone(),
            key: service.admission.key(own.as_ref()),
            record: self.record.clone(),
            last_event_id: last_event_id(headers, wanted.accepted.stream),
        };
        let mut stream = None;
        let mut media_type = MediaType::Json;
        let deliver = |operation: Described| {
            method.admits(operation.operation_type)?;
            if !operation.is_cacheable {
                fill.abandon();
            }
            let is_subscription = operation.operation_type == Some(OperationType::Subscription);
            match (wanted.accepted.answer, wanted.accepted.stream) {
                (Some(accepted), _) if !is_subscription => {
                    media_type = accepted;
                    Ok(Delivery::Response {
                        reports_cost: wanted.reports_cost,
                    })
                }
                (_, Some(stream_type)) => {
                    if is_subscription {
                        service.stopping.refuse_streams()?;
                    }
                    let open = service.open_streams.open(own.clone())?;
                    stream = Some((stream_type, open));
                    Ok(Delivery::Stream)
                }
                _ => Err(not_acceptable(
                    "a subscription is answered as text/event-stream, as multipart/mixed;subscriptionSpec=1.0, or over \
                     a WebSocket: name one of the two in Accept, or open a WebSocket",
                )),
            }
        };
        let outcome =
            (service.pipeline).respond(parameters, caller, permit, self.deadline, deliver);
        match outcome.await? {
            Outcome::Stream(messages) => {
                let expiry = service.admission.expiry(&verified);
                let (stream_type, open) = stream.unzip();
                let response = response_stream::response(
                    stream_type.unwrap_or(StreamType::Events),
                    messages,
                    open,
                    &service.stopping,
                    expiry,
                );
                Ok(Sending::Stream(response))
            }
            Outcome::Response(Answer { text, has_errors }) if has_errors => {
                Ok(Sending::Once(text, media_type))
            }
            Outcome::Response(Answer { text, .. }) => {
                let with_etag = method == Allowed::Get;
                let operation = self.record.operation();
                let response =
                    CacheableResponse::new(text, media_type, wanted.coding, with_etag, operation);
                Ok(Sending::Cacheable(response.await))
            }
        }
    }
}

/// Returns whether `GraphQL-Cost: report` requests the operation's cost.
fn reports_cost(headers: &HeaderMap) -> Result<bool, Rejection> {
    match headers.get(GRAPHQL_COST) {
        None => Ok(false),
        Some(asked) if asked.as_bytes().eq_ignore_ascii_case(b"report") => Ok(true),
        Some(_) => {
            let message = "GraphQL-Cost must be report, or be left out";
            let status = StatusCode::BAD_REQUEST;
            Err(Rejection::new(status, Code::BadRequest, message))
        }
    }
}

/// Returns the id of the client's last event (HTML, section 9.2.4), if it requests events. A longer id than any valid
/// one is cut.
fn last_event_id(headers: &HeaderMap, stream: Option<StreamType>) -> Option<Arc<str>> {
    let id = headers
        .get(LAST_EVENT_ID)
        .filter(|id| stream == Some(StreamType::Events) && !id.is_empty())?;
    let id = &id.as_bytes()[..id.len().min(EVENT_ID_BYTES + 1)];
    Some(String::from_utf8_lossy(id).into())
}

fn not_acceptable(message: &str) -> Rejection {
    Rejection::new(StatusCode::NOT_ACCEPTABLE, Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        let panicking = async {
            assert!(std::hint::black_box(false), "as no request should make it");
            Ok(())
        };
        let rejection = unless_panicked(panicking, &RequestId("r-1".to_owned())).await;
        let response = rejection.unwrap_err().unread(&HeaderMap::new());
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({ "errors": [{
            "message": "the service failed: give its operator the requestId",
            "extensions": { "code": "INTERNAL", "requestId": "r-1" },
        }] });
        assert_eq!(answer, expected);
    }
}
