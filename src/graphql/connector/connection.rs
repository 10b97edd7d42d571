//! A page of connectors, with the list's size and facets.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{Context, Object, connection::PageInfo};
use tokio::sync::OnceCell;

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        cursor::{self, Cursor},
        facets::{self, Facets, Groups, Organizations},
        listing::Listing,
        order::{End, Position},
        viewer::Viewer,
    },
    error::{Error, Result},
    graphql::{Request, list::List, text::Text},
    store::{Catalog, Hit},
};

use super::{
    facets::PersonalConnectorFacets,
    fast_path::{ListWriter, MaybeWritten, Written},
    object::PersonalConnector,
    search::{SearchInfo, SearchMatch},
};

pub(in crate::graphql) struct PersonalConnectorConnection {
    page: Page,
    rows: Rows,
    counts: Counts,
}

/// The counts of a list, each read once.
pub(super) struct Counts {
    /// Whether facets of the list's groups are selected. Then one statement gives both them and the size.
    faceted: bool,
    /// Whether facets by outcome are selected, which are in another table.
    by_outcome: bool,
    groups: OnceCell<Groups>,
}

impl Counts {
    pub(super) fn new(faceted: bool, by_outcome: bool) -> Self {
        Self {
            faceted,
            by_outcome,
            groups: OnceCell::new(),
        }
    }

    async fn groups(&self, catalog: &Catalog, listing: &Listing) -> Result<&Groups> {
        self.groups
            .get_or_try_init(|| catalog.groups(listing, self.by_outcome))
            .await
    }

    /// Returns the size of the list.
    pub(super) async fn total(&self, catalog: &Catalog, listing: &Listing) -> Result<u64> {
        if !self.faceted {
            return catalog.total(listing).await;
        }
        let groups = self.groups(catalog, listing).await?;
        Ok(facets::total(groups, &listing.filter))
    }

    /// Returns the selected facets of the list. The others count nothing.
    pub(super) async fn facets(
        &self,
        catalog: &Catalog,
        listing: &Listing,
        by_organization: bool,
    ) -> Result<PersonalConnectorFacets> {
        let none = Groups::default();
        let groups = if self.faceted {
            self.groups(catalog, listing).await?
        } else {
            &none
        };
        let organizations = if by_organization {
            catalog.organizations(listing).await?
        } else {
            Organizations::default()
        };
        let facets = Facets::of(groups, &listing.filter);
        Ok(PersonalConnectorFacets::new(facets, organizations))
    }
}

/// The position of a page in its list.
pub(super) struct Page {
    pub(super) listing: Listing,
    positions: Vec<Position>,
    more: bool,
}

impl Page {
    /// Returns whether there is something to read: rows of a page that is not empty, or `pageInfo`.
    pub(super) fn is_read(listing: &Listing, with_rows: bool, with_info: bool) -> bool {
        (with_rows && listing.page.limit > 0) || with_info
    }

    /// An empty page, which is not read.
    pub(super) fn of_nothing(listing: Listing) -> Self {
        Self {
            listing,
            positions: Vec::new(),
            more: false,
        }
    }

    /// Reads a page, and writes its connectors as JSON.
    pub(super) async fn written(
        catalog: &Catalog,
        viewer: Arc<Viewer>,
        listing: Listing,
        writer: &ListWriter,
    ) -> Result<(Self, Vec<Written>)> {
        let node = writer.node();
        let write = node.clone().for_viewer(viewer);
        let page = catalog.page_fields(&listing, node.fields(), write).await?;
        Ok(Self::of(listing, page))
    }

    fn of<T>(listing: Listing, (hits, more): (Vec<Hit<T>>, bool)) -> (Self, Vec<T>) {
        let hits = hits.into_iter();
        let (positions, connectors) = hits.map(|hit| (hit.position, hit.connector)).unzip();
        let page = Self {
            listing,
            positions,
            more,
        };
        (page, connectors)
    }

    pub(super) fn cursor(&self, index: usize) -> Option<String> {
        let position = self.positions.get(index)?;
        Some(self.listing.cursor(position.clone()))
    }

    pub(super) fn has_previous(&self) -> bool {
        let page = &self.listing.page;
        match page.end {
            End::First => page.after.is_some(),
            End::Last => self.more,
        }
    }

    pub(super) fn has_next(&self) -> bool {
        let page = &self.listing.page;
        match page.end {
            End::First => self.more,
            End::Last => page.before.is_some(),
        }
    }

    pub(super) fn start_cursor(&self) -> Option<String> {
        let given = || text(self.listing.page.before.as_ref());
        self.cursor(0).or_else(given)
    }

    pub(super) fn end_cursor(&self) -> Option<String> {
        let last = self.positions.len().checked_sub(1);
        let given = || text(self.listing.page.after.as_ref());
        last.map_or_else(given, |last| self.cursor(last))
    }
}

fn text(cursor: Option<&Cursor>) -> Option<String> {
    cursor.map(|cursor| cursor.text.clone())
}

/// The page's connectors.
enum Rows {
    Resolved(Vec<PersonalConnector>),
    /// As JSON, until the field that selects them takes them.
    Written(Mutex<Vec<Written>>, ListWriter),
}

impl PersonalConnectorConnection {
    /// Returns the page of a listing that this field selects.
    pub(in crate::graphql) async fn read(context: &Context<'_>, listing: Listing) -> Result<Self> {
        let facets = context.look_ahead().field("facets");
        let by_outcome = facets.field("outcome").exists();
        let of_groups = ["category", "status", "type", "serverType", "outcome"];
        let faceted = (of_groups.iter()).any(|name| facets.field(name).exists());
        let selects = |name| context.look_ahead().field(name).exists();
        let with_rows = selects("nodes") || selects("edges");
        let request = Request::of(context);
        let writer = if request.merges {
            None
        } else {
            ListWriter::of(context.field())
        };
        let catalog = &request.catalog;
        let (page, rows) = if !Page::is_read(&listing, with_rows, selects("pageInfo")) {
            (Page::of_nothing(listing), Rows::Resolved(Vec::new()))
        } else if let Some(writer) = writer {
            let viewer = request.viewer.clone();
            let (page, nodes) = Page::written(catalog, viewer, listing, &writer).await?;
            (page, Rows::Written(Mutex::new(nodes), writer))
        } else {
            let read = catalog.page(&listing).await?;
            let (page, models) = Page::of(listing, read);
            (page, Rows::Resolved(PersonalConnector::list(models)))
        };
        Ok(Self {
            page,
            rows,
            counts: Counts::new(faceted, by_outcome),
        })
    }

    /// Returns the rows, if they were written as JSON. The one field that selects them takes them.
    fn written(&self, as_edges: bool, budget: &AnswerBudget) -> Result<Option<Written>> {
        let Rows::Written(nodes, writer) = &self.rows else {
            return Ok(None);
        };
        let nodes = mem::take(&mut *nodes.lock().unwrap_or_else(PoisonError::into_inner));
        if as_edges != matches!(writer, ListWriter::Edges(..)) {
            return Err(Error::internal("the rows were written for another field"));
        }
        let cursor = |index| self.page.cursor(index).unwrap_or_default();
        let mut list = String::new();
        writer.write(nodes, cursor, budget, &mut list)?;
        Ok(Some(Written(list)))
    }
}

/// A page of a list of connectors (Relay's Cursor Connections).
#[Object]
impl PersonalConnectorConnection {
    /// The page's connectors, each with its cursor.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn edges(
        &self,
        context: &Context<'_>,
    ) -> Result<MaybeWritten<List<PersonalConnectorEdge<'_>>>> {
        let budget = &Request::of(context).budget;
        Ok(match (&self.rows, self.written(true, budget)?) {
            (Rows::Resolved(nodes), _) => {
                let listing = &self.page.listing;
                let edge = |(index, node)| {
                    let cursor = self.page.cursor(index).unwrap_or_default();
                    PersonalConnectorEdge {
                        node,
                        cursor,
                        listing,
                    }
                };
                MaybeWritten::Resolved(nodes.iter().enumerate().map(edge).collect())
            }
            (_, written) => MaybeWritten::written(written.unwrap_or_default()),
        })
    }

    /// The page's connectors.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn nodes(&self, context: &Context<'_>) -> Result<MaybeWritten<List<&PersonalConnector>>> {
        let budget = &Request::of(context).budget;
        Ok(match (&self.rows, self.written(false, budget)?) {
            (Rows::Resolved(nodes), _) => MaybeWritten::Resolved(nodes.iter().collect()),
            (_, written) => MaybeWritten::written(written.unwrap_or_default()),
        })
    }

    /// The page's position in the list. Forwards, `hasPreviousPage` is whether `after` was given; backwards,
    /// `hasNextPage` is whether `before` was given. An empty page has the given cursor, to continue from later.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.page.has_previous(),
            has_next_page: self.page.has_next(),
            start_cursor: self.page.start_cursor(),
            end_cursor: self.page.end_cursor(),
        }
    }

    /// The words with which the list was searched; null without a search.
    async fn search(&self, context: &Context<'_>) -> Result<Option<SearchInfo>> {
        let listing = &self.page.listing;
        let Some(search) = &listing.search else {
            return Ok(None);
        };
        Request::of(context).catalog.decide(listing).await?;
        Ok(Some(SearchInfo::of(search, listing.correction())))
    }

    /// The size of the whole list. Counted only if it is selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<u64> {
        let catalog = &Request::of(context).catalog;
        self.counts.total(catalog, &self.page.listing).await
    }

    /// The position after which changes are not in this page yet: give it to `personalConnectorChanges` as `after`, and
    /// follow from there to keep a copy of the list. If the list has several pages, take it from the first one.
    async fn changes_cursor(&self, context: &Context<'_>) -> Result<String> {
        let log = Request::of(context).catalog.log().await?;
        Ok(cursor::of_changes(log.state))
    }

    /// The number of the list's connectors with each category, status, type, server type, outcome and organization.
    /// Counted only if it is selected.
    async fn facets(&self, context: &Context<'_>) -> Result<PersonalConnectorFacets> {
        let selected = context.look_ahead();
        let of_organizations = ["organizationId", "organizationsLeftOut"];
        let by_organization = (of_organizations.iter()).any(|name| selected.field(name).exists());
        let catalog = &Request::of(context).catalog;
        let listing = &self.page.listing;
        self.counts.facets(catalog, listing, by_organization).await
    }
}

pub(in crate::graphql) struct PersonalConnectorEdge<'a> {
    node: &'a PersonalConnector,
    cursor: String,
    listing: &'a Listing,
}

/// A connector in a list.
#[Object]
impl PersonalConnectorEdge<'_> {
    /// The connector.
    async fn node(&self) -> &PersonalConnector {
        self.node
    }

    /// The connector's position in the list. Opaque; it is valid only with the same search, filter and order.
    async fn cursor(&self) -> Text<'_> {
        Text::new(&*self.cursor)
    }

    /// The fields in which the search found the connector; empty without a search. A tool is named only if the other
    /// fields lack a word: the first one, by name, that has a word of the search.
    async fn matches(&self, context: &Context<'_>) -> Result<List<SearchMatch>> {
        match self.listing.searched() {
            Some(search) => self.node.matches(context, search).await,
            None => Ok(List::default()),
        }
    }
}
