//! The database: its flags and its URL.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{Args, ValueEnum};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use url::form_urlencoded;

use super::{
    database_url::{DatabaseUrlError, PostgresUrl},
    sources::heading,
    values::{duration, whole_user},
};

const DEFAULT_DATABASE: &str = "sqlite://data/connectors.db";

/// The flags of the database.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::DATABASE)]
pub struct Database {
    /// The database of the catalogue: sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE. PostgreSQL may have
    /// several hosts: HOST1:5432,HOST2:5432/DATABASE?target_session_attrs=read-write. DATABASE_URL is not read: it is
    /// often another program's
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_URL",
        value_name = "URL",
        default_value = DEFAULT_DATABASE,
        hide_env_values = true,
        value_parser = database_url
    )]
    pub(super) database_url: String,

    /// Connections to PostgreSQL, or readers of the SQLite file, for requests. One or two more watch the database
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

    /// Whether a pooler such as PgBouncer gives each transaction another PostgreSQL session
    #[arg(
        long,
        env = "CONNECTORS_DATABASE_POOLER",
        value_name = "MODE",
        value_enum,
        default_value_t = Pooler::Auto
    )]
    database_pooler: Pooler,
}

/// How sessions of PostgreSQL are shared with other clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// Detects at the start a pooler that drops or refuses the session's options
    #[default]
    Auto,
    /// Sessions are not shared: a direct connection, or pool_mode = session
    None,
    /// Each transaction may have another session: pool_mode = transaction
    Transaction,
}

impl Database {
    /// Settings to write the database and bring its schema up to date, without a time limit for reads.
    /// [`DatabaseSettings::existing`] and [`DatabaseSettings::reading`] restrict them.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.database_url.clone(),
            connections: self.database_connections,
            wait: self.database_wait,
            pooler: self.database_pooler,
            read_timeout: None,
            read_only: false,
            migrates: true,
        }
    }
}

/// Parses a usable URL. Errors do not quote it, because it may hold a password.
fn database_url(url: &str) -> Result<String, String> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        // In memory, the writer and each reader would have a database of their own.
        let path = path.trim_start_matches('/');
        if path.is_empty() || path.contains(":memory:") || path.contains("mode=memory") {
            return Err("expected the path of a file after sqlite://".to_owned());
        }
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        whole_user(url)?;
    } else {
        return Err("expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE".to_owned());
    }
    let location = DatabaseLocation::of(url).map_err(|error| error.to_string());
    location.map(|_| url.to_owned())
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections to PostgreSQL, or readers of the SQLite file.
    pub connections: u32,
    /// How long to wait for a connection or for another process's write.
    pub wait: Duration,
    /// How sessions of PostgreSQL are shared. SQLite has none.
    pub pooler: Pooler,
    /// The longest time of a read-only statement on PostgreSQL. Writes have no such limit.
    pub read_timeout: Option<Duration>,
    /// Whether the database is only read.
    pub read_only: bool,
    /// Whether a missing SQLite file is created and the schema is brought up to date. Otherwise either is an error.
    pub migrates: bool,
}

impl DatabaseSettings {
    /// Settings for a database whose file and schema must exist.
    #[must_use]
    pub fn existing(self) -> Self {
        Self {
            migrates: false,
            ..self
        }
    }

    /// Settings for a database that is only read, whose file and schema must exist.
    #[must_use]
    pub fn reading(self) -> Self {
        Self {
            read_only: true,
            ..self.existing()
        }
    }

    /// Returns whether the SQLite file is missing and would be created.
    pub fn makes_file(&self) -> Result<bool, DatabaseUrlError> {
        Ok(self.may_make_file() && self.file()?.is_some_and(|file| !file.exists()))
    }

    /// Returns whether a missing SQLite file may be created. `mode=rw` and `mode=ro` in the URL forbid it.
    pub(crate) fn may_make_file(&self) -> bool {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        let needs_file = form_urlencoded::parse(query.as_bytes())
            .any(|(key, mode)| key == "mode" && matches!(&*mode, "rw" | "ro"));
        self.migrates && !needs_file
    }

    /// Returns the file, or the servers and the database's name. Fails if the URL cannot be parsed.
    pub fn location(&self) -> Result<DatabaseLocation, DatabaseUrlError> {
        DatabaseLocation::of(&self.url)
    }

    /// Returns the absolute path of an SQLite database.
    pub fn file(&self) -> Result<Option<PathBuf>, DatabaseUrlError> {
        Ok(match self.location()? {
            DatabaseLocation::File(file) => Some(file),
            DatabaseLocation::Server(_) => None,
        })
    }
}

/// The location of a database: its file, or host, port and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// The absolute path of an SQLite file.
    File(PathBuf),
    /// Hosts, ports and name as `HOST:PORT,HOST:PORT/DATABASE`, without the user and the password.
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
            let file = options.get_filename();
            // The path is absolute, because messages are read in other folders too.
            return Ok(Self::File(
                std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            ));
        }
        Ok(Self::server(&PostgresUrl::parse(url)?.hosts))
    }

    fn server(hosts: &[PgConnectOptions]) -> Self {
        let names: Vec<_> = hosts.iter().map(host_and_port).collect();
        // The server uses the user's name if the URL names no database.
        let database = hosts.first().map_or("", |options| {
            options
                .get_database()
                .unwrap_or_else(|| options.get_username())
        });
        Self::Server(format!("{}/{database}", names.join(",")))
    }
}

/// The URL of an SQLite file.
pub(super) fn sqlite_url(file: &Path) -> String {
    const RESERVED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');
    let path = file.to_string_lossy();
    format!("sqlite://{}", utf8_percent_encode(&path, RESERVED))
}

/// Returns the server's address for messages.
pub(crate) fn host_and_port(options: &PgConnectOptions) -> String {
    let host = options.get_socket().map_or_else(
        || match options.get_host() {
            address if address.contains(':') => format!("[{address}]"),
            host => host.to_owned(),
        },
        |folder| folder.display().to_string(),
    );
    format!("{host}:{}", options.get_port())
}

pub(crate) const PERMISSION_ADVICE: &str =
    "Run as a user who may read and write the file and its folder, or change their owner or mode";

/// Returns advice for an error of the system on the database's file or one beside it.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each character of a password is used as it is, or refused with its escaped form.
    #[test]
    fn special_characters_of_passwords() {
        let of = |password: &str| database_url(&format!("postgres://ann:{password}@host/db"));
        for c in (' '..='~').chain(['é']) {
            match of(&format!("p{c}q")) {
                Ok(url) => {
                    let location = DatabaseLocation::of(&url).unwrap().to_string();
                    assert_eq!(location, "host:5432/db", "{c}");
                }
                Err(error) => {
                    assert!(
                        error.contains("%23") && !error.contains(&format!("{c}q")),
                        "{c}: {error}"
                    );
                    assert!("/?#".contains(c), "{c}");
                    of(&format!("p%{:02X}q", u32::from(c))).unwrap();
                }
            }
        }
        let error = of("p%ffq").unwrap_err();
        assert!(!error.contains("%ffq"), "{error}");
    }
}
