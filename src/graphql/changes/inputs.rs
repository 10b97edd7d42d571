//! Inputs of queries for changes.

use async_graphql::{ID, InputObject};

use crate::{
    domain::changes::Filter,
    graphql::enums::{ConnectorCategory, ConnectorStatus, ConnectorType},
};

/// Restricts the connectors whose changes are given: all of the fields must hold for the connector as you saw it before the change,
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
