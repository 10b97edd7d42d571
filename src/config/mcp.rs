//! The flags of calls to MCP servers, and their limits.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::ensure;
use clap::Args;

use crate::domain::inspection::{Schedule, TOOLS};

use super::{
    outbound::servers::{AllowedServer, Scheme, ServerRules, ports},
    sources::heading,
    values::{boolean, duration, lifetime},
};

/// The flags of the servers that may be called.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SERVERS)]
pub struct Servers {
    /// MCP servers that may be called in addition to those at public addresses: a host (mcp or mcp:8000), all hosts
    /// under a name (*.internal) or a network (10.0.0.0/8); can be given several times
    #[arg(
        long,
        env = "CONNECTORS_MCP_ALLOW",
        value_name = "PLACE",
        value_delimiter = ',',
        value_parser = str::parse::<AllowedServer>
    )]
    mcp_allow: Vec<AllowedServer>,

    /// Ports of MCP servers that may be called, one by one or as a range (8000-8999); can be given several times. By
    /// default all
    #[arg(
        long,
        env = "CONNECTORS_MCP_PORTS",
        value_name = "PORT",
        value_delimiter = ',',
        value_parser = ports
    )]
    mcp_ports: Vec<RangeInclusive<u16>>,

    /// Schemes of MCP servers' URLs that may be called, such as https,wss; can be given several times. By default all
    #[arg(
        long,
        env = "CONNECTORS_MCP_SCHEMES",
        value_name = "SCHEME",
        value_delimiter = ',',
        value_parser = str::parse::<Scheme>
    )]
    mcp_schemes: Vec<Scheme>,
}

/// The flags of checks.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::CHECKS)]
pub struct Checks {
    /// Time between two checks of a connector; up to sixteen times as long after failures
    #[arg(
        long,
        env = "CONNECTORS_CHECK_INTERVAL",
        value_name = "TIME",
        default_value = "1h",
        value_parser = lifetime
    )]
    check_interval: Duration,

    /// Longest time to check a connector
    #[arg(
        long,
        env = "CONNECTORS_CHECK_TIMEOUT",
        value_name = "TIME",
        default_value = "8s",
        value_parser = duration
    )]
    check_timeout: Duration,

    /// Connectors checked at once; each may take 32 MiB, and all checks and inspections together take 256 MiB at most
    #[arg(
        long,
        env = "CONNECTORS_MAX_CHECKS",
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    max_checks: u16,

    /// Connectors of one host checked at once
    #[arg(
        long,
        env = "CONNECTORS_MAX_CHECKS_PER_HOST",
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    max_checks_per_host: u16,

    /// Checks to store for each connector
    #[arg(
        long,
        env = "CONNECTORS_CHECK_HISTORY",
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    check_history: u32,
}

/// The flags of inspections, and of checks while the service runs.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SERVERS)]
pub struct Mcp {
    #[command(flatten)]
    pub(crate) servers: Servers,

    /// Longest time to inspect an MCP server, shorter than a request's. By default four fifths of that
    #[arg(
        long,
        env = "CONNECTORS_INSPECTION_TIMEOUT",
        value_name = "TIME",
        value_parser = duration
    )]
    inspection_timeout: Option<Duration>,

    /// MCP servers inspected at once; each may take 32 MiB, and all checks and inspections together take 256 MiB at
    /// most
    #[arg(
        long,
        env = "CONNECTORS_MAX_INSPECTIONS",
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub(crate) max_inspections: u16,

    /// Most inspections a minute by one user, with a burst of a minute's worth; 0 is no limit
    #[arg(
        long,
        env = "CONNECTORS_INSPECTION_RATE",
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000)
    )]
    pub(crate) inspection_rate: u32,

    /// Whether to check connectors periodically, by one process of a database at a time
    #[arg(
        long,
        env = "CONNECTORS_MONITOR",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_parser = boolean,
        help_heading = heading::CHECKS
    )]
    pub(crate) monitor: bool,

    /// The bounds and the schedule of checks.
    #[command(flatten)]
    pub checks: Checks,
}

impl Servers {
    pub(crate) fn rules(&self) -> ServerRules {
        ServerRules {
            allow: self.mcp_allow.clone(),
            ports: self.mcp_ports.clone(),
            schemes: self.mcp_schemes.clone(),
        }
    }
}

impl Checks {
    /// Returns the limits of one check.
    pub(crate) fn limits(&self) -> InspectionLimits {
        InspectionLimits::within(self.check_timeout)
    }

    /// Returns the limits of concurrent checks.
    pub fn bounds(&self) -> CheckBounds {
        CheckBounds {
            at_once: self.max_checks.into(),
            by_host: self.max_checks_per_host.into(),
        }
    }

    /// Returns the times of checks, and the number to store.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.check_interval,
            history: self.check_history,
        }
    }
}

impl Mcp {
    /// Returns the limits of an inspection within a request of this length, and the longest wait for a slot. The wait
    /// is half of the rest of the request's time.
    pub(crate) fn limits(&self, request: Duration) -> anyhow::Result<(InspectionLimits, Duration)> {
        let time = self.inspection_timeout.unwrap_or(request * 4 / 5);
        let rest = request.saturating_sub(time);
        ensure!(
            !rest.is_zero(),
            "--inspection-timeout: expected a time shorter than --request-timeout"
        );
        Ok((InspectionLimits::within(time), rest / 2))
    }
}

/// The limits of one inspection. `bytes` limits the stored part. `message_bytes` and `values` limit a message while it
/// is parsed; then a value takes up to 600 bytes. Compressed bytes count as they are decoded.
#[derive(Clone, Debug)]
pub struct InspectionLimits {
    /// The total time.
    pub time: Duration,
    /// The time for `server/discover`, or for the beginning of a stream, before the next attempt.
    pub beginning: Duration,
    /// The time to end the session, after the rest. A slower server is left alone; the library waits 5 s for it.
    pub close: Duration,
    /// Bytes received in total: bodies, heads, framing and TLS.
    pub bytes: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Requests and connections in total.
    pub requests: usize,
    /// Nesting levels of a message's JSON.
    pub depth: usize,
    /// Values of a message's JSON.
    pub values: usize,
    /// Tools to store. Prompts and resources are counted up to the same number.
    pub items: usize,
    /// Bytes of a tool's input or output schema to store.
    pub schema_bytes: usize,
    /// Characters of a text to store.
    pub characters: usize,
}

impl Default for InspectionLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(8),
            beginning: Duration::from_secs(2),
            close: Duration::from_millis(500),
            bytes: 4 * 1024 * 1024,
            message_bytes: 1024 * 1024,
            requests: 100,
            depth: 64,
            values: 16_000,
            items: TOOLS,
            schema_bytes: 64 * 1024,
            characters: 8000,
        }
    }
}

impl InspectionLimits {
    /// The default limits, with another total time.
    pub fn within(time: Duration) -> Self {
        let limits = Self::default();
        Self {
            time,
            beginning: limits.beginning.min(time / 4),
            close: limits.close.min(time / 8),
            ..limits
        }
    }
}

/// The limits of concurrent checks.
#[derive(Clone, Copy, Debug)]
pub struct CheckBounds {
    /// Checks of all connectors, at least one.
    pub at_once: usize,
    /// Checks of the connectors of one host, at least one.
    pub by_host: usize,
}
