//! Which MCP servers are called, and how much that may cost.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;

use crate::mcp::{
    guard::{Allowed, Rules, Scheme},
    handshake::Limits,
};

use super::values::duration;

#[derive(Debug, Args)]
pub struct Mcp {
    /// Where MCP servers may be besides at public addresses: a host, a host and its port (mcp:8000) or a network
    /// (10.0.0.0/8); can be given several times
    #[arg(
        long,
        env = "CONNECTORS_MCP_ALLOW",
        value_name = "PLACE",
        value_delimiter = ',',
        value_parser = str::parse::<Allowed>
    )]
    mcp_allow: Vec<Allowed>,

    /// Ports of MCP servers that may be called; can be given several times. By default all
    #[arg(
        long,
        env = "CONNECTORS_MCP_PORTS",
        value_name = "PORT",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    mcp_ports: Vec<u16>,

    /// Schemes of MCP servers' URLs that may be called, such as https,wss; can be given several times. By default all
    #[arg(
        long,
        env = "CONNECTORS_MCP_SCHEMES",
        value_name = "SCHEME",
        value_delimiter = ',',
        value_parser = str::parse::<Scheme>
    )]
    mcp_schemes: Vec<Scheme>,

    /// Longest time to inspect an MCP server, shorter than a request's. By default four fifths of that
    #[arg(
        long,
        env = "CONNECTORS_INSPECTION_TIMEOUT",
        value_name = "TIME",
        value_parser = duration
    )]
    inspection_timeout: Option<Duration>,

    /// MCP servers inspected at once; each may take 40 MiB
    #[arg(
        long,
        env = "CONNECTORS_MAX_INSPECTIONS",
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub max_inspections: u16,

    /// Inspections a minute by one user, who may ask for a minute's worth at once; 0 is no limit
    #[arg(
        long,
        env = "CONNECTORS_INSPECTION_RATE",
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000)
    )]
    pub inspection_rate: u32,
}

impl Mcp {
    pub fn rules(&self) -> Rules {
        Rules {
            allow: self.mcp_allow.clone(),
            ports: self.mcp_ports.clone(),
            schemes: self.mcp_schemes.clone(),
        }
    }

    /// The bounds of an inspection in a request that may take so long, and how long it may wait for its turn: half of what it
    /// leaves of that.
    pub fn limits(&self, request: Duration) -> anyhow::Result<(Limits, Duration)> {
        let time = self.inspection_timeout.unwrap_or(request * 4 / 5);
        let rest = request.saturating_sub(time);
        ensure!(
            !rest.is_zero(),
            "--inspection-timeout: expected a time shorter than --request-timeout"
        );
        Ok((Limits::within(time), rest / 2))
    }
}
