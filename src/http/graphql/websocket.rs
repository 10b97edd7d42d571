//! Operations over a WebSocket, by the GraphQL over WebSocket Protocol (`graphql-transport-ws`).
//!
//! Invariant: nothing is executed before the connection is acknowledged, and nothing after its token ended; what a client
//! sends against the protocol ends the connection with the code that the protocol has for it. A client that takes nothing, or
//! says nothing, is given up after a while. At a stop, operations under way are finished before a socket is closed.

use std::{borrow::Cow, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        FromRequestParts,
        ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade},
    },
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN, UPGRADE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use hyper::ext::Protocol;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::mpsc,
    time::{Instant, interval, sleep, timeout},
};

use crate::{
    answer_budget::AnswerShare,
    config::Origin,
    error::{Code, Error},
    http::{
        admission::{
            concurrency::{FULL, Full},
            open_streams::OpenStream,
            rate_limit,
        },
        auth::Verified,
        rejection::Rejection,
        serve::peer,
        stopping::{Phase, STOPS},
    },
    observability::{request_log::LogEntry, request_record::RequestRecord},
    pipeline::{
        Caller, parameters,
        stream::{Message, Operation, PATIENCE},
    },
};

use super::service::Service;

const WEBSOCKET: &str = "websocket";
const PROTOCOL: &str = "graphql-transport-ws";

/// How long a client may take to send `connection_init`.
const INIT: Duration = Duration::from_secs(10);
/// How long a client may take to answer the close frame of a stop.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How often a silent client is asked whether it is there; silent for three times as long it is not.
const PING: Duration = Duration::from_secs(20);
/// Messages of all operations that wait to be sent.
const QUEUE: usize = 8;
/// Of each socket for as long as it is open: most hear much and say little. Longer messages take what they need.
const READ_BUFFER: usize = 4 * 1024;
/// What fits into a close frame beside its code (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

/// Close codes: RFC 6455, section 7.4.1, and those of the protocol.
mod code {
    use crate::http::auth::{Refusal, TokenEnd};

    pub(super) const GOING_AWAY: u16 = 1001;
    pub(super) const TRY_AGAIN_LATER: u16 = 1013;
    pub(super) const BAD_REQUEST: u16 = 4400;
    pub(super) const UNAUTHORIZED: u16 = 4401;
    pub(super) const FORBIDDEN: u16 = 4403;
    pub(super) const SUBPROTOCOL: u16 = 4406;
    pub(super) const INIT_TIMEOUT: u16 = 4408;
    pub(super) const SUBSCRIBER_EXISTS: u16 = 4409;
    pub(super) const TOO_MANY_INITS: u16 = 4429;

    pub(super) const fn of_refusal(refusal: Refusal) -> u16 {
        match refusal {
            Refusal::NoKeys => TRY_AGAIN_LATER,
            _ => FORBIDDEN,
        }
    }

    pub(super) const fn of_token(end: TokenEnd) -> u16 {
        match end {
            TokenEnd::NoKeys => TRY_AGAIN_LATER,
            TokenEnd::Expired | TokenEnd::KeyWithdrawn => FORBIDDEN,
        }
    }
}

/// Whether a request opens a WebSocket: by `Upgrade`, or over HTTP/2 by the extended CONNECT method (RFC 8441, section 4).
pub(super) fn is_upgrade(parts: &Parts) -> bool {
    if let Some(protocol) = parts.extensions.get::<Protocol>() {
        return parts.method == Method::CONNECT && protocol.as_str() == WEBSOCKET;
    }
    let upgrade = parts.headers.get(UPGRADE);
    upgrade.is_some_and(|protocol| {
        let protocol = protocol.as_bytes();
        protocol.eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    })
}

/// Answers a handshake, and serves what it opens.
pub(super) async fn upgrade(
    service: &Arc<Service>,
    record: RequestRecord,
    parts: &mut Parts,
) -> Result<Response, Rejection> {
    // A browser lets every page open sockets, and names the page's origin.
    if !is_ours(&parts.headers, &service.allowed_origins) {
        let message = "pages of this origin may not ask here";
        return Err(Rejection::new(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            message,
        ));
    }
    service.stopping.refuse_streams()?;
    let peer = peer(&parts.extensions);
    let address = service.admission.address(peer, &parts.headers);
    let open = service.open_streams.open(address)?;
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &());
    let upgrade = upgrade.await.map_err(|_| {
        let message = "the request is no WebSocket handshake";
        Rejection::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    })?;
    let upgrade = upgrade
        .max_message_size(service.max_body_bytes)
        .max_frame_size(service.max_body_bytes)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .protocols([PROTOCOL]);
    let speaks = upgrade.selected_protocol().is_some();
    let session = Session {
        service: service.clone(),
        record,
        headers: parts.headers.clone(),
        peer,
    };
    // From now on, so that a stop waits for a socket that is about to open.
    let counted = service.stopping.open_socket();
    // A client that takes nothing holds up no stop.
    let stopping = service.stopping.clone();
    let cut = async move {
        stopping.reached(Phase::Cutting).await;
        sleep(LAST_WORD).await;
    };
    let serve = move |mut socket: WebSocket| async move {
        let _counted = counted;
        let end = if speaks {
            session.serve(&mut socket, open).await
        } else {
            Err(close(code::SUBPROTOCOL, "Subprotocol not acceptable"))
        };
        if let Err(End::Close(frame)) = end {
            let patience = match frame.code {
                code::GOING_AWAY => LAST_WORD,
                _ => INIT,
            };
            let sent = timeout(INIT, socket.send(Frame::Close(Some(frame)))).await;
            if matches!(sent, Ok(Ok(()))) {
                // Until the client has read it, or hung up.
                let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
                let _ = timeout(patience, answered).await;
            }
        }
    };
    let serve = move |socket| async move {
        tokio::select! {
            () = serve(socket) => {}
            () = cut => {}
        }
    };
    Ok(upgrade.on_upgrade(serve).into_response())
}

/// Whether a handshake comes from a page that may ask: of this host, or configured; or from no page.
fn is_ours(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let same_host = || {
        let host = headers.get(HOST)?.to_str().ok()?;
        // Not its scheme, which a proxy may have changed.
        let (_, authority) = origin.to_str().ok()?.split_once("://")?;
        Some(authority.eq_ignore_ascii_case(host))
    };
    allowed.iter().any(|allowed| match allowed {
        Origin::Any => true,
        Origin::One(one) => one == origin,
    }) || same_host().unwrap_or(false)
}

/// The end of a connection.
enum End {
    Close(CloseFrame),
    /// The client is gone, or as good as.
    Gone,
}

fn close(code: u16, reason: &str) -> End {
    let end = reason.floor_char_boundary(REASON_BYTES);
    End::Close(CloseFrame {
        code,
        reason: reason[..end].into(),
    })
}

fn bad_request(reason: &str) -> End {
    close(code::BAD_REQUEST, reason)
}

/// A message of the client's.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// A socket, with the handshake that opened it.
struct Session {
    service: Arc<Service>,
    /// The record of the handshake.
    record: RequestRecord,
    headers: HeaderMap,
    peer: Option<IpAddr>,
}

/// A client that was acknowledged.
struct Client {
    verified: Verified,
    caller: Option<rate_limit::Caller>,
    _open: OpenStream,
}

/// An operation under way, and its entry in the log.
struct Running {
    number: u64,
    id: String,
    operation: Operation,
    _entry: LogEntry,
}

impl Session {
    /// Serves until the end.
    async fn serve(&self, socket: &mut WebSocket, open: OpenStream) -> Result<(), End> {
        let stopping = &self.service.stopping;
        let init = async {
            let open = open;
            let payload = self.init(socket).await?;
            self.acknowledge(payload, open).await
        };
        let client = tokio::select! {
            client = timeout(INIT, init) => client.unwrap_or_else(|_| {
                Err(close(code::INIT_TIMEOUT, "Connection initialisation timeout"))
            })?,
            () = stopping.reached(Phase::Closing) => return Err(going_away()),
        };
        send(socket, r#"{"type":"connection_ack"}"#.to_owned()).await?;

        let (out, mut said) = mpsc::channel(QUEUE);
        let mut operations = Operations {
            session: self,
            client: &client,
            running: Vec::new(),
            out,
            next: 0,
            closing: false,
        };
        let mut expiry = pin!(self.service.admission.expiry(&client.verified));
        let mut closing = pin!(stopping.reached(Phase::Closing));
        let mut cutting = pin!(stopping.reached(Phase::Cutting));
        let mut pings = interval(PING);
        let mut heard = Instant::now();
        loop {
            if operations.closing && operations.running.is_empty() {
                return Err(going_away());
            }
            tokio::select! {
                received = socket.recv() => {
                    heard = Instant::now();
                    if let Some(text) = text(received)?
                        && let Some(answer) = operations.receive(&text)?
                    {
                        send(socket, answer).await?;
                    }
                }
                Some((number, message)) = said.recv() => {
                    if let Some((text, _share)) = operations.say(number, message) {
                        send(socket, text).await?;
                    }
                }
                end = &mut expiry => return Err(close(code::of_token(end), &end.to_string())),
                () = &mut closing, if !operations.closing => operations.close(),
                () = &mut cutting => return Err(going_away()),
                _ = pings.tick() => {
                    if heard.elapsed() > 3 * PING {
                        return Err(End::Gone);
                    }
                    let ping = socket.send(Frame::Ping(Bytes::new()));
                    let _ = timeout(PATIENCE, ping).await.map_err(|_| End::Gone)?;
                }
            }
        }
    }

    /// The payload of the `connection_init`.
    async fn init(&self, socket: &mut WebSocket) -> Result<Option<Box<RawValue>>, End> {
        loop {
            let Some(received) = text(socket.recv().await)? else {
                continue;
            };
            let Sent {
                r#type, payload, ..
            } = parse(&received)?;
            match &*r#type {
                "connection_init" => return Ok(payload.map(ToOwned::to_owned)),
                "ping" => send(socket, pong(payload)).await?,
                "pong" | "complete" => {}
                "subscribe" => return Err(close(code::UNAUTHORIZED, "Unauthorized")),
                _ => return Err(bad_request("the message's type is unknown")),
            }
        }
    }

    /// Verifies the client: by the token of the payload, or else of the handshake. Where the payload's differs from
    /// the handshake's, one of them is not meant.
    async fn acknowledge(
        &self,
        payload: Option<Box<RawValue>>,
        open: OpenStream,
    ) -> Result<Client, End> {
        let forbidden = |reason: &str| close(code::FORBIDDEN, reason);
        let mut headers = self.headers.clone();
        if let Some(token) = authorization(payload.as_deref())? {
            let token = HeaderValue::from_str(&token)
                .map_err(|_| forbidden("the token has characters that none may have"))?;
            if headers
                .get(AUTHORIZATION)
                .is_some_and(|header| *header != token)
            {
                return Err(forbidden(
                    "the handshake's token is another than connection_init's",
                ));
            }
            headers.insert(AUTHORIZATION, token);
        }
        let admission = &self.service.admission;
        let verified = admission
            .verify(self.peer, &headers)
            .await
            .map_err(|too_many| close(code::TRY_AGAIN_LATER, &too_many.to_string()))?
            .map_err(|refusal| close(code::of_refusal(refusal), &refusal.to_string()))?;
        let caller = admission.caller(&verified, self.peer, &headers);
        // What was the address's becomes the caller's.
        drop(open);
        let open = self.service.open_streams.open(caller.clone());
        let open = open.map_err(|full| close(code::TRY_AGAIN_LATER, full.message()))?;
        Ok(Client {
            verified,
            caller,
            _open: open,
        })
    }
}

/// The operations of one socket.
struct Operations<'a> {
    session: &'a Session,
    client: &'a Client,
    running: Vec<Running>,
    out: mpsc::Sender<(u64, Message)>,
    next: u64,
    /// Whether no more begin, since the service stops.
    closing: bool,
}

impl Operations<'_> {
    /// Ends the subscriptions. Queries and mutations go on to their ends.
    fn close(&mut self) {
        self.closing = true;
        for Running { operation, .. } in &self.running {
            operation.end_subscription();
        }
    }

    /// Does what a message says; gives what is to be answered at once.
    fn receive(&mut self, text: &str) -> Result<Option<String>, End> {
        let Sent {
            r#type,
            id,
            payload,
        } = parse(text)?;
        match (&*r#type, id) {
            ("subscribe", Some(id)) => {
                let payload =
                    payload.ok_or_else(|| bad_request("subscribe must have a payload"))?;
                return self.subscribe(id, payload);
            }
            ("complete", Some(id)) => self.running.retain(|running| running.id != id),
            ("ping", _) => return Ok(Some(pong(payload))),
            ("pong", _) => {}
            ("connection_init", _) => {
                let reason = "Too many initialisation requests";
                return Err(close(code::TOO_MANY_INITS, reason));
            }
            ("subscribe" | "complete", None) => return Err(bad_request("id must be a string")),
            _ => return Err(bad_request("the message's type is unknown")),
        }
        Ok(None)
    }

    fn subscribe(&mut self, id: String, payload: &RawValue) -> Result<Option<String>, End> {
        if id.is_empty() {
            return Err(bad_request("id must not be empty"));
        }
        if self.running.iter().any(|running| running.id == id) {
            let reason = format!("Subscriber for {id:.50} already exists");
            return Err(close(code::SUBSCRIBER_EXISTS, &reason));
        }
        let service = &self.session.service;
        let parameters = parameters::from_body(payload.get().as_bytes())
            .and_then(|sent| sent.read(service.pipeline.limits()));
        let refuse = |code: Code, message: &str| {
            let error = json!({ "message": message, "extensions": { "code": code.as_str() } });
            Ok(Some(refused(&id, &json!([error]).to_string())))
        };
        let parameters = match parameters {
            Ok(parameters) => parameters,
            Err(error) if error.code == Code::LimitExceeded => {
                return refuse(error.code, &error.message);
            }
            Err(error) => return Err(bad_request(&error.message)),
        };
        if self.closing {
            return refuse(Code::Unavailable, STOPS);
        }
        let most = service.open_streams.operations;
        if self.running.len() >= most {
            let message = format!("a socket may have at most {most} operations");
            return refuse(Code::LimitExceeded, &message);
        }
        if let Some(caller) = &self.client.caller
            && let Err(too_many) = service.admission.charge(caller)
        {
            return refuse(Code::RateLimited, &too_many.to_string());
        }
        let number = self.next;
        self.next += 1;
        let record = RequestRecord::new(self.session.record.id().clone());
        if self.client.verified.viewer.user().is_some() {
            record.record_token();
        }
        let entry = LogEntry::of_operation(service.metrics.clone(), record.clone());
        let caller = Caller {
            viewer: self.client.verified.viewer.clone(),
            record,
        };
        let (admission, timeout) = (service.admission.clone(), service.request_timeout);
        let permit = async move {
            let permit = admission.permit(Instant::now() + timeout).await;
            permit.map_err(|Full| Error::new(Code::Unavailable, FULL))
        };
        let out = self.out.clone();
        let operation = (service.pipeline).stream(parameters, caller, permit, number, out);
        self.running.push(Running {
            number,
            id,
            operation,
            _entry: entry,
        });
        Ok(None)
    }

    /// The message of an operation, and its bytes of those of all answers until it is sent; none when it was completed meanwhile,
    /// or is left to the close frame.
    fn say(&mut self, number: u64, message: Message) -> Option<(String, AnswerShare)> {
        let mut running = self.running.iter();
        let at = running.position(|running| running.number == number)?;
        match message {
            Message::Next(answer) => {
                let (id, payload) = (json!(self.running[at].id), answer.as_str());
                let text = format!(r#"{{"id":{id},"type":"next","payload":{payload}}}"#);
                Some((text, answer.into_share()))
            }
            Message::Refused(errors) => {
                let Running { id, .. } = self.running.swap_remove(at);
                Some((refused(&id, &errors), AnswerShare::default()))
            }
            Message::Complete => {
                let Running { id, .. } = self.running.swap_remove(at);
                let text = json!({ "id": id, "type": "complete" }).to_string();
                Some((text, AnswerShare::default()))
            }
            // A client that was sent no "complete" subscribes again on its next socket.
            Message::Ended => {
                self.running.swap_remove(at);
                None
            }
        }
    }
}

fn refused(id: &str, errors: &str) -> String {
    format!(
        r#"{{"id":{},"type":"error","payload":{errors}}}"#,
        json!(id)
    )
}

fn pong(payload: Option<&RawValue>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

fn going_away() -> End {
    close(code::GOING_AWAY, "the service stops")
}

fn parse(text: &str) -> Result<Sent<'_>, End> {
    serde_json::from_str(text)
        .map_err(|_| bad_request("a message must be a JSON object with type, id and payload"))
}

/// The text of a frame, if it is one of text.
fn text(received: Option<Result<Frame, axum::Error>>) -> Result<Option<String>, End> {
    match received {
        Some(Ok(Frame::Text(text))) => Ok(Some(text.to_string())),
        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(None),
        Some(Ok(Frame::Binary(_))) => Err(bad_request("a message must be text")),
        Some(Ok(Frame::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), End> {
    let sent = timeout(PATIENCE, socket.send(Frame::Text(text.into()))).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

/// `Authorization` of a payload, whatever its case.
fn authorization(payload: Option<&RawValue>) -> Result<Option<String>, End> {
    let Some(payload) = payload else {
        return Ok(None);
    };
    let payload: Option<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(payload.get())
            .map_err(|_| bad_request("connection_init's payload must be an object"))?;
    let mut tokens = payload
        .into_iter()
        .flatten()
        .filter(|(name, value)| name.eq_ignore_ascii_case("authorization") && !value.is_null());
    match (tokens.next(), tokens.next()) {
        (None, _) => Ok(None),
        (Some((_, serde_json::Value::String(token))), None) => Ok(Some(token)),
        _ => Err(close(code::FORBIDDEN, "Authorization must be one string")),
    }
}
