//! Logs, metrics and spans.

pub(crate) mod metrics;
mod operation_names;
pub(crate) mod request_id;
pub(crate) mod request_log;
pub(crate) mod request_record;
mod span;
pub mod telemetry;
