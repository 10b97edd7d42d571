//! The ends of a socket: codes and reasons of close frames.

use tokio_tungstenite::tungstenite::{
    self,
    error::{CapacityError, ProtocolError},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::metered::Overrun;

/// What fits into a close frame beside its code (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

/// Close codes: RFC 6455, section 7.4.1, and those of the protocol.
pub(super) mod code {
    use crate::http::auth::{Refusal, TokenEnd};

    pub(in super::super) const GOING_AWAY: u16 = 1001;
    pub(super) const PROTOCOL_ERROR: u16 = 1002;
    pub(super) const NOT_UTF8: u16 = 1007;
    pub(super) const TOO_BIG: u16 = 1009;
    /// Clients such as graphql-ws connect again after this one, and not after 1008.
    pub(in super::super) const TRY_AGAIN_LATER: u16 = 1013;
    pub(in super::super) const BAD_REQUEST: u16 = 4400;
    pub(in super::super) const UNAUTHORIZED: u16 = 4401;
    pub(in super::super) const FORBIDDEN: u16 = 4403;
    pub(in super::super) const SUBPROTOCOL: u16 = 4406;
    pub(in super::super) const INIT_TIMEOUT: u16 = 4408;
    pub(in super::super) const SUBSCRIBER_EXISTS: u16 = 4409;
    pub(in super::super) const TOO_MANY_INITS: u16 = 4429;

    pub(in super::super) const fn of_refusal(refusal: Refusal) -> u16 {
        match refusal {
            Refusal::NoKeys => TRY_AGAIN_LATER,
            _ => FORBIDDEN,
        }
    }

    pub(in super::super) const fn of_token(end: TokenEnd) -> u16 {
        match end {
            TokenEnd::NoKeys => TRY_AGAIN_LATER,
            TokenEnd::Expired | TokenEnd::KeyWithdrawn => FORBIDDEN,
        }
    }
}

/// The end of a connection.
pub(super) enum End {
    /// The service closes it.
    Close(CloseFrame),
    /// What the client sent is no WebSocket, and what follows cannot be read (RFC 6455, section 7.1.7).
    Fail(CloseFrame),
    /// The client has closed it. The answer waits to be sent.
    Closed,
    /// The client is gone.
    Gone,
}

pub(super) fn close(code: u16, reason: &str) -> End {
    End::Close(frame(code, reason))
}

pub(super) fn bad_request(reason: &str) -> End {
    close(code::BAD_REQUEST, reason)
}

fn frame(code: u16, reason: &str) -> CloseFrame {
    let end = reason.floor_char_boundary(REASON_BYTES);
    CloseFrame {
        code: CloseCode::from(code),
        reason: reason[..end].into(),
    }
}

/// What an error of reading means to the client.
pub(super) fn failed(error: &tungstenite::Error) -> End {
    use tungstenite::Error;
    let fail = |code, reason: &str| End::Fail(frame(code, reason));
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(error) => fail(code::PROTOCOL_ERROR, &error.to_string()),
        Error::Utf8(_) => fail(code::NOT_UTF8, "text must be UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            let reason = format!("a message must have at most {max_size} bytes");
            fail(code::TOO_BIG, &reason)
        }
        Error::Io(error) => {
            let overrun = error.get_ref().and_then(|error| error.downcast_ref());
            match overrun {
                Some(overrun @ Overrun::Size(_)) => fail(code::TOO_BIG, &overrun.to_string()),
                Some(overrun @ Overrun::Memory(_)) => {
                    fail(code::TRY_AGAIN_LATER, &overrun.to_string())
                }
                None => End::Gone,
            }
        }
        _ => End::Gone,
    }
}
