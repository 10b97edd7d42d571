//! The mutations.

mod bulk;
mod concurrency;
mod conflicts;
mod create;
mod curation;
mod idempotency;
mod inspect;
mod policy;
mod status;
mod update;
