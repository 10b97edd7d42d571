//! Logs, metrics and spans.

pub mod metrics;
pub mod request_id;
pub mod request_log;
pub mod span;
pub mod telemetry;
