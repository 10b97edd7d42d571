//! The service as its users meet it: the real router over a real socket, on real databases.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod completion;
mod harness;
mod schema;
mod smoke;
