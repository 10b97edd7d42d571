//! A page of changes.

use async_graphql::{Object, connection::PageInfo};

use crate::{
    domain::{
        changes::{History, Page, Place},
        cursor::{self, LogPosition},
        order::End,
    },
    graphql::list::List,
};

use super::object::{Connector, PersonalConnectorChange};

pub(in crate::graphql) struct PersonalConnectorChangeConnection<C> {
    nodes: Vec<PersonalConnectorChange<C>>,
    start: Option<LogPosition>,
    end: Option<LogPosition>,
    has_previous: bool,
    has_next: bool,
}

impl<C: Connector> PersonalConnectorChangeConnection<C> {
    /// Builds a page of the changes of all connectors.
    pub(in crate::graphql) fn new(page: Page) -> Self {
        Self {
            nodes: PersonalConnectorChange::list(page.changes),
            start: page.start,
            end: Some(page.end),
            has_previous: page.has_previous,
            has_next: page.has_next,
        }
    }

    /// Builds a page of the changes of one connector.
    pub(in crate::graphql) fn of_connector(
        place: Place,
        history: &History,
        nodes: Vec<PersonalConnectorChange<C>>,
    ) -> Self {
        let position = |node: &PersonalConnectorChange<C>| node.change.position;
        let is_first = place.end == End::First;
        Self {
            start: nodes.first().map(position).or(place.before),
            end: nodes.last().map(position).or(place.after),
            has_previous: if is_first {
                place.after.is_some()
            } else {
                history.more
            },
            has_next: if is_first {
                history.more
            } else {
                place.before.is_some()
            },
            nodes,
        }
    }

    pub(in crate::graphql) fn into_nodes(self) -> Vec<PersonalConnectorChange<C>> {
        self.nodes
    }
}

/// A page of changes (Relay's Cursor Connections). Changes of all connectors come oldest first, and those of one
/// connector latest first.
#[Object(name = "PersonalConnectorChangeConnection")]
impl<C: Connector> PersonalConnectorChangeConnection<C> {
    /// The page's changes, each with its cursor.
    async fn edges(&self) -> List<PersonalConnectorChangeEdge<'_, C>> {
        self.nodes.iter().map(PersonalConnectorChangeEdge).collect()
    }

    /// The page's changes.
    async fn nodes(&self) -> List<&PersonalConnectorChange<C>> {
        self.nodes.iter().collect()
    }

    /// The page's position among the changes. Forwards, `hasPreviousPage` is whether `after` was given, and backwards
    /// `hasNextPage` is whether `before` was. Without ids in the filter, a page of `personalConnectorChanges` covers a
    /// bounded part of the log. It may be short or empty although there are more changes, so continue at once.
    /// `endCursor` is always present there, to continue from later, and may be beyond the last change.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous,
            has_next_page: self.has_next,
            start_cursor: self.start.map(cursor::of_changes),
            end_cursor: self.end.map(cursor::of_changes),
        }
    }
}

struct PersonalConnectorChangeEdge<'a, C>(&'a PersonalConnectorChange<C>);

/// A change in a page of changes.
#[Object(name = "PersonalConnectorChangeEdge")]
impl<C: Connector> PersonalConnectorChangeEdge<'_, C> {
    /// The change.
    async fn node(&self) -> &PersonalConnectorChange<C> {
        self.0
    }

    /// The change's position, which is its own `cursor`.
    async fn cursor(&self) -> String {
        self.0.id()
    }
}
