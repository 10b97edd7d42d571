//! The limits of one caller, one request and one operation.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use super::{
    sources::heading,
    values::{duration, network},
};

const TOKENS: u64 = 10_000;
/// GraphiQL and code generators need 15 levels of the introspection schema.
const DEPTH: u64 = 20;
const FIELDS: u64 = 5_000;
const COMPLEXITY: u64 = 20_000;
/// Metadata of 16 KiB has at most 8,193 values, and the largest filter about 10,300.
const VALUES: u64 = 12_000;
const ALIASES: u64 = 100;
const DIRECTIVES: u64 = 100;

/// Bytes of a string that count as one more value. A string is copied at each use, so its length matters.
pub const STRING_BYTES: u64 = 256;

/// The flags of the limits: of callers, of requests, of operations, and of memory.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = heading::REQUESTS)]
pub struct Limits {
    /// Custom connectors that one user may have
    #[arg(
        long,
        env = "CONNECTORS_MAX_PER_USER",
        value_name = "N",
        default_value_t = 100
    )]
    pub(crate) max_per_user: u64,

    /// Largest body of a request, in bytes
    #[arg(
        long,
        env = "CONNECTORS_MAX_BODY_BYTES",
        value_name = "BYTES",
        default_value_t = 1024 * 1024,
        value_parser = clap::value_parser!(u64).range(1024..=1024 * 1024 * 1024)
    )]
    pub(crate) max_body_bytes: u64,

    /// Memory for request bodies in progress, in MiB, of which one address may use half; never less than two of the
    /// largest bodies
    #[arg(
        long,
        env = "CONNECTORS_BODY_MEMORY_MB",
        value_name = "MIB",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=2048),
        help_heading = heading::MEMORY
    )]
    pub(crate) body_memory_mb: u32,

    /// Connections at once. By default 10000, or as many as the process may open files for
    #[arg(
        long,
        env = "CONNECTORS_MAX_CONNECTIONS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(2..=1_000_000)
    )]
    pub max_connections: Option<u32>,

    /// Most connections at once of one address, beyond which only probes are answered; 0 is no limit. By default half
    /// of --max-connections
    #[arg(
        long,
        env = "CONNECTORS_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "N",
        value_parser = clap::value_parser!(u32)
    )]
    pub(crate) max_connections_per_address: Option<u32>,

    /// Longest time to receive and answer a request
    #[arg(
        long,
        env = "CONNECTORS_REQUEST_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub(crate) request_timeout: Duration,

    /// Most concurrent requests; four times as many may wait a second. By default 4 for each connection to the database
    #[arg(
        long,
        env = "CONNECTORS_MAX_CONCURRENCY",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub(crate) max_concurrency: Option<u32>,

    /// Most requests a second by one caller, with a burst of two seconds' worth; 0 is no limit
    #[arg(
        long,
        env = "CONNECTORS_RATE_LIMIT",
        value_name = "N",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000)
    )]
    pub(crate) rate_limit: u32,

    /// Addresses of trusted proxies, such as 10.0.0.0/8; can be given several times. They say which address a request
    /// came from, and their connections are not bounded by their address
    #[arg(
        long,
        env = "CONNECTORS_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub trusted_proxy: Vec<IpNet>,

    /// The header in which trusted proxies write the address of a client. No other is read: proxies pass it on as the
    /// client sent it
    #[arg(
        long,
        env = "CONNECTORS_PROXY_HEADER",
        value_name = "HEADER",
        value_enum,
        ignore_case = true,
        default_value_t
    )]
    pub(crate) proxy_header: ProxyHeader,

    /// Most tokens of a document, and of all its operations with fragments expanded
    #[arg(
        long,
        env = "CONNECTORS_MAX_TOKENS",
        value_name = "N",
        default_value_t = TOKENS,
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_tokens: u64,

    /// Most levels of selections in an operation
    #[arg(
        long,
        env = "CONNECTORS_MAX_DEPTH",
        value_name = "N",
        default_value_t = DEPTH,
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_depth: u64,

    /// Most fields of an operation, with fragments expanded
    #[arg(
        long,
        env = "CONNECTORS_MAX_FIELDS",
        value_name = "N",
        default_value_t = FIELDS,
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_fields: u64,

    /// Most points of an operation. A field costs one, and more if its value may be long. Fields of a list cost once
    /// for each item that it may have. A search, a count of a list and a page of changes cost 200 each
    #[arg(
        long,
        env = "CONNECTORS_MAX_COMPLEXITY",
        value_name = "N",
        default_value_t = COMPLEXITY,
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_complexity: u64,

    /// Most values of the variables, and of an operation's arguments with variables and fragments expanded. Keys count
    /// too, and each 256 bytes of a string count as one more
    #[arg(
        long,
        env = "CONNECTORS_MAX_VALUES",
        value_name = "N",
        default_value_t = VALUES,
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_values: u64,

    /// Most aliases in an operation
    #[arg(
        long,
        env = "CONNECTORS_MAX_ALIASES",
        value_name = "N",
        default_value_t = ALIASES,
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_aliases: u64,

    /// Most directives in an operation
    #[arg(
        long,
        env = "CONNECTORS_MAX_DIRECTIVES",
        value_name = "N",
        default_value_t = DIRECTIVES,
        help_heading = heading::OPERATIONS
    )]
    pub(crate) max_directives: u64,

    /// Most open WebSockets and event streams of one caller; 0 is no limit
    #[arg(
        long,
        env = "CONNECTORS_MAX_SOCKETS",
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32)
    )]
    pub(crate) max_sockets: u32,

    /// Most concurrent operations on one WebSocket
    #[arg(
        long,
        env = "CONNECTORS_MAX_SOCKET_OPERATIONS",
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) max_socket_operations: u32,

    /// Most bytes of a response: of the rows that are read for it, of its values, and of its text
    #[arg(
        long,
        env = "CONNECTORS_MAX_ANSWER_BYTES",
        value_name = "BYTES",
        default_value_t = 8 * 1024 * 1024,
        value_parser = clap::value_parser!(u64).range(64 * 1024..=1024 * 1024 * 1024),
        help_heading = heading::MEMORY
    )]
    pub(crate) max_answer_bytes: u64,

    /// Memory for all responses in progress, in MiB, besides the cache; at least four of the largest responses
    #[arg(
        long,
        env = "CONNECTORS_ANSWER_MEMORY_MB",
        value_name = "MIB",
        default_value_t = 128,
        value_parser = clap::value_parser!(u64).range(16..=1_000_000),
        help_heading = heading::MEMORY
    )]
    pub(crate) answer_memory_mb: u64,

    /// Memory for operations and unfinished messages of all WebSockets, in MiB; an operation counts 4 KiB, and 64 bytes
    /// for each byte of its document and variables
    #[arg(
        long,
        env = "CONNECTORS_SOCKET_MEMORY_MB",
        value_name = "MIB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(32..=1_000_000),
        help_heading = heading::MEMORY
    )]
    pub(crate) socket_memory_mb: u32,

    /// Memory for cached documents, in MiB; 0 disables the cache
    #[arg(
        long,
        env = "CONNECTORS_DOCUMENT_CACHE_MB",
        value_name = "MIB",
        default_value_t = 16,
        value_parser = clap::value_parser!(u64).range(0..=1_000_000),
        help_heading = heading::MEMORY
    )]
    pub(crate) document_cache_mb: u64,

    /// Memory for cached responses, in MiB; 0 disables the cache. A response is reused for the same viewer and request
    /// while the catalogue does not change
    #[arg(
        long,
        env = "CONNECTORS_ANSWER_CACHE_MB",
        value_name = "MIB",
        default_value_t = 32,
        value_parser = clap::value_parser!(u64).range(0..=1_000_000),
        help_heading = heading::MEMORY
    )]
    pub(crate) answer_cache_mb: u64,
}

/// The header with the client's address. Each proxy on the way appends the address of its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeader {
    /// X-Forwarded-For, as most proxies write it
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

impl Limits {
    /// Returns the bytes for request bodies in progress. Half of them hold at least one of the largest bodies.
    pub(crate) fn body_memory(&self) -> usize {
        let bytes = (2 * self.max_body_bytes).max(u64::from(self.body_memory_mb) << 20);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Returns the limit for one address, given the limit for all.
    pub fn connections_of_address(&self, connections: usize) -> usize {
        match self.max_connections_per_address {
            None => (connections / 2).max(1),
            Some(0) => usize::MAX,
            Some(most) => most as usize,
        }
    }
}

/// The limits of one GraphQL operation. Each is a setting.
#[derive(Clone, Copy, Debug)]
pub struct OperationLimits {
    /// Tokens of the document, and of all operations with fragments expanded.
    pub max_tokens: u64,
    /// Nested selections, with fragments expanded.
    pub max_depth: u64,
    /// Fields, with each fragment expanded at every spread.
    pub max_fields: u64,
    /// Points of a field: one, and more if its value may be long. Selections of a list count once for each item that it
    /// may have. Searches and counts of lists add what they visit.
    pub max_complexity: u64,
    /// Values of the variables before they are parsed, and of the arguments with variables expanded.
    pub(crate) max_values: u64,
    /// Aliases, with each fragment expanded at every spread.
    pub max_aliases: u64,
    /// Directives, with each fragment expanded at every spread.
    pub max_directives: u64,
    /// Whether introspection is allowed.
    pub(crate) introspection: bool,
}

impl Default for OperationLimits {
    fn default() -> Self {
        Self {
            max_tokens: TOKENS,
            max_depth: DEPTH,
            max_fields: FIELDS,
            max_complexity: COMPLEXITY,
            max_values: VALUES,
            max_aliases: ALIASES,
            max_directives: DIRECTIVES,
            introspection: true,
        }
    }
}
