//! Users, their expected connectors, and lists of them.

use fixtures::model::{Connector, Listing, Viewer};
use serde_json::{Value, json};
use tokio::sync::RwLock;

pub(crate) const WORDS: [&str; 12] = [
    "calendar", "quasar", "mail", "mailbox", "obelisk", "issue", "deploy", "metric", "halyard",
    "ticket", "team", "teamwork",
];

/// The requested fields of a connector.
pub(crate) const CONNECTOR: &str = "id name type connectorId description category status serverUrl serverType metadata \
                                    visibility createdAt updatedAt revision createdBy organizationId";

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) organization: String,
    /// `USER@ORGANIZATION`.
    pub(crate) who: String,
    pub(crate) token: String,
    pub(crate) connectors: RwLock<Vec<Connector>>,
}

impl User {
    pub(crate) fn sees(&self, connector: &Connector) -> bool {
        let viewer = Viewer {
            who: &self.who,
            scopes: &["connectors:write"],
        };
        viewer.sees(&connector.fields)
    }
}

/// Builds a connector with these expected fields, [`CONNECTOR`].
pub(crate) fn connector(fields: Value) -> Connector {
    let words = |field: &str| -> Vec<String> {
        let words = text(&fields[field]).to_lowercase();
        let words = words.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    };
    Connector {
        name_key: text(&fields["name"]).to_lowercase(),
        words: [
            words("name"),
            words("connectorId"),
            words("description"),
            Vec::new(),
        ],
        fields,
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A page of a list, with or without counts.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) listing: Listing,
    pub(crate) first: usize,
    pub(crate) counts: bool,
}

impl Page {
    pub(crate) fn request(&self, after: Option<&Value>) -> Value {
        let counts = if self.counts {
            "totalCount facets { category { value count } status { value count } type { value count } serverType { \
             value count } outcome { value count } }"
        } else {
            ""
        };
        let document = format!(
            "query List($search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder, $first: \
             Int, $after: String) {{ personalConnectors(search: $search, filter: $filter, orderBy: $order, first: \
             $first, after: $after) {{ nodes {{ {CONNECTOR} }} pageInfo {{ hasNextPage endCursor }} {counts} }} }}"
        );
        let mut variables = self.listing.variables();
        variables.insert("first".to_owned(), json!(self.first));
        variables.insert("after".to_owned(), json!(after));
        json!({ "query": document, "variables": variables })
    }

    /// Returns the expected response without cursors, from all connectors that the viewer sees.
    pub(crate) fn answer(&self, seen: &[Connector], from: usize) -> Value {
        let list = self.listing.list(seen);
        let page = list.iter().skip(from).take(self.first);
        let mut answer = json!({
            "nodes": page.map(|connector| &connector.fields).collect::<Vec<_>>(),
            "pageInfo": { "hasNextPage": list.len() > from + self.first },
        });
        if self.counts {
            answer["totalCount"] = json!(list.len());
            answer["facets"] = self.listing.facets(seen);
        }
        answer
    }
}
