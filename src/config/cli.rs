//! The commands and their flags.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use entity::ConnectorVisibility;

use super::{
    database::Database,
    mcp::{Checks, Servers},
    outbound::Outbound,
    serve::Serve,
    tokens::Tokens,
    values::{Scopes, boolean, lifetime, migration, principal, scopes, visibility},
};

/// A catalogue of MCP personal connectors behind GraphQL.
///
/// Every flag can be given as a variable too, or in a configuration file by its name without the hyphens before it. Flags count more
/// than variables, and variables more than the file. Without a command it serves.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Configuration file in TOML. Its keys are the names of flags, such as listen = "127.0.0.1:8080"
    #[arg(long, env = "CONNECTORS_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub serve: Serve,
}

impl Cli {
    /// Checks the settings that depend on each other.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.command {
            None => self.serve.check(),
            Some(Command::Serve(serve)) => serve.check(),
            Some(Command::Config(config)) => config.serve.check(),
            Some(Command::Token(token)) => token.tokens.check(),
            Some(_) => Ok(()),
        }
    }
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
    /// Load connectors from files: published objects, MCP registry servers, clients' configurations and other catalogues
    Import(Import),
    /// Write connectors as published JSON objects, a line each
    Export(Export),
    /// Check connectors' servers once, and write what was found as a table; it is kept
    Check(Check),
    /// Make a bearer token with the secret of a service, and write it to standard output
    Token(Box<Token>),
    /// Check the settings of serve, or write them as a configuration file
    Config(Box<Config>),
    /// Write the GraphQL schema to standard output
    Schema,
}

#[derive(Debug, Args)]
pub struct Config {
    /// Write all settings, each with its source. Secrets are left out
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = ArgAction::Set,
        value_parser = boolean
    )]
    pub print: bool,

    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Debug, Args)]
pub struct Migrate {
    /// Migration to bring the schema up or down to, the last one by default. Stop the service first. Going down deletes
    /// what later migrations added: below 000007 when tools were listed, the extensions that servers declare and how long they stay as they are; below 000005 the marks of events, so that all who follow changes start over; below 000004 nothing that was stored; below 000003 all health, tools, check history and the checking lease; below 000002
    /// which events were forgotten and which type a connector had before
    #[arg(
        long,
        env = "CONNECTORS_TO",
        value_name = "VERSION",
        value_parser = migration
    )]
    pub to: Option<String>,

    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// File to make. One that exists is not overwritten
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Files of JSON: published objects, servers of an MCP registry, a client's mcpServers, or a catalogue of ToolHive, Docker
    /// or mcpm. One object, an array, a page, or a line each; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Organization of custom connectors that name none, such as a client's servers
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Visibility of new custom connectors that name none: organization or public, or private if they name who created them
    #[arg(
        long,
        env = "CONNECTORS_VISIBILITY",
        value_name = "VISIBILITY",
        default_value = "organization",
        value_parser = visibility
    )]
    pub visibility: ConnectorVisibility,

    /// Check everything and write nothing
    #[arg(
        long,
        env = "CONNECTORS_DRY_RUN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = ArgAction::Set,
        value_parser = boolean
    )]
    pub dry_run: bool,

    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Args)]
pub struct Export {
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

    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Ids of the connectors to check; by default all that have a server which can be called
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    #[command(flatten)]
    pub database: Database,

    #[command(flatten)]
    pub outbound: Outbound,

    #[command(flatten)]
    pub servers: Servers,

    #[command(flatten)]
    pub checks: Checks,
}

#[derive(Debug, Args)]
pub struct Token {
    /// Id of the user
    #[arg(long, env = "CONNECTORS_USER", value_name = "USER", value_parser = principal)]
    pub user: String,

    /// Organization of the user
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Scopes, separated by commas or spaces or given one by one: connectors:write, connectors:admin, catalog:admin
    #[arg(long, env = "CONNECTORS_SCOPE", value_name = "SCOPE", value_parser = scopes)]
    pub scope: Vec<Scopes>,

    /// How long the token is good for
    #[arg(
        long,
        env = "CONNECTORS_EXPIRES_IN",
        value_name = "TIME",
        default_value = "1h",
        value_parser = lifetime
    )]
    pub expires_in: Duration,

    #[command(flatten)]
    pub database: Database,

    #[command(flatten)]
    pub tokens: Tokens,
}
