//! The connectors that the service should have, and the answers that it should give.

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::{Value, json};
use tokio::sync::RwLock;

pub(crate) const WORDS: [&str; 12] = [
    "calendar", "quasar", "mail", "mailbox", "obelisk", "issue", "deploy", "metric", "halyard",
    "ticket", "team", "teamwork",
];

pub(crate) const CATEGORIES: [&str; 5] = [
    "PRODUCTIVITY",
    "DEVELOPMENT",
    "COMMUNICATION",
    "DESIGN",
    "CUSTOM",
];
pub(crate) const STATUSES: [&str; 3] = ["ACTIVE", "DEPRECATED", "MAINTENANCE"];

/// All that is asked of a connector.
pub(crate) const CONNECTOR: &str = "id name type connectorId description category status serverUrl serverType metadata visibility createdAt \
     updatedAt revision createdBy organizationId";

/// A connector as the service should give it.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: &'static str,
    pub(crate) status: &'static str,
    pub(crate) private: bool,
    /// As the service told them; what order they give is by [`micros`].
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) revision: u64,
    pub(crate) number: u64,
}

impl Connector {
    pub(crate) fn visibility(&self) -> &'static str {
        if self.private {
            "PRIVATE"
        } else {
            "ORGANIZATION"
        }
    }

    pub(crate) fn json(&self, owner: &User) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "type": "CUSTOM",
            "connectorId": "custom_mcp",
            "description": self.description,
            "category": self.category,
            "status": self.status,
            "serverUrl": format!("https://mcp.example.com/{}", self.number),
            "serverType": "HTTP",
            "metadata": { "number": self.number },
            "visibility": self.visibility(),
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "revision": self.revision,
            "createdBy": owner.name,
            "organizationId": owner.organization,
        })
    }
}

/// RFC 3339 as microseconds.
pub(crate) fn micros(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time).map_or(i64::MIN, |time| time.timestamp_micros())
}

pub(crate) fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) organization: String,
    pub(crate) token: String,
    pub(crate) connectors: RwLock<Vec<Connector>>,
}

/// The arguments of a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) search: Option<Vec<&'static str>>,
    /// The owner. Without one, the list has the connectors of the whole organization.
    pub(crate) owner: Option<String>,
    pub(crate) category: Option<&'static str>,
    pub(crate) status: Option<&'static str>,
    pub(crate) order: Option<(&'static str, bool)>,
    pub(crate) first: usize,
    pub(crate) counts: bool,
}

impl Listing {
    pub(crate) fn filter(&self) -> Value {
        let mut filter = json!({ "visibility": ["PRIVATE", "ORGANIZATION"] });
        if let Some(owner) = &self.owner {
            filter["createdBy"] = json!([owner]);
        }
        if let Some(category) = self.category {
            filter["category"] = json!([category]);
        }
        if let Some(status) = self.status {
            filter["status"] = json!([status]);
        }
        filter
    }

    pub(crate) fn request(&self, after: Option<&Value>) -> Value {
        let counts = if self.counts {
            "totalCount facets { category { value count } status { value count } type { value count } serverType { value count } }"
        } else {
            ""
        };
        let document = format!(
            "query List($search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder, $first: Int, \
             $after: String) {{ personalConnectors(search: $search, filter: $filter, orderBy: $order, first: $first, after: \
             $after) {{ nodes {{ {CONNECTOR} }} pageInfo {{ hasNextPage endCursor }} {counts} }} }}"
        );
        let order = self.order.map(|(field, descending)| {
            json!({ "field": field, "direction": if descending { "DESC" } else { "ASC" } })
        });
        json!({
            "query": document,
            "variables": {
                "search": self.search.as_ref().map(|words| words.join(" ")),
                "filter": self.filter(),
                "order": order,
                "first": self.first,
                "after": after,
            },
        })
    }

    pub(crate) fn category(&self, connector: &Connector) -> bool {
        self.category
            .is_none_or(|category| connector.category == category)
    }

    pub(crate) fn status(&self, connector: &Connector) -> bool {
        self.status.is_none_or(|status| connector.status == status)
    }

    /// How well a connector is found, best first: by its whole name, by words of the name, with those of its connectorId, with those
    /// of its description.
    pub(crate) fn tier(&self, connector: &Connector) -> Option<u8> {
        let Some(search) = &self.search else {
            return Some(0);
        };
        let has = |words: &BTreeSet<String>| {
            search.iter().enumerate().all(|(at, word)| {
                if at + 1 == search.len() {
                    words.iter().any(|other| other.starts_with(word))
                } else {
                    words.contains(*word)
                }
            })
        };
        let mut fields = words(&connector.name);
        let mut tier = Some(1).filter(|_| has(&fields));
        for (at, field) in [(2, "custom_mcp"), (3, &connector.description)] {
            fields.append(&mut words(field));
            tier = tier.or(Some(at).filter(|_| has(&fields)));
        }
        let exact = connector.name.to_lowercase() == search.join(" ");
        tier.map(|tier| if exact { 0 } else { tier })
    }

    /// The answer that the service should give, from all connectors that the viewer sees, each with its owner.
    pub(crate) fn answer(&self, seen: &[(&User, &Connector)], from: usize) -> Value {
        let found: Vec<_> = seen
            .iter()
            .filter_map(|(owner, connector)| Some((self.tier(connector)?, *owner, *connector)))
            .collect();
        let mut listed: Vec<_> = found
            .iter()
            .filter(|(_, _, connector)| self.category(connector) && self.status(connector))
            .collect();
        listed.sort_by(|(tier, _, one), (other_tier, _, other)| {
            let names = one.name.to_lowercase().cmp(&other.name.to_lowercase());
            let ids = one.id.cmp(&other.id);
            // Ids break ties upwards in an order's natural direction; the other direction is the exact reverse.
            let times = |one: &str, other: &str| micros(other).cmp(&micros(one)).then(ids);
            let (natural, reverse) = match self.order {
                Some(("CREATED_AT", descending)) => {
                    (times(&one.created_at, &other.created_at), !descending)
                }
                Some(("UPDATED_AT", descending)) => {
                    (times(&one.updated_at, &other.updated_at), !descending)
                }
                Some((_, descending)) => (names.then(ids), descending),
                None => (tier.cmp(other_tier).then(names).then(ids), false),
            };
            if reverse { natural.reverse() } else { natural }
        });
        let page = listed.iter().skip(from).take(self.first);
        let mut answer = json!({
            "nodes": page.map(|(_, owner, connector)| connector.json(owner)).collect::<Vec<_>>(),
            "pageInfo": { "hasNextPage": listed.len() > from + self.first },
        });
        if self.counts {
            let count = |values: &[Option<&str>], is: &dyn Fn(&Connector, Option<&str>) -> bool| {
                let count = |value| {
                    found
                        .iter()
                        .filter(|(_, _, connector)| is(connector, value))
                        .count()
                };
                let counts = values
                    .iter()
                    .map(|value| json!({ "value": value, "count": count(*value) }));
                Value::Array(counts.collect())
            };
            let all = |connector: &Connector| self.category(connector) && self.status(connector);
            answer["totalCount"] = json!(listed.len());
            answer["facets"] = json!({
                "category": count(&[CATEGORIES.map(Some).as_slice(), &[None]].concat(), &|connector, value| {
                    self.status(connector) && Some(connector.category) == value
                }),
                "status": count(&STATUSES.map(Some), &|connector, value| {
                    self.category(connector) && Some(connector.status) == value
                }),
                "type": count(&["OFFICIAL", "AITRONOS_BUILT", "CUSTOM"].map(Some), &|connector, value| {
                    all(connector) && value == Some("CUSTOM")
                }),
                "serverType": count(&[Some("HTTP"), Some("WEBSOCKET"), Some("STDIO"), None], &|connector, value| {
                    all(connector) && value == Some("HTTP")
                }),
            });
        }
        answer
    }
}
