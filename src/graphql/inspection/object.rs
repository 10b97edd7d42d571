//! The schema's types of an inspection.

use async_graphql::{Enum, Object, SimpleObject};

use crate::{
    commands,
    domain::inspection,
    error::Result,
    graphql::{
        list::List,
        scalars::{DateTime, Json, Url},
        text::Text,
    },
};

use super::tools::McpToolConnection;

/// The outcome of an inspection of an MCP server. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::Outcome")]
pub(in crate::graphql) enum InspectionOutcome {
    /// It speaks MCP, to anybody.
    Open,
    /// It is there, and wants a sign-in first.
    AuthRequired,
    /// It speaks MCP, but by another transport than its server type says.
    WrongTransport,
    /// Something answers that does not speak MCP.
    NotMcp,
    /// Nothing answers, or what answers says that it cannot serve.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// The service does not call such addresses: they are not public, or its operator does not let it.
    Blocked,
    /// There is nothing to call: a STDIO server is run where it is used, and never by the service.
    NotCheckable,
}

/// How an MCP server is spoken to. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "entity::Transport")]
pub(in crate::graphql) enum McpTransport {
    /// Streamable HTTP, of MCP 2025-03-26 and later.
    StreamableHttp,
    /// HTTP with server-sent events, of MCP 2024-11-05.
    Sse,
    /// A WebSocket, which MCP does not define.
    #[graphql(name = "WEBSOCKET")]
    WebSocket,
}

pub(in crate::graphql) struct Inspection(inspection::Inspection);

/// The result of inspecting an MCP server. The server's own texts are cut to bounds and are not verified.
#[Object]
impl Inspection {
    /// The outcome, for programs.
    async fn outcome(&self) -> InspectionOutcome {
        self.0.outcome.into()
    }

    /// The outcome in words, for people.
    async fn message(&self) -> Text<'_> {
        Text::new(&self.0.message)
    }

    /// When it was made.
    async fn checked_at(&self) -> DateTime {
        DateTime(self.0.checked_at)
    }

    /// Milliseconds until the server had said what it is; null where it did not.
    async fn latency_ms(&self) -> Option<u64> {
        self.0.latency_ms
    }

    /// How the server was spoken to; null where it was not.
    async fn transport(&self) -> Option<McpTransport> {
        self.0.transport.map(Into::into)
    }

    /// Whether MCP has deprecated the transport, as it has HTTP+SSE (MCP 2026-07-28, Deprecated Features).
    async fn is_transport_deprecated(&self) -> bool {
        self.0.transport.is_some_and(inspection::is_deprecated)
    }

    /// The revision of MCP that is spoken, such as `2025-11-25`.
    async fn protocol_version(&self) -> Option<Text<'_>> {
        self.0.protocol_version.as_deref().map(Text::new)
    }

    /// The server's name, version and description, as it gives them.
    async fn server_info(&self) -> Option<McpServerInfo<'_>> {
        self.0.server_info.as_ref().map(McpServerInfo)
    }

    /// How to use the server, as it tells models.
    async fn instructions(&self) -> Option<Text<'_>> {
        self.0.instructions.as_deref().map(Text::new)
    }

    /// The names of what the server declares, such as `tools` and `resources`.
    async fn capabilities(&self) -> List<Text<'_>> {
        Text::list(&self.0.capabilities)
    }

    /// Settings of the extensions that the server declares, by the extensions' names (MCP 2026-07-28, `extensions`): an object. Null
    /// if it declares none, or more than 16 KiB.
    async fn extensions(&self) -> Option<Text<'_, Json>> {
        self.0.extensions.as_deref().map(Text::new)
    }

    /// How many tools the server lists that are not in `tools`, because they have no name, or one that was listed before.
    async fn tools_left_out(&self) -> usize {
        self.0.tools_left_out
    }

    /// The tools that the server offers, up to 1,000, as it lists them.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn tools(
        &self,
        #[graphql(desc = "How many to give at most, from 0 to 1000. The default is all.")]
        first: Option<i32>,
        #[graphql(desc = "Give tools after this cursor.")] after: Option<String>,
    ) -> Result<McpToolConnection> {
        McpToolConnection::part(&self.0.tools, first, after.as_deref())
    }

    /// How many resources the server offers, counted up to 1,000; null where it offers none at all.
    async fn resource_count(&self) -> Option<usize> {
        self.0.resource_count
    }

    /// How many prompts the server offers, counted up to 1,000; null where it offers none at all.
    async fn prompt_count(&self) -> Option<usize> {
        self.0.prompt_count
    }

    /// Issuers of the tokens that the server takes, where it asks for a sign-in and names them (RFC 9728).
    async fn authorization_servers(&self) -> List<Text<'_, Url>> {
        Text::list(&self.0.authorization_servers)
    }
}

pub(in crate::graphql) struct McpServerInfo<'a>(pub(in crate::graphql) &'a inspection::ServerInfo);

/// An MCP server's description of itself.
#[Object]
impl McpServerInfo<'_> {
    /// Its name, for programs; its title where it gives no name.
    async fn name(&self) -> Text<'_> {
        Text::new(&self.0.name)
    }

    /// Its name, for people.
    async fn title(&self) -> Option<Text<'_>> {
        self.0.title.as_deref().map(Text::new)
    }

    /// Its version, of whatever form; empty where it gives none.
    async fn version(&self) -> Text<'_> {
        Text::new(&self.0.version)
    }

    /// A description of the server.
    async fn description(&self) -> Option<Text<'_>> {
        self.0.description.as_deref().map(Text::new)
    }

    /// The website with information for people, as the server gives it.
    async fn website_url(&self) -> Option<Text<'_>> {
        self.0.website_url.as_deref().map(Text::new)
    }

    /// Its icons: `https` URLs, and images in `data` URLs.
    async fn icon_urls(&self) -> List<Text<'_, Url>> {
        Text::list(&self.0.icons)
    }
}

/// Values for a connector to an inspected server. Each value is one that `createCustomConnector` takes, or null.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ConnectorDraft {
    /// The server's title, or its name.
    name: Option<Text<'static>>,
    /// The server's description or its instructions.
    description: Option<Text<'static>>,
    /// The server's version, where that is a semantic one.
    version: Option<Text<'static>>,
    /// The server's first icon that is at an `https` address.
    icon_url: Option<Text<'static, Url>>,
}

impl From<inspection::Inspection> for Inspection {
    fn from(inspection: inspection::Inspection) -> Self {
        Self(inspection)
    }
}

impl From<commands::inspection::Suggestion> for ConnectorDraft {
    fn from(suggestion: commands::inspection::Suggestion) -> Self {
        Self {
            name: suggestion.name.map(Text::new),
            description: suggestion.description.map(Text::new),
            version: suggestion.version.map(Text::new),
            icon_url: suggestion.icon_url.map(Text::new),
        }
    }
}
