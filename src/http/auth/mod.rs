//! Authentication of requests by bearer tokens (RFC 6750).

mod claims;
mod errors;
mod jwks;
mod key_set;
mod keys;
mod refusal;
#[cfg(test)]
mod tests;
mod token;
mod token_cache;
mod verify;

pub(crate) use refusal::Refusal;
pub use token::mint;
pub(crate) use token::{TokenEnd, Verified};
pub(crate) use verify::Authenticator;
