//! The commands and their flags.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use entity::{ConnectorCategory, ConnectorVisibility};

use super::{
    database::Database,
    mcp::{Checks, Servers},
    outbound::Outbound,
    serve::Serve,
    tokens::Tokens,
    values::{Scopes, boolean, category, lifetime, migration, principal, scopes, visibility},
};
use crate::domain::{connector::IMPORTED, field::word};

/// A catalogue of MCP personal connectors behind GraphQL.
///
/// Every flag can be given as a variable too, or in a configuration file by its name without the hyphens before it.
/// Flags count more than variables, and variables more than the file. Without a command it serves.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    /// The command to run. Without one, `serve` runs with the settings of this struct.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Configuration file in TOML. Its keys are the names of flags, such as listen = "127.0.0.1:8080"
    #[arg(long, env = "CONNECTORS_CONFIG", value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The settings of `serve` if no command is named.
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

/// A command and its settings.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the catalogue over HTTP; brings the database's schema up to date first
    Serve(Box<Serve>),
    /// Bring the database's schema up to date, or to a given version
    Migrate(Migrate),
    /// Copy the SQLite database to a new file, while it is served and written
    Backup(Backup),
    /// Check whether the database is sound: exit code 0 if it is, 1 if it is damaged or cannot be checked. Writes
    /// nothing
    CheckDatabase(Database),
    /// Load connectors from files: published objects, MCP registry servers, clients' configurations and other
    /// catalogues
    Import(Import),
    /// Write connectors as published JSON objects, a line each
    Export(Export),
    /// Check connectors' servers once, store the results, and write them as a table
    Check(Check),
    /// Make a bearer token with the secret of a service, and write it to standard output
    Token(Box<Token>),
    /// Check the settings of serve, or write them as a configuration file
    Config(Box<Config>),
    /// Write the GraphQL schema to standard output
    Schema,
}

/// The settings of `config`, which checks or writes those of `serve`.
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
    pub(crate) serve: Serve,
}

/// The settings of `migrate`: a database, and the version to bring it to.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Migration to bring the schema up or down to, by its name or its number, such as 000014. By default it is the
    /// last one. Stop the service first. Going down deletes what later migrations added: below 000016 and 000015
    /// nothing that was stored; below 000014 where categories came from, so that those of rules count as files' own;
    /// below 000013 what changes carry of connectors, so that counts and lists of changes know less; below 000012 the
    /// names and pictures of users; below 000011 which fields were curated, so that the next import of a file brings
    /// what it says of them; below 000010 nothing that was stored; below 000009 the values of changes, before and
    /// after; below 000008 nothing that was stored; below 000007 when tools were listed, the extensions that servers
    /// declare and how long they stay as they are; below 000005 the marks of events, so that all who follow changes
    /// start over; below 000004 nothing that was stored; below 000003 all health, tools, check history and the checking
    /// lease; below 000002 which events were forgotten and which type a connector had before
    #[arg(
        long,
        env = "CONNECTORS_TO",
        value_name = "VERSION",
        value_parser = migration
    )]
    pub to: Option<String>,

    /// The database to migrate. A missing SQLite file is made.
    #[command(flatten)]
    pub database: Database,
}

/// The settings of `backup`: a database, and the file to copy it to.
#[derive(Debug, Args)]
pub struct Backup {
    /// File to make. One that exists is not overwritten
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The SQLite database to copy.
    #[command(flatten)]
    pub database: Database,
}

/// The settings of `import`: files, and the organization and visibility of connectors that give none.
#[derive(Debug, Args)]
pub struct Import {
    /// Files of JSON: published objects, servers of an MCP registry, a client's mcpServers, or a catalogue of ToolHive,
    /// Docker or mcpm. One object, an array, a page, or a line each; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Organization of custom connectors that name none, such as a client's servers
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Visibility of new custom connectors that name none: organization or public, or private if they name who created
    /// them
    #[arg(
        long,
        env = "CONNECTORS_VISIBILITY",
        value_name = "VISIBILITY",
        default_value = word(IMPORTED),
        value_parser = visibility
    )]
    pub visibility: ConnectorVisibility,

    /// Category of all connectors that name none, instead of the one by the rules: productivity, development,
    /// communication, design or custom
    #[arg(long, env = "CONNECTORS_CATEGORY", value_name = "CATEGORY", value_parser = category)]
    pub category: Option<ConnectorCategory>,

    /// File of the rules that give connectors a category by their words, if they name none; none for no rules. By
    /// default the compiled-in rules
    #[arg(long, env = "CONNECTORS_CATEGORY_RULES", value_name = "FILE")]
    pub category_rules: Option<PathBuf>,

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

    /// The database to load the files into. A missing SQLite file is made, but not by a dry run.
    #[command(flatten)]
    pub database: Database,
}

/// The settings of `export`: which connectors to write.
#[derive(Debug, Args)]
pub struct Export {
    /// Export only the custom connectors of this organization
    #[arg(long, env = "CONNECTORS_ORGANIZATION", value_name = "ORGANIZATION", value_parser = principal)]
    pub organization: Option<String>,

    /// Export only the custom connectors of these visibilities, given one by one: private, organization, public. All
    /// but the private ones by default
    #[arg(
        long,
        env = "CONNECTORS_VISIBILITY",
        value_name = "VISIBILITY",
        value_delimiter = ',',
        value_parser = visibility
    )]
    pub visibility: Vec<ConnectorVisibility>,

    /// Write the values that administrators set over what files say. By default those of the files are written
    #[arg(
        long,
        env = "CONNECTORS_CURATED",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = ArgAction::Set,
        value_parser = boolean
    )]
    pub curated: bool,

    /// The database to read.
    #[command(flatten)]
    pub database: Database,
}

/// The settings of `check`: connectors, and the bounds of calls to their servers.
#[derive(Debug, Args)]
pub struct Check {
    /// Ids of the connectors to check; by default all that have a server which can be called
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    /// The database of the connectors, in which the results are stored.
    #[command(flatten)]
    pub database: Database,

    #[command(flatten)]
    pub(crate) outbound: Outbound,

    #[command(flatten)]
    pub(crate) servers: Servers,

    /// The limits of the checks, and the number to store.
    #[command(flatten)]
    pub checks: Checks,
}

/// The settings of `token`: the user, scopes and lifetime, and the secret that signs it.
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

    /// Name of the user, for which --jwt-name-claim names the claim
    #[arg(long, env = "CONNECTORS_NAME", value_name = "NAME", requires = "jwt_name_claim", value_parser = principal)]
    pub name: Option<String>,

    /// How long the token is good for
    #[arg(
        long,
        env = "CONNECTORS_EXPIRES_IN",
        value_name = "TIME",
        default_value = "1h",
        value_parser = lifetime
    )]
    pub expires_in: Duration,

    /// The database whose secret signs the token, if no other secret is given.
    #[command(flatten)]
    pub database: Database,

    /// The rules that the token must meet, and the secret.
    #[command(flatten)]
    pub tokens: Tokens,
}
