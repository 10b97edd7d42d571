//! The database: its flags and its URL.

#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the flags' descriptions are plain text for a terminal"
)]

use std::time::Duration;

use anyhow::ensure;
use clap::Args;

use crate::store;

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
