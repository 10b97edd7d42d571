//! Inputs of queries for changes.

use std::sync::Arc;

use async_graphql::{ID, InputObject};

use crate::{
    domain::{changes::Filter, listing::Members, viewer::Viewer},
    error::Result,
    graphql::{
        connector::PersonalConnectorFilter,
        enums::{ConnectorCategory, ConnectorStatus, ConnectorType},
    },
};

/// Restricts the connectors whose changes are returned. All given fields must match the connector as you saw it before
/// the change, or as you see it after. A field that is null or left out restricts nothing. An empty list matches
/// nothing; a single value stands for a list of one. At most 100 values in a list.
#[derive(Default, InputObject)]
pub(in crate::graphql) struct PersonalConnectorChangeFilter {
    /// Its id is one of these.
    personal_connector_id: Option<Vec<ID>>,
    /// Its type is one of these.
    r#type: Option<Vec<ConnectorType>>,
    /// Its category is one of these. Null in the list stands for connectors without one.
    category: Option<Vec<Option<ConnectorCategory>>>,
    /// Its status is one of these.
    status: Option<Vec<ConnectorStatus>>,
}

/// A list of connectors, by the arguments `search` and `filter` of `personalConnectors` and with the same limits.
/// Without fields, it is the list of all connectors that you see.
#[derive(InputObject)]
pub(in crate::graphql) struct PersonalConnectorListInput {
    /// Words to find, as in `personalConnectors`, but never replaced. If a list's `search` was corrected, give the
    /// words with which it was searched.
    search: Option<String>,
    /// The filter of the list, as in `personalConnectors`.
    filter: Option<PersonalConnectorFilter>,
}

/// Combines a filter and a list. `BAD_USER_INPUT` names a field of the list.
pub(super) fn restriction(
    filter: Option<PersonalConnectorChangeFilter>,
    list: Option<PersonalConnectorListInput>,
    viewer: &Viewer,
) -> Result<Filter> {
    let members = |list: PersonalConnectorListInput| {
        let filter = list.filter.map(|filter| filter.of_viewer(viewer));
        Members::parse(list.search.as_deref(), filter)
    };
    Ok(Filter {
        list: list.map(members).transpose()?.map(Arc::new),
        ..filter.unwrap_or_default().into()
    })
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
            category: filter
                .category
                .map(|list| list.into_iter().map(|one| one.map(Into::into)).collect()),
            status: list(filter.status),
            list: None,
        }
    }
}
