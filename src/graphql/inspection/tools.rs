//! Pages of an MCP server's tools.

use std::sync::Arc;

use async_graphql::{Object, SimpleObject, connection::PageInfo};

use crate::{
    domain::{
        inspection,
        tools::{Listing, Page},
    },
    error::Result,
    graphql::{list::List, page_info::forwards, scalars::Json, text::Text},
};

pub(in crate::graphql) struct McpTool<'a>(pub(in crate::graphql) &'a inspection::Tool);

/// A tool of an MCP server.
#[Object]
impl McpTool<'_> {
    /// Its name, for programs.
    async fn name(&self) -> Text<'_> {
        Text::new(&self.0.name)
    }

    /// Its name, for people.
    async fn title(&self) -> Option<Text<'_>> {
        self.0.title.as_deref().map(Text::new)
    }

    /// A description of the tool, for people and models.
    async fn description(&self) -> Option<Text<'_>> {
        self.0.description.as_deref().map(Text::new)
    }

    /// The JSON Schema of its arguments; null if the server gives none, or if it exceeds 64 KiB.
    async fn input_schema(&self) -> Option<Text<'_, Json>> {
        self.0.input_schema.as_deref().map(Text::new)
    }

    /// The JSON Schema of its results; null if it has none, or if it exceeds 64 KiB.
    async fn output_schema(&self) -> Option<Text<'_, Json>> {
        self.0.output_schema.as_deref().map(Text::new)
    }

    /// Hints of the tool's effects, such as `readOnlyHint`, as the server gives them.
    async fn annotations(&self) -> Option<Text<'_, Json>> {
        self.0.annotations.as_deref().map(Text::new)
    }
}

pub(in crate::graphql) struct McpToolConnection {
    listing: Listing,
    page: Arc<Page>,
    /// Tools on all pages.
    total: u64,
}

impl McpToolConnection {
    pub(in crate::graphql) fn new(listing: Listing, page: Arc<Page>, total: u64) -> Self {
        Self {
            listing,
            page,
            total,
        }
    }

    /// Builds a part of an inspection's tools.
    pub(super) fn part(
        tools: &[inspection::Tool],
        first: Option<i32>,
        after: Option<&str>,
    ) -> Result<Self> {
        let listing = Listing::parse_of_all(first, after)?;
        let begins = listing.after.as_ref().map_or(0, |after| {
            let before = tools.iter().position(|tool| tool.name == *after);
            before.map_or(tools.len(), |before| before + 1)
        });
        let (_, rest) = tools.split_at(begins);
        let length =
            usize::try_from(listing.limit).map_or(rest.len(), |limit| limit.min(rest.len()));
        let page = Page {
            tools: rest[..length].to_vec(),
            more: length < rest.len(),
        };
        Ok(Self::new(listing, Arc::new(page), tools.len() as u64))
    }
}

/// A page of an MCP server's tools (Relay's Cursor Connections): a connector's ordered by name, those of an inspection
/// in the server's order.
#[Object]
impl McpToolConnection {
    /// The page's tools, each with its cursor.
    async fn edges(&self) -> List<McpToolEdge<'_>> {
        let tools = self.page.tools.iter();
        let edge = |tool| McpToolEdge {
            node: McpTool(tool),
            cursor: Text::new(self.listing.cursor(&tool.name)),
        };
        tools.map(edge).collect()
    }

    /// The page's tools.
    async fn nodes(&self) -> List<McpTool<'_>> {
        self.page.tools.iter().map(McpTool).collect()
    }

    /// The page's position in the list. `hasPreviousPage` is whether `after` was given. The `endCursor` of an empty
    /// page is the given cursor, to continue from later.
    async fn page_info(&self) -> PageInfo {
        let Page { tools, more } = &*self.page;
        let cursor = |name: &String| self.listing.cursor(name);
        let after = self.listing.after.as_ref().map(cursor);
        forwards(tools, *more, after, |tool| cursor(&tool.name))
    }

    /// The number of tools on all pages. Counted only when selected.
    async fn total_count(&self) -> u64 {
        self.total
    }
}

/// A tool in a list.
#[derive(SimpleObject)]
struct McpToolEdge<'a> {
    /// The tool.
    node: McpTool<'a>,
    /// The tool's position in the list. Opaque; it is valid with any connector's tools and the same search.
    cursor: Text<'a>,
}
