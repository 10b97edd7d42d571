//! The flags of the console.

use clap::{ArgAction, Args};
use url::Url;

use super::{
    sources::heading,
    values::{boolean, issuer, nonempty},
};

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

    /// Issuer that users of the console sign in with (OpenID Connect, code flow with PKCE), such as
    /// https://id.example.com. By default they paste a token
    #[arg(
        long,
        env = "CONNECTORS_CONSOLE_ISSUER",
        value_name = "URL",
        value_parser = issuer,
        requires = "console_client_id"
    )]
    pub(crate) console_issuer: Option<Url>,

    /// Client id of the console at this issuer: a public client, whose redirect URI is the console's address with
    /// signed-in, such as https://connectors.example.com/signed-in
    #[arg(
        long,
        env = "CONNECTORS_CONSOLE_CLIENT_ID",
        value_name = "ID",
        value_parser = nonempty,
        requires = "console_issuer"
    )]
    pub(crate) console_client_id: Option<String>,

    /// Scope that the console requests of this issuer; can be given several times
    #[arg(
        long,
        env = "CONNECTORS_CONSOLE_SCOPE",
        value_name = "SCOPE",
        default_value = "openid,connectors:write",
        value_delimiter = ',',
        value_parser = nonempty
    )]
    pub(crate) console_scope: Vec<String>,

    /// Resource that the console requests a token for (RFC 8707), such as https://connectors.example.com. By default it
    /// names none
    #[arg(
        long,
        env = "CONNECTORS_CONSOLE_RESOURCE",
        value_name = "URI",
        value_parser = nonempty,
        requires = "console_issuer"
    )]
    pub(crate) console_resource: Option<String>,
}
