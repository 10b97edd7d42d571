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
    /// It speaks MCP without a sign-in.
    Open,
    /// It requires a sign-in.
    AuthRequired,
    /// It speaks MCP, but over another transport than its server type says.
    WrongTransport,
    /// A response is not MCP.
    NotMcp,
    /// There is no response, or the server says that it cannot serve.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// The service does not call this address: it is not public, or the operator forbids it.
    Blocked,
    /// There is nothing to call: a STDIO server runs on the user's machine, and never in the service.
    NotCheckable,
}

/// The transport of an MCP server. Open to additions.
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

    /// The time of the inspection.
    async fn checked_at(&self) -> DateTime {
        DateTime(self.0.checked_at)
    }

    /// Milliseconds until the server's description arrived; null if it did not.
    async fn latency_ms(&self) -> Option<u64> {
        self.0.latency_ms
    }

    /// The transport of the connection; null if there was none.
    async fn transport(&self) -> Option<McpTransport> {
        self.0.transport.map(Into::into)
    }

    /// Whether MCP has deprecated the transport, such as HTTP+SSE (MCP 2026-07-28, Deprecated Features).
    async fn is_transport_deprecated(&self) -> bool {
        self.0.transport.is_some_and(inspection::is_deprecated)
    }

    /// The revision of MCP in use, such as `2025-11-25`.
    async fn protocol_version(&self) -> Option<Text<'_>> {
        self.0.protocol_version.as_deref().map(Text::new)
    }

    /// The server's name, version and description, as it gives them.
    async fn server_info(&self) -> Option<McpServerInfo<'_>> {
        self.0.server_info.as_ref().map(McpServerInfo)
    }

    /// The server's instructions for models.
    async fn instructions(&self) -> Option<Text<'_>> {
        self.0.instructions.as_deref().map(Text::new)
    }

    /// The names of declared capabilities, such as `tools` and `resources`.
    async fn capabilities(&self) -> List<Text<'_>> {
        Text::list(&self.0.capabilities)
    }

    /// Settings of the declared extensions by name (MCP 2026-07-28, `extensions`), as an object. Null if there are
    /// none, or more than 16 KiB.
    async fn extensions(&self) -> Option<Text<'_, Json>> {
        self.0.extensions.as_deref().map(Text::new)
    }

    /// The number of listed tools that are not in `tools`, because they have no name or a repeated one.
    async fn tools_left_out(&self) -> usize {
        self.0.tools_left_out
    }

    /// The tools that the server offers, up to 1,000, in its order.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn tools(
        &self,
        #[graphql(desc = "How many to give at most, from 0 to 1000. The default is all.")]
        first: Option<i32>,
        #[graphql(desc = "Give tools after this cursor.")] after: Option<String>,
    ) -> Result<McpToolConnection> {
        McpToolConnection::part(&self.0.tools, first, after.as_deref())
    }

    /// The number of resources, counted up to 1,000; null if the server offers none.
    async fn resource_count(&self) -> Option<usize> {
        self.0.resource_count
    }

    /// The number of prompts, counted up to 1,000; null if the server offers none.
    async fn prompt_count(&self) -> Option<usize> {
        self.0.prompt_count
    }

    /// The issuers whose tokens the server accepts, if it requires a sign-in and names them (RFC 9728).
    async fn authorization_servers(&self) -> List<Text<'_, Url>> {
        Text::list(&self.0.authorization_servers)
    }
}

pub(in crate::graphql) struct McpServerInfo<'a>(pub(in crate::graphql) &'a inspection::ServerInfo);

/// An MCP server's description of itself.
#[Object]
impl McpServerInfo<'_> {
    /// Its name, for programs; its title if it gives no name.
    async fn name(&self) -> Text<'_> {
        Text::new(&self.0.name)
    }

    /// Its name, for people.
    async fn title(&self) -> Option<Text<'_>> {
        self.0.title.as_deref().map(Text::new)
    }

    /// Its version in any form; empty if it gives none.
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
    /// The server's version, if it is a semantic one.
    version: Option<Text<'static>>,
    /// The server's first icon with an `https` URL.
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
