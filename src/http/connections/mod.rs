//! One connection: its socket, its protocol, and their limits.
//!
//! Invariant: a connection holds a bounded number of bytes, and ends when it makes no progress for a while.

pub(super) mod addresses;
pub(super) mod bounds;
pub mod descriptors;
mod half_closed;
mod head;
mod http2;
pub mod listener;
pub(super) mod peer;
pub(super) mod protocol;
pub mod socket;
mod stream;
