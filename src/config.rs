//! The command line and the environment, checked once at the start.
//!
//! Invariant: nothing else reads the environment, and no secret is ever printed.

#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the flags' descriptions are plain text for a terminal"
)]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser};
use entity::ConnectorVisibility;
use url::Url;

use crate::{
    http::{
        auth::{KeySource, Secret, TokenRules},
        cors::Origin,
    },
    store,
};

mod limits;
mod mcp;
mod secret;
mod values;

pub use limits::Limits;
pub use mcp::{Checks, Mcp, Servers};
use values::{address, claim, duration, lifetime, log_filter, migration, principal, visibility};

/// A catalogue of MCP personal connectors behind GraphQL.
///
/// Every flag can be given in the environment too; a flag counts more. Without a command it serves.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the catalogue over HTTP; brings the database's schema up to date first
    Serve(Box<Serve>),
    /// Bring the database's schema up to date, or to a given version
    Migrate(Migrate),
    /// Copy the SQLite database to a new file, while it is served and written
    Backup(Backup),
    /// Say whether the database is sound: exit code 0 if it is, 1 if it is damaged or cannot be checked. Writes nothing
    CheckDatabase(Database),
    /// Load connectors from files: published objects or MCP registry servers
    Import(Import),
    /// Write connectors as published JSON objects, a line each
    Export(Export),
    /// Check connectors' servers once, and write what was found as a table; it is kept
    Check(Check),
    /// Make a bearer token with the secret, and write it to standard output
    Token(Token),
    /// Write the GraphQL schema to standard output
    Schema,
}

#[derive(Debug, Args)]
pub struct Database {
    /// Where the catalogue is kept: sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE. DATABASE_URL counts too
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,

    /// Connections to PostgreSQL, or readers of the SQLite file
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_CONNECTIONS",
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(2..=1000)
    )]
    database_connections: u32,

    /// How long to wait for a connection, or for another process's write
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_WAIT",
        value_name = "TIME",
        default_value = "5s",
        value_parser = duration
    )]
    database_wait: Duration,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port to listen on
    #[arg(
        long,
        env = "CONNECTORS_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        value_parser = address
    )]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub database: Database,

    /// Serve queries only: the catalogue is not changed, migrated or checked. For a standby of PostgreSQL, or a read-only file
    #[arg(long, env = "CONNECTORS_READ_ONLY", value_parser = BoolishValueParser::new())]
    pub read_only: bool,

    /// A catalogue of official and platform-built connectors in the published form, instead of the built-in one
    #[arg(long, env = "CONNECTORS_CATALOG", value_name = "FILE")]
    pub catalog: Option<PathBuf>,

    #[command(flatten)]
    pub tokens: Tokens,

    /// Whether the public part of the catalogue is read without a token
    #[arg(
        long,
        env = "CONNECTORS_ANONYMOUS_READ",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    anonymous_read: bool,

    /// Whether clients may ask for the schema, and errors suggest names from it
    #[arg(
        long,
        env = "CONNECTORS_INTROSPECTION",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub introspection: bool,

    /// Manifest of trusted documents, and no others run: a JSON object of documents by their ids, as GraphQL Code Generator
    /// (persisted-documents.json) and relay-compiler (persistConfig.file) write it
    #[arg(long, env = "CONNECTORS_TRUSTED_DOCUMENTS", value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,

    /// Origin whose pages may ask from a browser, such as https://app.example.com, or * for any; can be given several times.
    /// By default none
    #[arg(
        long,
        env = "CONNECTORS_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = str::parse::<Origin>
    )]
    pub cors_origin: Vec<Origin>,

    /// Address and port for the metrics alone; by default /metrics is where the rest is
    #[arg(long, env = "CONNECTORS_METRICS_LISTEN", value_name = "ADDRESS", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,

    /// Base URL of an OpenTelemetry collector that requests' spans are sent to (OTLP over HTTP), such as
    /// http://127.0.0.1:4318. By default none are
    #[arg(
        long,
        env = "CONNECTORS_OTLP_ENDPOINT",
        value_name = "URL",
        hide_env_values = true
    )]
    otlp_endpoint: Option<String>,

    /// How often the database is asked whether the catalogue has changed
    #[arg(
        long,
        env = "CONNECTORS_STATE_POLL",
        value_name = "TIME",
        default_value = "250ms",
        value_parser = duration
    )]
    pub state_poll: Duration,

    /// How long changes are kept for those who follow them; who pauses for longer starts over
    #[arg(
        long,
        env = "CONNECTORS_EVENT_RETENTION",
        value_name = "TIME",
        default_value = "30d",
        value_parser = duration
    )]
    pub event_retention: Duration,

    /// How long answers under way may take when the service is told to stop
    #[arg(
        long,
        env = "CONNECTORS_SHUTDOWN_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub shutdown_timeout: Duration,

    #[command(flatten)]
    pub mcp: Mcp,

    #[command(flatten)]
    pub limits: Limits,

    #[command(flatten)]
    pub log: Log,
}

#[derive(Debug, Args)]
pub struct Tokens {
    /// Secret of at least 32 bytes that tokens are signed with (HS256). By default one is made and kept beside the SQLite
    /// database
    #[arg(
        long,
        env = "CONNECTORS_JWT_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        conflicts_with = "jwks"
    )]
    jwt_secret: Option<String>,

    /// JWKS file or http(s) URL with the public keys of tokens (RS256, ES256, EdDSA); needs an issuer and an audience
    #[arg(
        long,
        env = "CONNECTORS_JWKS",
        value_name = "FILE|URL",
        hide_env_values = true,
        requires = "jwt_issuer",
        requires = "jwt_audience"
    )]
    jwks: Option<String>,

    /// Issuer (`iss`) that tokens must have
    #[arg(long, env = "CONNECTORS_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: Option<String>,

    /// Audience (`aud`) that tokens must have
    #[arg(long, env = "CONNECTORS_JWT_AUDIENCE", value_name = "AUDIENCE")]
    jwt_audience: Option<String>,

    /// Claim of tokens that has the user's organization
    #[arg(
        long,
        env = "CONNECTORS_JWT_ORGANIZATION_CLAIM",
        value_name = "CLAIM",
        default_value = "org",
        value_parser = claim
    )]
    jwt_organization_claim: String,

    /// Organization of tokens that name none
    #[arg(
        long,
        env = "CONNECTORS_DEFAULT_ORGANIZATION",
        value_name = "ORGANIZATION",
        value_parser = principal
    )]
    default_organization: Option<String>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Args)]
pub struct Log {
    /// What is logged: a level, or levels by module as tracing-subscriber reads them
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

#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub database: Database,

    /// Migration to bring the schema up or down to, the last one by default. Stop the service first. Going down deletes
    /// what later migrations added: below 000004 nothing that was stored; below 000003 all health, tools, check history and the checking lease; below 000002
    /// which events were forgotten and which type a connector had before
    #[arg(
        long,
        env = "CONNECTORS_TO",
        value_name = "VERSION",
        value_parser = migration
    )]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub database: Database,

    /// File to make. One that exists is not overwritten
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub database: Database,

    /// Files of published objects or registry servers: one, an array, a registry page, or a line each; `-` or none is
    /// standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Organization of custom connectors that name none
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Visibility of custom connectors that name none: private, organization or public
    #[arg(
        long,
        env = "CONNECTORS_VISIBILITY",
        value_name = "VISIBILITY",
        default_value = "organization",
        value_parser = visibility
    )]
    pub visibility: ConnectorVisibility,

    /// Check everything and write nothing
    #[arg(long, env = "CONNECTORS_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub database: Database,

    /// Of the custom connectors only those of this organization
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Of the custom connectors only those of these visibilities, given one by one: private, organization, public. By
    /// default all but the private ones
    #[arg(
        long,
        env = "CONNECTORS_VISIBILITY",
        value_name = "VISIBILITY",
        value_delimiter = ',',
        value_parser = visibility
    )]
    pub visibility: Vec<ConnectorVisibility>,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub database: Database,

    /// Ids of the connectors to check; by default all that have a server which can be called
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    #[command(flatten)]
    pub servers: Servers,

    #[command(flatten)]
    pub checks: Checks,
}

#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub database: Database,

    #[command(flatten)]
    pub tokens: Tokens,

    /// Id of the user
    #[arg(long, env = "CONNECTORS_USER", value_name = "USER", value_parser = principal)]
    pub user: String,

    /// Organization of the user
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Scopes, separated by spaces or given one by one: connectors:write, connectors:admin, catalog:admin
    #[arg(long, env = "CONNECTORS_SCOPE", value_name = "SCOPE")]
    pub scope: Vec<String>,

    /// How long the token is good for
    #[arg(
        long,
        env = "CONNECTORS_EXPIRES_IN",
        value_name = "TIME",
        default_value = "1h",
        value_parser = lifetime
    )]
    pub expires_in: Duration,
}

const DEFAULT_DATABASE: &str = "sqlite://data/connectors.db";

impl Database {
    pub fn settings(&self) -> anyhow::Result<store::Settings> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the environment is read"
        )]
        let fallback = || {
            std::env::var("DATABASE_URL")
                .ok()
                .filter(|url| !url.is_empty())
        };
        let url = self.database_url.clone().or_else(fallback);
        let url = url.unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        check_database_url(&url)?;
        Ok(store::Settings {
            url,
            connections: self.database_connections,
            wait: self.database_wait,
            read_timeout: None,
            read_only: false,
        })
    }
}

impl Tokens {
    /// The rules that tokens are read by. Makes and keeps a secret where none is configured and the database is SQLite's.
    pub fn rules(
        &self,
        database: &store::Settings,
        anonymous_read: bool,
    ) -> anyhow::Result<TokenRules> {
        let keys = match (&self.jwt_secret, &self.jwks) {
            (Some(secret), _) => {
                KeySource::Secret(Secret::new(secret.as_bytes()).context("--jwt-secret")?)
            }
            (None, Some(jwks)) => match Url::parse(jwks) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => KeySource::JwksUrl(url),
                _ => KeySource::JwksFile(jwks.into()),
            },
            (None, None) => KeySource::Secret(secret::beside(database)?),
        };
        Ok(TokenRules {
            keys,
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
            organization_claim: self.jwt_organization_claim.clone(),
            default_organization: self.default_organization.clone(),
            anonymous_read,
        })
    }
}

impl Serve {
    /// The command that makes a token for this server, as this program was called; none with a JWKS.
    pub fn token_command(&self) -> Option<String> {
        if self.tokens.jwks.is_some() {
            return None;
        }
        let called = std::env::args().next();
        let program = called.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
        // The secret is found beside the database; a URL of PostgreSQL's may hold a password.
        let database = match &self.database.database_url {
            Some(url) if url.starts_with("sqlite:") => format!(" --database-url {url}"),
            _ => String::new(),
        };
        Some(format!(
            "{program} token{database} --user you --organization yours --scope connectors:write"
        ))
    }

    /// The database, with the end of requests as the end of reads.
    pub fn database(&self) -> anyhow::Result<store::Settings> {
        Ok(store::Settings {
            read_timeout: Some(self.limits.request_timeout),
            read_only: self.read_only,
            ..self.database.settings()?
        })
    }

    /// The base URL of the collector.
    pub fn otlp_endpoint(&self) -> anyhow::Result<Option<Url>> {
        let Some(text) = &self.otlp_endpoint else {
            return Ok(None);
        };
        // Not by the parser of flags either. What authenticates is a header.
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let expected = "--otlp-endpoint: expected an http or https URL without user, query and \
                        fragment, such as http://127.0.0.1:4318";
        url.context(expected).map(Some)
    }

    /// Requests worked on at once: while some of them wait for the database, others are read and written.
    pub fn max_concurrency(&self) -> u32 {
        let connections = self.database.database_connections;
        self.limits.max_concurrency.unwrap_or(4 * connections)
    }

    pub fn token_rules(&self) -> anyhow::Result<TokenRules> {
        self.tokens
            .rules(&self.database.settings()?, self.anonymous_read)
    }
}

/// Not by the parser of flags, which prints what it refuses: a URL may hold a password.
fn check_database_url(url: &str) -> anyhow::Result<()> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        // In memory, writer and readers would each have a database of their own.
        let path = path.trim_start_matches('/');
        ensure!(
            !path.is_empty() && !path.contains(":memory:"),
            "--database-url: expected the path of a file after sqlite://"
        );
        return Ok(());
    }
    ensure!(
        url.starts_with("postgres://") || url.starts_with("postgresql://"),
        "--database-url: expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE"
    );
    // An unescaped character splits the password, and messages would show its rest as host or database.
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (_, behind) = rest.split_once(['/', '?', '#']).unwrap_or_default();
    ensure!(
        !behind.contains('@'),
        "--database-url: an @ follows the first / ? or #. In user and password write these characters as %2F, %3F and %23, \
         and an @ elsewhere as %40"
    );
    Ok(())
}
