//! The flags of the console.

use clap::{ArgAction, Args};

use super::{sources::heading, values::boolean};

/// The flags of the console.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = heading::BROWSERS)]
pub(crate) struct Console {
    /// Whether the console is served at /
    #[arg(
        long,
        env = "CONNECTORS_CONSOLE",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        value_parser = boolean
    )]
    pub(crate) console: bool,

    /// Whether the console loads icons of connectors from other hosts, which then see its users' addresses. By default
    /// it shows initials
    #[arg(
        long,
        env = "CONNECTORS_CONSOLE_ICONS",
        value_name = "BOOL",
        default_value_t = false,
        action = ArgAction::Set,
        value_parser = boolean
    )]
    pub(crate) console_icons: bool,
}
