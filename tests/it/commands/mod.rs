//! The mutations.

mod concurrency;
mod create;
mod idempotency;
mod inspect;
mod policy;
mod status;
mod update;
