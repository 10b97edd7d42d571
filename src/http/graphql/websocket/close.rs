//! Close codes and reasons of a socket.

use tokio_tungstenite::tungstenite::{
    self,
    error::{CapacityError, ProtocolError},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{code, metered::Overrun};

/// The most bytes of a reason. A close frame has 125, and its code takes two (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

/// The end of a connection.
pub(super) enum End {
    /// The service closes it.
    Close(CloseFrame),
    /// The client violated the protocol, and the rest cannot be read (RFC 6455, section 7.1.7).
    Fail(CloseFrame),
    /// The client closed it. The reply waits to be sent.
    Closed,
    /// The client has disconnected.
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

/// Returns the end for an error of reading.
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
