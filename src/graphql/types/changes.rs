//! A page of changes, and one change.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, connection::PageInfo};
use tokio::sync::OnceCell;

use crate::{
    domain::{
        changes::{Change, Feed, Filter, Kind, Page},
        cursor::{self, LogPosition},
    },
    error::Result,
    graphql::Request,
};

use super::{
    connector::PersonalConnector,
    enums::{ConnectorCategory, ConnectorStatus, ConnectorType},
    scalars::DateTime,
    text::Text,
};

/// Of which connectors changes are told: all of the fields given must hold for the connector as you saw it before the change,
/// or as you see it after. A field that is null or left out restricts nothing; an empty list matches nothing; a single value
/// stands for a list of one. At most 100 values in a list.
#[derive(Default, InputObject)]
pub(in crate::graphql) struct PersonalConnectorChangeFilter {
    /// Its id is one of these.
    personal_connector_id: Option<Vec<ID>>,
    /// Its type is one of these.
    r#type: Option<Vec<ConnectorType>>,
    /// Its category is one of these.
    category: Option<Vec<ConnectorCategory>>,
    /// Its status is one of these.
    status: Option<Vec<ConnectorStatus>>,
}

impl From<PersonalConnectorChangeFilter> for Filter {
    fn from(filter: PersonalConnectorChangeFilter) -> Self {
        fn list<T: Into<U>, U>(list: Option<Vec<T>>) -> Option<Vec<U>> {
            list.map(|list| list.into_iter().map(Into::into).collect())
        }
        let ids = filter.personal_connector_id;
        Self {
            personal_connector_id: ids.map(|ids| ids.into_iter().map(|id| id.0).collect()),
            r#type: list(filter.r#type),
            category: list(filter.category),
            status: list(filter.status),
        }
    }
}

/// What a change is to you. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::changes::Kind")]
pub(in crate::graphql) enum PersonalConnectorChangeKind {
    /// You did not see the connector before, and see it now: it is new, or was shown to you.
    Created,
    /// You saw the connector before, and see it still.
    Updated,
    /// You saw the connector before, and no longer do: it was deleted, or hidden from you.
    Deleted,
}

pub(in crate::graphql) struct PersonalConnectorChange {
    change: Change,
    present: Arc<Present>,
}

/// Changes whose connectors are looked up together: a page of the largest size, whose connectors fit into the bytes of an answer.
const TOGETHER: usize = 100;

/// The connectors of several changes as they are now, looked up together by the first that is asked for.
struct Present {
    ids: Vec<String>,
    connectors: OnceCell<HashMap<String, PersonalConnector>>,
}

impl PersonalConnectorChange {
    /// The changes of one page, or those that happened since a subscription was told of the last ones.
    pub(in crate::graphql) fn list(changes: Vec<Change>) -> Vec<Self> {
        let mut all = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let together: Vec<_> = changes.by_ref().take(TOGETHER).collect();
            let told = together
                .iter()
                .filter(|change| change.kind != Kind::Deleted);
            let ids: BTreeSet<_> = told
                .map(|change| change.personal_connector_id.clone())
                .collect();
            let present = Arc::new(Present {
                ids: ids.into_iter().collect(),
                connectors: OnceCell::new(),
            });
            all.extend(together.into_iter().map(|change| Self {
                change,
                present: present.clone(),
            }));
        }
        all
    }
}

/// A change of a connector, as you may know of it. It has no id: its cursor identifies it.
#[Object]
impl PersonalConnectorChange {
    /// Where it stands among the changes: opaque, and good with any filter. What comes `after` it is what happened since.
    async fn cursor(&self) -> String {
        cursor::of_changes(self.change.position)
    }

    /// What the change is to you.
    async fn kind(&self) -> PersonalConnectorChangeKind {
        self.change.kind.into()
    }

    /// The id of the connector that changed.
    async fn personal_connector_id(&self) -> ID {
        self.change.personal_connector_id.clone().into()
    }

    /// The connector as it is now, which may be after further changes; null where the change is DELETED, and where you no longer
    /// see it.
    async fn personal_connector(
        &self,
        context: &Context<'_>,
    ) -> Result<Option<&PersonalConnector>> {
        if self.change.kind == Kind::Deleted {
            return Ok(None);
        }
        let load = || async {
            let models = Request::of(context).catalog.get(&self.present.ids).await?;
            let ids: Vec<_> = models.keys().cloned().collect();
            let connectors = PersonalConnector::list(models.into_values().collect());
            Ok(ids.into_iter().zip(connectors).collect())
        };
        let connectors = self.present.connectors.get_or_try_init(load).await?;
        Ok(connectors.get(&self.change.personal_connector_id))
    }

    /// The names of the fields that the change was of, as far as you see them. `revision` is not named, since each change raises
    /// it but those of `health` and `tools` alone, nor is `updatedAt` unless a file set it. Empty unless the change is UPDATED.
    async fn changed_fields(&self) -> Vec<Text<'_>> {
        Text::list(&self.change.fields)
    }

    /// The connector's revision after the change; where the change is DELETED, the last that you saw.
    async fn revision(&self) -> i64 {
        self.change.revision
    }

    /// The id of the user who made the change. Null outside the user's organization, where the change is DELETED, and where a
    /// file or the service itself made it.
    async fn actor(&self) -> Option<ID> {
        self.change.actor.clone().map(Into::into)
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.change.occurred_at)
    }
}

pub(in crate::graphql) struct PersonalConnectorChangeConnection {
    has_previous: bool,
    nodes: Vec<PersonalConnectorChange>,
    end: LogPosition,
    more: bool,
}

impl PersonalConnectorChangeConnection {
    pub(in crate::graphql) fn new(feed: &Feed, page: Page) -> Self {
        Self {
            has_previous: feed.after.is_some(),
            nodes: PersonalConnectorChange::list(page.changes),
            end: page.end,
            more: page.more,
        }
    }
}

/// A page of changes, from the oldest to the latest (Relay's Cursor Connections).
#[Object]
impl PersonalConnectorChangeConnection {
    /// The page's changes, each with its cursor.
    async fn edges(&self) -> Vec<PersonalConnectorChangeEdge<'_>> {
        self.nodes
            .iter()
            .map(|node| PersonalConnectorChangeEdge {
                cursor: cursor::of_changes(node.change.position),
                node,
            })
            .collect()
    }

    /// The page's changes.
    async fn nodes(&self) -> &[PersonalConnectorChange] {
        &self.nodes
    }

    /// Where the page stands. While `hasNextPage`, go on after `endCursor` at once, also where the page is short or empty: each
    /// looks at a bounded part of the log. `endCursor` is there on every page, to go on from later, and may be beyond the last
    /// change. `hasPreviousPage` is whether `after` was given.
    async fn page_info(&self) -> PageInfo {
        let start = self.nodes.first().map(|node| node.change.position);
        PageInfo {
            has_previous_page: self.has_previous,
            has_next_page: self.more,
            start_cursor: start.map(cursor::of_changes),
            end_cursor: Some(cursor::of_changes(self.end)),
        }
    }
}

/// A change in a page of changes.
#[derive(SimpleObject)]
pub(in crate::graphql) struct PersonalConnectorChangeEdge<'a> {
    /// The change.
    node: &'a PersonalConnectorChange,
    /// Where it stands among the changes: the change's own `cursor`.
    cursor: String,
}
