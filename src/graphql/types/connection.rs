//! A page of connectors, with the list's size and facets.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use async_graphql::{Context, Object, SimpleObject, connection::PageInfo};
use tokio::sync::OnceCell;

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        cursor::{self, Cursor, Position},
        facets::{self, Facets, Group},
        listing::{End, Listing},
    },
    error::{Error, Result},
    graphql::Request,
    store::Hit,
};

use super::{
    connector::PersonalConnector,
    enums::{ConnectorCategory, ConnectorStatus, ConnectorType, ServerType},
    fast_path::{Answer, PagePlan, Written},
    inspection::InspectionOutcome,
    text::Text,
};

pub(in crate::graphql) struct PersonalConnectorConnection {
    listing: Listing,
    rows: Rows,
    positions: Vec<Position>,
    more: bool,
    /// Whether facets are selected: then the size is made of their counts, in one statement for both.
    faceted: bool,
    /// Whether they are selected by outcome, which is in another table.
    by_outcome: bool,
    groups: OnceCell<Vec<Group>>,
}

/// The page's connectors.
enum Rows {
    Resolved(Vec<PersonalConnector>),
    /// As the plan has them that was made of their selection, until the field takes them that they were selected by.
    Written(Mutex<Vec<Written>>, PagePlan),
}

impl PersonalConnectorConnection {
    /// The page of a listing that this field selects.
    pub(in crate::graphql) async fn read(context: &Context<'_>, listing: Listing) -> Result<Self> {
        fn apart<T>(hits: Vec<Hit<T>>) -> (Vec<T>, Vec<Position>) {
            let hits = hits.into_iter();
            hits.map(|hit| (hit.connector, hit.position)).unzip()
        }
        let facets = context.look_ahead().field("facets");
        let (faceted, by_outcome) = (facets.exists(), facets.field("outcome").exists());
        let request = Request::of(context);
        let plan = if request.merges {
            None
        } else {
            PagePlan::of(context.field())
        };
        let (rows, positions, more) = if let Some(plan) = plan {
            let node = plan.node().clone();
            let fields = node.fields();
            let write = node.writer(request.viewer.clone());
            let page = request.catalog.page_fields(&listing, fields, write);
            let (hits, more) = page.await?;
            let (nodes, positions) = apart(hits);
            (Rows::Written(Mutex::new(nodes), plan), positions, more)
        } else {
            let (hits, more) = request.catalog.page(&listing).await?;
            let (models, positions) = apart(hits);
            let nodes = PersonalConnector::list(models);
            (Rows::Resolved(nodes), positions, more)
        };
        Ok(Self {
            listing,
            rows,
            positions,
            more,
            faceted,
            by_outcome,
            groups: OnceCell::new(),
        })
    }

    fn cursor(&self, place: usize) -> Option<String> {
        let position = self.positions.get(place)?;
        Some(self.listing.cursor(position.clone()))
    }

    /// The rows as they were selected, where they are written. They are given once, to the one field that selects them.
    fn written(&self, as_edges: bool, budget: &AnswerBudget) -> Result<Option<Written>> {
        let Rows::Written(nodes, plan) = &self.rows else {
            return Ok(None);
        };
        let nodes = mem::take(&mut *nodes.lock().unwrap_or_else(PoisonError::into_inner));
        if as_edges != matches!(plan, PagePlan::Edges(..)) {
            return Err(Error::internal("the rows were written for another field"));
        }
        let cursor = |place| self.cursor(place).unwrap_or_default();
        plan.list(nodes, cursor, budget).map(Some)
    }

    async fn groups(&self, context: &Context<'_>) -> Result<&Vec<Group>> {
        let catalog = &Request::of(context).catalog;
        self.groups
            .get_or_try_init(|| catalog.groups(&self.listing, self.by_outcome))
            .await
    }
}

/// A page of a list of connectors (Relay's Cursor Connections).
#[Object]
impl PersonalConnectorConnection {
    /// The page's connectors, each with its cursor.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn edges(&self, context: &Context<'_>) -> Result<Answer<Vec<PersonalConnectorEdge<'_>>>> {
        let budget = &Request::of(context).budget;
        Ok(match (&self.rows, self.written(true, budget)?) {
            (Rows::Resolved(nodes), _) => {
                let edge = |(place, node)| {
                    let cursor = Text::new(self.cursor(place).unwrap_or_default());
                    PersonalConnectorEdge { node, cursor }
                };
                Answer::Resolved(nodes.iter().enumerate().map(edge).collect())
            }
            (_, written) => Answer::written(written.unwrap_or_default()),
        })
    }

    /// The page's connectors.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn nodes(&self, context: &Context<'_>) -> Result<Answer<&[PersonalConnector]>> {
        let budget = &Request::of(context).budget;
        Ok(match (&self.rows, self.written(false, budget)?) {
            (Rows::Resolved(nodes), _) => Answer::Resolved(nodes.as_slice()),
            (_, written) => Answer::written(written.unwrap_or_default()),
        })
    }

    /// Where the page stands in the list. Forwards, `hasPreviousPage` is whether `after` was given, and backwards
    /// `hasNextPage` whether `before` was. On an empty page the cursor that was given stands, to go on from later.
    async fn page_info(&self) -> PageInfo {
        let page = &self.listing.page;
        let text = |cursor: &Option<Cursor>| cursor.as_ref().map(|cursor| cursor.text.clone());
        let (previous, next) = match page.end {
            End::First => (page.after.is_some(), self.more),
            End::Last => (self.more, page.before.is_some()),
        };
        PageInfo {
            has_previous_page: previous,
            has_next_page: next,
            start_cursor: self.cursor(0).or_else(|| text(&page.before)),
            end_cursor: self
                .positions
                .len()
                .checked_sub(1)
                .map_or_else(|| text(&page.after), |last| self.cursor(last)),
        }
    }

    /// How many connectors the whole list has. Counted only when selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<u64> {
        if self.faceted {
            let groups = self.groups(context).await?;
            Ok(facets::total(groups, &self.listing.filter))
        } else {
            Request::of(context).catalog.total(&self.listing).await
        }
    }

    /// Where the changes begin that this page does not have yet: give it to `personalConnectorChanges` as `after`, and what
    /// follows keeps a copy of the list. Of a list of several pages, follow from the first page's.
    async fn changes_cursor(&self, context: &Context<'_>) -> Result<String> {
        let log = Request::of(context).catalog.log().await?;
        Ok(cursor::of_changes(log.state))
    }

    /// How many connectors of the list there are of each category, status, type, server type and outcome. Counted only when selected.
    async fn facets(&self, context: &Context<'_>) -> Result<PersonalConnectorFacets> {
        let groups = self.groups(context).await?;
        Ok(Facets::of(groups, &self.listing.filter).into())
    }
}

/// A connector in a list.
#[derive(SimpleObject)]
pub(in crate::graphql) struct PersonalConnectorEdge<'a> {
    /// The connector.
    node: &'a PersonalConnector,
    /// Where it stands in the list: opaque, and good only with the same search, filter and order.
    cursor: Text<'a>,
}

/// Counts of a list's connectors by five of their fields: every value in the published order, zeros included, and null for
/// connectors without one. A field's counts leave out the filter's own top-level restriction of it and honour all the rest,
/// so that they tell what choosing another value would give.
#[derive(SimpleObject)]
pub(in crate::graphql) struct PersonalConnectorFacets {
    /// Counts by category.
    category: Vec<CategoryFacet>,
    /// Counts by status.
    status: Vec<StatusFacet>,
    /// Counts by type.
    r#type: Vec<ConnectorTypeFacet>,
    /// Counts by server type.
    server_type: Vec<ServerTypeFacet>,
    /// Counts by what the last check of the MCP server came to.
    outcome: Vec<OutcomeFacet>,
}

/// How many connectors of a list have a category.
#[derive(SimpleObject)]
struct CategoryFacet {
    /// The category, or null for connectors without one.
    value: Option<ConnectorCategory>,
    /// How many there are.
    count: u64,
}

/// How many connectors of a list have a status.
#[derive(SimpleObject)]
struct StatusFacet {
    /// The status.
    value: ConnectorStatus,
    /// How many there are.
    count: u64,
}

/// How many connectors of a list have a type.
#[derive(SimpleObject)]
struct ConnectorTypeFacet {
    /// The type.
    value: ConnectorType,
    /// How many there are.
    count: u64,
}

/// How many connectors of a list have a server type.
#[derive(SimpleObject)]
struct ServerTypeFacet {
    /// The server type, or null for connectors without one.
    value: Option<ServerType>,
    /// How many there are.
    count: u64,
}

/// How many connectors of a list have a server that was found so.
#[derive(SimpleObject)]
struct OutcomeFacet {
    /// What the last check came to, or null for connectors that were not checked.
    value: Option<InspectionOutcome>,
    /// How many there are.
    count: u64,
}

impl From<Facets> for PersonalConnectorFacets {
    fn from(facets: Facets) -> Self {
        Self {
            category: facets
                .category
                .into_iter()
                .map(|(value, count)| CategoryFacet {
                    value: value.map(Into::into),
                    count,
                })
                .collect(),
            status: facets
                .status
                .into_iter()
                .map(|(value, count)| StatusFacet {
                    value: value.into(),
                    count,
                })
                .collect(),
            r#type: facets
                .r#type
                .into_iter()
                .map(|(value, count)| ConnectorTypeFacet {
                    value: value.into(),
                    count,
                })
                .collect(),
            server_type: facets
                .server_type
                .into_iter()
                .map(|(value, count)| ServerTypeFacet {
                    value: value.map(Into::into),
                    count,
                })
                .collect(),
            outcome: facets
                .outcome
                .into_iter()
                .map(|(value, count)| OutcomeFacet {
                    value: value.map(Into::into),
                    count,
                })
                .collect(),
        }
    }
}
