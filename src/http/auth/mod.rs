//! Authentication of requests by bearer tokens (RFC 6750).

mod keys;
mod refusal;
#[cfg(test)]
mod tests;
mod token;
mod token_cache;
mod verify;

pub use keys::{StartError, Unread};
pub use refusal::Refusal;
pub use token::{Verified, mint};
pub use verify::Authenticator;
