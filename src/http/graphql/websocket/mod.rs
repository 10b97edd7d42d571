//! Operations over a WebSocket, by the GraphQL over WebSocket Protocol (`graphql-transport-ws`).
//!
//! Invariant: nothing is executed before the acknowledgement, or after the token ended. A protocol violation ends the
//! connection with the code for it. A client that stalls or stays silent is disconnected after a while. At a stop,
//! operations in progress finish before a socket is closed.

mod client;
mod close;
mod code;
mod message;
mod metered;
mod operations;
mod wire;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Method, Request, StatusCode, Version,
        header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE},
        request::Parts,
    },
    response::Response,
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{
    error::{Error as WebSocketError, ProtocolError},
    handshake::server::create_response_with_body,
};

use crate::{
    error::Code,
    http::{
        admission::open_streams::OpenStream, connections::peer::peer, cors::check_handshake,
        rejection::Rejection, stopping::Phase,
    },
    observability::request_record::RequestRecord,
};

use super::service::Service;
use client::{Client, Session};
use close::{End, bad_request, close};
use message::{Sent, parse, pong};
use operations::{Operations, Received, TURNS};
use wire::{Event, Wire};

const WEBSOCKET: &str = "websocket";
const PROTOCOL: &str = "graphql-transport-ws";

/// The longest time until `connection_init`.
const INIT: Duration = Duration::from_secs(10);
/// The most bytes of a message before the acknowledgement, besides the longest token.
const INIT_BYTES: usize = 8 * 1024;
/// The longest time for the reply to a close frame at a stop.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The interval of pings to a silent client. After three of them it counts as gone.
const PING: Duration = Duration::from_secs(20);

/// Returns whether a request opens a WebSocket: by `Upgrade`, or over HTTP/2 by the extended CONNECT method (RFC 8441,
/// section 4).
pub(super) fn is_upgrade(parts: &Parts) -> bool {
    if parts.version == Version::HTTP_2 {
        return is_extended_connect(parts);
    }
    let upgrade = parts.headers.get(UPGRADE);
    upgrade.is_some_and(|protocol| {
        let protocol = protocol.as_bytes();
        protocol.eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    })
}

fn is_extended_connect(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<Protocol>();
    parts.method == Method::CONNECT
        && protocol.is_some_and(|protocol| protocol.as_str() == WEBSOCKET)
}

/// Answers a handshake, and serves the socket.
pub(super) fn upgrade(
    service: &Arc<Service>,
    record: RequestRecord,
    parts: &mut Parts,
) -> Result<Response, Rejection> {
    let peer = peer(&parts.extensions);
    let asked = service.admission.asked(peer, &parts.headers);
    let checked = check_handshake(&parts.headers, &asked, &service.allowed_origins);
    checked.map_err(|message| Rejection::new(StatusCode::FORBIDDEN, Code::Forbidden, &message))?;
    service.stopping.refuse_streams()?;
    let address = service.admission.address(peer, &parts.headers);
    let open = service.open_streams.open(address)?;
    let (mut response, upgraded) = handshake(parts)?;
    let speaks = asks_for_protocol(&parts.headers);
    if speaks {
        let protocol = HeaderValue::from_static(PROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let session = Session {
        service: service.clone(),
        record,
        headers: parts.headers.clone(),
        peer,
    };
    // The count starts now, so that a stop waits for a socket that is about to open.
    let counted = service.stopping.open_socket();
    // A client that reads nothing does not delay a stop.
    let stopping = service.stopping.clone();
    let cut = async move {
        stopping.reached(Phase::Cutting).await;
        sleep(LAST_WORD).await;
    };
    let serve = async move {
        let _counted = counted;
        // The client may not read the response.
        let Ok(Ok(stream)) = timeout(INIT, upgraded).await else {
            return;
        };
        let service = &session.service;
        let mut wire = Wire::new(
            stream,
            Arc::clone(open.account()),
            INIT_BYTES + service.admission.max_token_bytes(),
            service.max_body_bytes,
            service.request_timeout,
        )
        .await;
        let end = if speaks {
            session.serve(&mut wire, open).await
        } else {
            close(code::SUBPROTOCOL, "Subprotocol not acceptable")
        };
        wire.end(end).await;
    };
    tokio::spawn(async move {
        tokio::select! {
            () = serve => {}
            () = cut => {}
        }
    });
    Ok(response)
}

/// Returns the response to a handshake (RFC 6455, section 4.2.2; RFC 8441, section 5), and the upgraded connection.
fn handshake(parts: &mut Parts) -> Result<(Response, OnUpgrade), Rejection> {
    let refuse = |status, message| Rejection::new(status, Code::BadRequest, message);
    let wrong_version = || {
        let message = "the handshake must be of version 13 of WebSocket";
        refuse(StatusCode::UPGRADE_REQUIRED, message)
            .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
    };
    let response = if is_extended_connect(parts) {
        let version = parts.headers.get(SEC_WEBSOCKET_VERSION);
        if version.is_none_or(|version| version != "13") {
            return Err(wrong_version());
        }
        Response::new(Body::empty())
    } else {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        *request.version_mut() = parts.version;
        request.headers_mut().clone_from(&parts.headers);
        let response = create_response_with_body(&request, Body::empty);
        response.map_err(|error| {
            use ProtocolError::MissingSecWebSocketVersionHeader as WrongVersion;
            if matches!(error, WebSocketError::Protocol(WrongVersion)) {
                return wrong_version();
            }
            let message = "the request is no WebSocket handshake";
            refuse(StatusCode::BAD_REQUEST, message)
        })?
    };
    let upgraded = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        let message = "a WebSocket needs a connection of HTTP/1.1, or a stream of HTTP/2";
        refuse(StatusCode::BAD_REQUEST, message)
    })?;
    Ok((response, upgraded))
}

fn asks_for_protocol(headers: &HeaderMap) -> bool {
    let asked = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    asked
        .flat_map(|list| list.as_bytes().split(|&byte| byte == b','))
        .any(|name| name.trim_ascii() == PROTOCOL.as_bytes())
}

impl Session {
    /// Serves the socket to its end.
    async fn serve(&self, wire: &mut Wire, open: OpenStream) -> End {
        match self.begin(wire, open).await {
            Ok(client) => match self.go_on(wire, &client).await {
                Ok(never) => match never {},
                Err(end) => end,
            },
            Err(end) => end,
        }
    }

    /// Waits until the client is acknowledged.
    async fn begin(&self, wire: &mut Wire, open: OpenStream) -> Result<Client, End> {
        let init = async {
            let open = open;
            let payload = self.init(wire).await?;
            self.acknowledge(payload, open).await
        };
        let client = tokio::select! {
            client = timeout(INIT, init) => client.unwrap_or_else(|_| {
                Err(close(code::INIT_TIMEOUT, "Connection initialisation timeout"))
            })?,
            () = self.service.stopping.reached(Phase::Closing) => return Err(going_away()),
        };
        wire.acknowledge(Arc::clone(client.open.account()));
        wire.answer(r#"{"type":"connection_ack"}"#.to_owned());
        Ok(client)
    }

    /// Serves an acknowledged client.
    async fn go_on(&self, wire: &mut Wire, client: &Client) -> Result<Infallible, End> {
        let stopping = &self.service.stopping;
        let (out, mut said) = mpsc::channel(TURNS);
        let mut operations = Operations::new(self, client, out);
        let mut expiry = pin!(self.service.admission.expiry(&client.verified));
        let mut closing = pin!(stopping.reached(Phase::Closing));
        let mut cutting = pin!(stopping.reached(Phase::Cutting));
        let mut pings = interval(PING);
        let mut heard = Instant::now();
        loop {
            let is_idle = wire.is_idle();
            if is_idle && operations.are_closed() {
                return Err(going_away());
            }
            // A starting operation waits for its reservation. Meanwhile, messages are not read.
            let is_starting = operations.is_starting();
            tokio::select! {
                event = wire.event(!is_starting) => match event? {
                    Event::Text(text) => {
                        heard = Instant::now();
                        match operations.receive(&text)? {
                            Received::Pong(pong) => wire.pong(pong),
                            Received::Refused(refused) => wire.answer(refused),
                            Received::Done => {}
                        }
                        // A client that sends many messages leaves time for others.
                        yield_now().await;
                    }
                    Event::Heard => heard = Instant::now(),
                    Event::Written => {}
                },
                refused = operations.start(), if is_starting => {
                    if let Some(refused) = refused {
                        wire.answer(refused);
                    }
                }
                Some(outgoing) = said.recv(), if is_idle => {
                    if let Some((text, held)) = operations.say(outgoing) {
                        wire.send(text, held);
                    }
                }
                end = &mut expiry => return Err(close(code::of_token(end), &end.to_string())),
                () = &mut closing, if !operations.closing => operations.close(),
                () = &mut cutting => return Err(going_away()),
                _ = pings.tick() => {
                    if heard.elapsed() > 3 * PING {
                        return Err(close(code::TRY_AGAIN_LATER, "the client says nothing"));
                    }
                    wire.ping();
                }
            }
        }
    }

    /// Waits for the payload of `connection_init`.
    async fn init(&self, wire: &mut Wire) -> Result<Option<Box<RawValue>>, End> {
        loop {
            let Event::Text(received) = wire.event(true).await? else {
                continue;
            };
            let Sent {
                r#type, payload, ..
            } = parse(&received)?;
            match &*r#type {
                "connection_init" => return Ok(payload.map(ToOwned::to_owned)),
                "ping" => wire.pong(pong(payload)),
                "pong" | "complete" => {}
                "subscribe" => return Err(close(code::UNAUTHORIZED, "Unauthorized")),
                _ => return Err(bad_request("the message's type is unknown")),
            }
        }
    }

    /// Authenticates the client, by the token of the payload or else of the handshake. Different tokens are an error,
    /// because only one can be meant.
    async fn acknowledge(
        &self,
        payload: Option<Box<RawValue>>,
        open: OpenStream,
    ) -> Result<Client, End> {
        let forbidden = |reason: &str| close(code::FORBIDDEN, reason);
        let mut headers = self.headers.clone();
        if let Some(token) = authorization(payload.as_deref())? {
            let token = HeaderValue::from_str(&token)
                .map_err(|_| forbidden("the token has characters that no token may have"))?;
            if headers
                .get(AUTHORIZATION)
                .is_some_and(|header| *header != token)
            {
                return Err(forbidden(
                    "connection_init's token differs from the handshake's",
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
        // The socket counted for the address, and now counts for the caller.
        drop(open);
        let open = self.service.open_streams.open(caller);
        let open = open.map_err(|full| close(code::TRY_AGAIN_LATER, full.message()))?;
        Ok(Client { verified, open })
    }
}

fn going_away() -> End {
    close(code::GOING_AWAY, "the service stops")
}

/// Returns `Authorization` from a payload, in any case.
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
