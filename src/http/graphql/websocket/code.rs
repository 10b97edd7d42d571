//! Close codes of RFC 6455, section 7.4.1, and of the protocol.

use crate::http::auth::{Refusal, TokenEnd};

pub(super) const GOING_AWAY: u16 = 1001;
pub(super) const PROTOCOL_ERROR: u16 = 1002;
pub(super) const NOT_UTF8: u16 = 1007;
pub(super) const TOO_BIG: u16 = 1009;
/// Clients such as graphql-ws reconnect after this code, but not after 1008.
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
