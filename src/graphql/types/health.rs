//! What is kept of a connector's MCP server: its health, and its tools.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject, connection::PageInfo};

use crate::{
    domain::{
        inspection::{Health, PastCheck, is_deprecated},
        listing::limit,
        tools,
    },
    error::Result,
    graphql::Request,
};

use super::{
    inspection::{InspectionOutcome, McpServerInfo, McpTool, McpTransport},
    loader::Siblings,
    scalars::{DateTime, Json, Url},
    text::Text,
};

/// What the last check of a connector's server found.
pub(in crate::graphql) struct ConnectorHealth {
    pub(super) seq: i64,
    pub(super) siblings: Arc<Siblings>,
    pub(super) health: Arc<Health>,
}

/// What the last check of a connector's MCP server found, as the connector has the server. What the server says of itself is cut to
/// bounds, and nobody vouches for it.
#[Object]
impl ConnectorHealth {
    /// What the check came to, for programs.
    async fn outcome(&self) -> InspectionOutcome {
        self.health.outcome.into()
    }

    /// What it came to, for people.
    async fn message(&self) -> Text<'_> {
        Text::new(&self.health.message)
    }

    /// When it was made.
    async fn checked_at(&self) -> DateTime {
        DateTime(self.health.checked_at)
    }

    /// Milliseconds until the server had said what it is; null where it did not.
    async fn latency_ms(&self) -> Option<i64> {
        self.health.latency_ms
    }

    /// How the server was spoken to; null where it was not.
    async fn transport(&self) -> Option<McpTransport> {
        self.health.transport.map(Into::into)
    }

    /// Whether MCP has deprecated the transport, as it has HTTP+SSE (MCP 2026-07-28, Deprecated Features).
    async fn is_transport_deprecated(&self) -> bool {
        self.health.transport.is_some_and(is_deprecated)
    }

    /// The revision of MCP that is spoken, such as `2025-11-25`.
    async fn protocol_version(&self) -> Option<Text<'_>> {
        self.health.protocol_version.as_deref().map(Text::new)
    }

    /// What the server says it is.
    async fn server_info(&self) -> Option<McpServerInfo<'_>> {
        self.health.server_info.as_ref().map(McpServerInfo)
    }

    /// Settings of the extensions that the server declares, by the extensions' names (MCP 2026-07-28, `extensions`): an object. Null
    /// if it declares none, or more than 16 KiB.
    async fn extensions(&self) -> Option<Text<'_, Json>> {
        self.health.extensions.as_deref().map(Text::new)
    }

    /// When the tools that are kept were listed; null if they never were. It is before `checkedAt` if the last check could not list
    /// them: a server that asks for a sign-in, or does not answer, keeps the tools that it had.
    async fn tools_checked_at(&self) -> Option<DateTime> {
        self.health.tools_checked_at.map(DateTime)
    }

    /// Issuers of the tokens that the server takes, where it asks for a sign-in and names them (RFC 9728).
    async fn authorization_servers(&self) -> Vec<Text<'_, Url>> {
        Text::list(&self.health.authorization_servers)
    }

    /// Which part of the checks of the last hours found the server OPEN or `AUTH_REQUIRED`, from 0 to 1; null where there was none
    /// in that time. Of the checks that are kept: the operator says how many.
    async fn uptime(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many hours: 1 to 8760.", default = 24)] hours: i32,
    ) -> Result<Option<f64>> {
        let request = Request::of(context);
        let now = request.commands.clock.now();
        let uptime = self.siblings.uptime(&request.catalog, self.seq, hours, now);
        Ok(uptime.await?.map(|uptime| *uptime))
    }

    /// The last checks, the latest first.
    async fn history(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many to give at most: 0 to 100, by default 20.")] first: Option<i32>,
    ) -> Result<Vec<ConnectorCheck>> {
        let most = limit("first", first)?;
        let catalog = &Request::of(context).catalog;
        let checks = self.siblings.history(catalog, self.seq, most).await?;
        let checks = checks.as_deref().into_iter().flatten();
        Ok(checks.cloned().map(Into::into).collect())
    }
}

/// A check of a connector's MCP server.
#[derive(SimpleObject)]
struct ConnectorCheck {
    /// When it was made.
    checked_at: DateTime,
    /// What it came to, for programs.
    outcome: InspectionOutcome,
    /// What it came to, for people.
    message: Text<'static>,
    /// Milliseconds until the server had said what it is; null where it did not.
    latency_ms: Option<i64>,
}

impl From<PastCheck> for ConnectorCheck {
    fn from(check: PastCheck) -> Self {
        Self {
            checked_at: DateTime(check.checked_at),
            outcome: check.outcome.into(),
            message: Text::new(check.message),
            latency_ms: check.latency_ms,
        }
    }
}

pub(in crate::graphql) struct McpToolConnection {
    seq: i64,
    siblings: Arc<Siblings>,
    listing: tools::Listing,
    page: Arc<tools::Page>,
}

impl McpToolConnection {
    /// The page of a connector's tools that a listing asks for.
    pub(super) async fn read(
        context: &Context<'_>,
        seq: i64,
        siblings: Arc<Siblings>,
        listing: tools::Listing,
    ) -> Result<Self> {
        let catalog = &Request::of(context).catalog;
        let page = siblings.tools(catalog, seq, &listing).await?;
        Ok(Self {
            seq,
            siblings,
            listing,
            page: page.unwrap_or_default(),
        })
    }
}

/// A page of a connector's tools, by their names (Relay's Cursor Connections).
#[Object]
impl McpToolConnection {
    /// The page's tools, each with its cursor.
    async fn edges(&self) -> Vec<McpToolEdge<'_>> {
        let tools = self.page.tools.iter();
        let edge = |tool| McpToolEdge {
            node: McpTool(tool),
            cursor: Text::new(self.listing.cursor(&tool.name)),
        };
        tools.map(edge).collect()
    }

    /// The page's tools.
    async fn nodes(&self) -> Vec<McpTool<'_>> {
        self.page.tools.iter().map(McpTool).collect()
    }

    /// Where the page stands in the list. `hasPreviousPage` is whether `after` was given. On an empty page the cursor that was given
    /// stands, to go on from later.
    async fn page_info(&self) -> PageInfo {
        let tools = &self.page.tools;
        let after = self.listing.after.as_deref();
        let cursor = |name: &str| self.listing.cursor(name);
        PageInfo {
            has_previous_page: after.is_some(),
            has_next_page: self.page.more,
            start_cursor: tools.first().map(|tool| cursor(&tool.name)),
            end_cursor: tools
                .last()
                .map_or(after, |tool| Some(&tool.name))
                .map(cursor),
        }
    }

    /// How many tools the list has on all pages. Counted only when selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<u64> {
        let catalog = &Request::of(context).catalog;
        let words = self.listing.words.as_deref();
        let count = self.siblings.tool_count(catalog, self.seq, words).await?;
        Ok(count.map_or(0, |count| *count))
    }
}

/// A tool in a list.
#[derive(SimpleObject)]
struct McpToolEdge<'a> {
    /// The tool.
    node: McpTool<'a>,
    /// Where it stands in the list: opaque, and good with any connector's tools and the same search.
    cursor: Text<'a>,
}
