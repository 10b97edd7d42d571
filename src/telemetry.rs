//! Logs, to standard error; standard output is for what was asked for.
//!
//! Invariant: neither tokens nor bodies nor variables are ever logged.

use std::{
    io::{self, IsTerminal},
    panic,
};

use crate::config::LogFormat;

pub fn log(filter: &str, format: LogFormat) {
    // In the log's format, and in the span of the request that it happened in.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
