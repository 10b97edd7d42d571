//! The flags of a server.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use url::Url;

use super::{
    console::Console,
    database::{Database, DatabaseSettings},
    limits::Limits,
    listen::ListenAddress,
    log::Log,
    mcp::Mcp,
    origin::{AllowedOrigin, CorsHeader, header_name},
    outbound::Outbound,
    sources::{Given, heading},
    tokens::{TokenRules, Tokens},
    values::{base_url, boolean, delay, duration, mode},
};

/// The settings of `serve`, which are also those of a call without a command.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SERVICE)]
pub struct Serve {
    /// Address and port to listen on, or a Unix socket such as unix:/run/connectors.sock; can be given several times. A
    /// name such as localhost:8080 is all its addresses; :8080 and [::]:8080 are all addresses of IPv6 and IPv4
    #[arg(
        long,
        env = "CONNECTORS_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        value_delimiter = ',',
        value_parser = str::parse::<ListenAddress>
    )]
    pub listen: Vec<ListenAddress>,

    /// Permissions of the files of Unix sockets, in octal. By default the owner and the group may connect
    #[arg(
        long,
        env = "CONNECTORS_LISTEN_MODE",
        value_name = "MODE",
        default_value = "660",
        value_parser = mode
    )]
    pub listen_mode: u32,

    /// Serve queries only: the catalogue is not changed, migrated or checked. For a standby of PostgreSQL, or a
    /// read-only file
    #[arg(
        long,
        env = "CONNECTORS_READ_ONLY",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = ArgAction::Set,
        value_parser = boolean
    )]
    pub(crate) read_only: bool,

    /// A catalogue of official and platform-built connectors in the published form, instead of the built-in one
    #[arg(long, env = "CONNECTORS_CATALOG", value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,

    /// Whether callers without a token may read the public part of the catalogue
    #[arg(
        long,
        env = "CONNECTORS_ANONYMOUS_READ",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        value_parser = boolean,
        help_heading = heading::TOKENS
    )]
    anonymous_read: bool,

    /// Whether to allow introspection, and name suggestions in errors
    #[arg(
        long,
        env = "CONNECTORS_INTROSPECTION",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        value_parser = boolean,
        help_heading = heading::OPERATIONS
    )]
    pub(crate) introspection: bool,

    /// Whether GET /schema.graphql gives the schema, to generate clients from. By default as --introspection
    #[arg(
        long,
        env = "CONNECTORS_SCHEMA_FILE",
        value_name = "BOOL",
        action = ArgAction::Set,
        value_parser = boolean,
        help_heading = heading::OPERATIONS
    )]
    pub(crate) schema_file: Option<bool>,

    /// Manifest of trusted documents, and no others run: a JSON object of documents by their ids, as GraphQL Code
    /// Generator (persisted-documents.json) and relay-compiler (persistConfig.file) write it
    #[arg(
        long,
        env = "CONNECTORS_TRUSTED_DOCUMENTS",
        value_name = "FILE",
        help_heading = heading::OPERATIONS
    )]
    pub(crate) trusted_documents: Option<PathBuf>,

    /// Origin whose pages may send requests from a browser, such as https://app.example.com, or * for any; can be given
    /// several times. None by default
    #[arg(
        long,
        env = "CONNECTORS_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = str::parse::<AllowedOrigin>,
        help_heading = heading::BROWSERS
    )]
    pub(crate) cors_origin: Vec<AllowedOrigin>,

    /// Header that pages of these origins may send, besides those that the service and the usual clients have; * for
    /// any; can be given several times
    #[arg(
        long,
        env = "CONNECTORS_CORS_HEADER",
        value_name = "HEADER",
        value_delimiter = ',',
        value_parser = header_name,
        help_heading = heading::BROWSERS
    )]
    pub(crate) cors_header: Vec<CorsHeader>,

    /// Address and port, or Unix socket, for the metrics alone, in the forms of --listen; by default /metrics is on the
    /// main address
    #[arg(
        long,
        env = "CONNECTORS_METRICS_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        value_parser = str::parse::<ListenAddress>,
        help_heading = heading::OBSERVABILITY
    )]
    pub metrics_listen: Vec<ListenAddress>,

    /// Base URL of an OpenTelemetry collector that requests' spans are sent to (OTLP over HTTP), such as
    /// http://127.0.0.1:4318. By default none are
    #[arg(
        long,
        env = "CONNECTORS_OTLP_ENDPOINT",
        value_name = "URL",
        hide_env_values = true,
        value_parser = base_url,
        help_heading = heading::OBSERVABILITY
    )]
    pub(crate) otlp_endpoint: Option<Url>,

    /// Interval at which the database is polled for changes of the catalogue
    #[arg(
        long,
        env = "CONNECTORS_STATE_POLL",
        value_name = "TIME",
        default_value = "250ms",
        value_parser = duration,
        help_heading = heading::CHANGES
    )]
    pub state_poll: Duration,

    /// How long changes are stored for clients that follow them; a client that pauses longer starts over
    #[arg(
        long,
        env = "CONNECTORS_EVENT_RETENTION",
        value_name = "TIME",
        default_value = "30d",
        value_parser = duration,
        help_heading = heading::CHANGES
    )]
    pub(crate) event_retention: Duration,

    /// How long the service continues after SIGTERM, no longer ready, so that load balancers stop sending requests;
    /// always 0s after SIGINT
    #[arg(
        long,
        env = "CONNECTORS_DRAIN_DELAY",
        value_name = "TIME",
        default_value = "5s",
        value_parser = delay
    )]
    pub drain_delay: Duration,

    /// Longest time to finish all work when the service stops, after the drain delay
    #[arg(
        long,
        env = "CONNECTORS_SHUTDOWN_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub shutdown_timeout: Duration,

    // A heading applies to all flags after it, so flags with other headings come last.
    #[command(flatten)]
    pub(crate) database: Database,

    #[command(flatten)]
    pub(crate) tokens: Tokens,

    #[command(flatten)]
    pub(crate) console: Console,

    /// The certificate authorities and the proxy of connections to others.
    #[command(flatten)]
    pub outbound: Outbound,

    /// Inspections and checks of MCP servers.
    #[command(flatten)]
    pub mcp: Mcp,

    /// The limits of callers, requests, operations and memory.
    #[command(flatten)]
    pub limits: Limits,

    /// The filter and the format of the log.
    #[command(flatten)]
    pub log: Log,
}

impl Serve {
    /// Returns a command that makes a token for this server from any folder; none with a JWKS.
    pub fn token_hint(&self, given: &Given) -> anyhow::Result<Option<String>> {
        self.tokens.hint(&self.database.settings(), given)
    }

    /// Returns whether the console is served.
    pub fn has_console(&self) -> bool {
        self.console.console
    }

    /// Returns the database's settings. The request timeout limits its reads.
    pub fn database(&self) -> DatabaseSettings {
        DatabaseSettings {
            read_timeout: Some(self.limits.request_timeout),
            read_only: self.read_only,
            migrates: !self.read_only,
            ..self.database.settings()
        }
    }

    /// Checks the settings that depend on each other.
    pub(super) fn check(&self) -> Result<(), String> {
        self.tokens.check()?;
        let limits = self.mcp.limits(self.limits.request_timeout);
        limits.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Returns the limit of concurrent requests. It exceeds the connections, because some requests are read or written
    /// while others use the database.
    pub(crate) fn max_concurrency(&self) -> u32 {
        let connections = self.database.database_connections;
        self.limits.max_concurrency.unwrap_or(4 * connections)
    }

    /// Returns the limit of concurrent expensive queries. The other half of the connections serves other requests.
    pub(crate) fn expensive_queries(&self) -> u32 {
        (self.database.database_connections / 2).max(1)
    }

    /// Returns the file descriptors to reserve besides client connections. A reader of SQLite needs at most four; an
    /// inspection, check or name lookup needs some sockets.
    pub fn reserved_descriptors(&self) -> usize {
        const OTHERS: usize = 300;
        const EACH: usize = 4;
        let database = self.database.database_connections as usize + 4;
        let servers = usize::from(self.mcp.max_inspections) + self.mcp.checks.bounds().at_once;
        OTHERS + EACH * (database + servers)
    }

    /// Returns the rules that verify tokens. Without a configured key, it reads or creates the secret beside the SQLite
    /// file; it fails if that is impossible, or on PostgreSQL.
    pub fn token_rules(&self) -> anyhow::Result<TokenRules> {
        self.tokens.rules(&self.database(), self.anonymous_read)
    }
}
