//! The service as its users meet it: the real router over a real socket, on real databases.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]
#![expect(unreachable_pub, reason = "nothing outside reaches a test")]

mod completion;
mod harness;
mod limits;
mod plans;
mod readme;
mod schema;
mod smoke;
