//! The command line, the environment and the configuration file, validated once at start.
//!
//! Invariant: no other module reads the environment, and no secret is ever printed. The module depends only on the
//! domain.

#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the flags' descriptions are plain text for a terminal"
)]

mod cli;
mod console;
mod database;
mod database_url;
mod file;
mod limits;
mod listen;
mod log;
mod mcp;
mod origin;
mod outbound;
mod secret;
mod serve;
mod sources;
mod tokens;
mod values;

pub use cli::{Backup, Check, Cli, Command, Config, Export, Import, Migrate, Token};
pub(crate) use console::Console;
pub use database::{Database, DatabaseLocation, DatabaseSettings, Pooler};
pub(crate) use database::{PERMISSION_ADVICE, advice, host_and_port};
pub(crate) use database_url::{DatabaseUrlError, PostgresUrl, TargetSessionAttrs};
pub(crate) use file::read_text;
pub use limits::{Limits, OperationLimits, ProxyHeader, STRING_BYTES};
pub use listen::{ListenAddress, ListenHost};
pub use log::{Log, LogFormat};
pub use mcp::{CheckBounds, Checks, InspectionLimits, Mcp, Servers};
pub(crate) use origin::{AllowedOrigin, CorsHeader, Origin};
pub(crate) use outbound::servers::{AllowedHost, without_final_dot};
pub use outbound::{OutboundRules, servers::ServerRules};
pub(crate) use outbound::{ProxyUrl, servers::Scheme};
pub use secret::Secret;
pub use serve::Serve;
pub use sources::{Call, Given, Settings, WrongSetting, command, read};
pub use tokens::{KeySource, MOST_TOKEN_BYTES, TokenRules, Tokens};
pub use values::{Scopes, shell_word};
