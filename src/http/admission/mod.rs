//! Admission of requests, before anything is done for them.

pub mod concurrency;
pub mod open_streams;
pub mod rate_limit;
