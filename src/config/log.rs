//! The flags of the log.

use clap::{Args, ValueEnum};

use super::{sources::heading, values::log_filter};

/// The format of a log line: text for people, or a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(
    missing_docs,
    reason = "clap shows the documentation of a value in the help"
)]
pub enum LogFormat {
    Human,
    Json,
}

/// The flags of the log.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::OBSERVABILITY)]
pub struct Log {
    /// Filter of the log: a level, or levels by module as tracing-subscriber reads them
    #[arg(
        long,
        env = "CONNECTORS_LOG",
        value_name = "FILTER",
        default_value = "info",
        value_parser = log_filter
    )]
    pub log: String,

    /// How a line of the log is written
    #[arg(
        long,
        env = "CONNECTORS_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "human",
        value_enum
    )]
    pub log_format: LogFormat,
}
