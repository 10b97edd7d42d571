//! The database: its flags and its URL.

use std::{error::Error as StdError, fmt, io, iter, path::PathBuf, str::FromStr, time::Duration};

use anyhow::ensure;
use clap::Args;
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use super::values::duration;

const DEFAULT_DATABASE: &str = "sqlite://data/connectors.db";

#[derive(Debug, Args)]
pub struct Database {
    /// Where the catalogue is kept: sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE. DATABASE_URL counts too
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(super) database_url: Option<String>,

    /// Connections to PostgreSQL, or readers of the SQLite file
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_CONNECTIONS",
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(2..=1000)
    )]
    pub(super) database_connections: u32,

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

impl Database {
    pub fn settings(&self) -> anyhow::Result<DatabaseSettings> {
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
        Ok(DatabaseSettings {
            url,
            connections: self.database_connections,
            wait: self.database_wait,
            read_timeout: None,
            read_only: false,
        })
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

#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections to PostgreSQL, or readers of the SQLite file.
    pub connections: u32,
    /// How long to wait for a connection or for another process's write.
    pub wait: Duration,
    /// The longest that a statement which only reads may run on PostgreSQL; a write's may run as long as it needs.
    pub read_timeout: Option<Duration>,
    /// The database is read and never written, or migrated.
    pub read_only: bool,
}

impl DatabaseSettings {
    pub fn location(&self) -> Result<DatabaseLocation, DatabaseUrlError> {
        DatabaseLocation::of(&self.url)
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> Result<Option<PathBuf>, DatabaseUrlError> {
        Ok(match self.location()? {
            DatabaseLocation::File(file) => Some(file),
            DatabaseLocation::Server(_) => None,
        })
    }
}

/// The database's URL cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("--database-url: {0}. Expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
pub struct DatabaseUrlError(String);

impl DatabaseUrlError {
    fn new(error: &sqlx::Error) -> Self {
        let first: &(dyn StdError + 'static) = error;
        let causes = iter::successors(Some(first), |&error| error.source());
        // The words before the last cause are sqlx's.
        Self(causes.last().map(ToString::to_string).unwrap_or_default())
    }
}

/// The location of a database: its file, or host, port and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    File(PathBuf),
    Server(String),
}

impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Server(server) => f.write_str(server),
        }
    }
}

impl DatabaseLocation {
    fn of(url: &str) -> Result<Self, DatabaseUrlError> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url);
            let options = options.map_err(|error| DatabaseUrlError::new(&error))?;
            return Ok(Self::File(options.get_filename().to_owned()));
        }
        let options = PgConnectOptions::from_str(url);
        Ok(Self::server(
            &options.map_err(|error| DatabaseUrlError::new(&error))?,
        ))
    }

    pub(crate) fn server(options: &PgConnectOptions) -> Self {
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |folder| folder.display().to_string(),
        );
        // A server takes the user's name where there is no other.
        let database = options.get_database();
        let database = database.unwrap_or_else(|| options.get_username());
        Self::Server(format!("{host}:{}/{database}", options.get_port()))
    }
}

pub(crate) const PERMISSION_ADVICE: &str =
    "Run as a user who may read and write the file and its folder, or change their owner or mode";

/// Advice for when the system refuses to read or write the database's file, or one beside it.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::IsADirectory => {
            "Add the name of a file to --database-url, such as FOLDER/connectors.db"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "Mount the file system for writing, or choose another path with --database-url"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free space on the disk",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "Choose another path with --database-url: a part of it is a file and no folder"
        }
        io::ErrorKind::NotFound => "Correct the path in --database-url",
        _ => PERMISSION_ADVICE,
    }
}
