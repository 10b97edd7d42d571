//! The command line and the environment, checked once at the start.
//!
//! Invariant: nothing else reads the environment, and no secret is ever printed.

mod cli;
mod database;
mod limits;
mod log;
mod mcp;
mod secret;
mod serve;
mod tokens;
mod values;

pub use cli::{Backup, Check, Cli, Command, Export, Import, Migrate, Token};
pub use database::Database;
pub use limits::Limits;
pub use log::{Log, LogFormat};
pub use mcp::{Checks, Mcp, Servers};
pub use serve::Serve;
pub use tokens::Tokens;
