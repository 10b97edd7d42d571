//! Counting a list by category, status, type, server type and outcome.
//!
//! Invariant: a dimension's counts leave out the filter's own top-level restriction of it and honour all the rest, so that a
//! dashboard shows what choosing another value would give.

use entity::{ConnectorCategory, ConnectorStatus, ConnectorType, Outcome, ServerType};

use super::listing::Filter;

/// How many connectors there are of one category, status, type, server type and outcome, in a list whose filter leaves out its own
/// restrictions of the five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub category: Option<ConnectorCategory>,
    pub status: ConnectorStatus,
    pub r#type: ConnectorType,
    pub server_type: Option<ServerType>,
    /// None also where nobody asks for it.
    pub outcome: Option<Outcome>,
    pub count: u64,
}

/// For each dimension every value in the schema's order, zeros included, and none for those without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facets {
    pub category: Vec<(Option<ConnectorCategory>, u64)>,
    pub status: Vec<(ConnectorStatus, u64)>,
    pub r#type: Vec<(ConnectorType, u64)>,
    pub server_type: Vec<(Option<ServerType>, u64)>,
    pub outcome: Vec<(Option<Outcome>, u64)>,
}

/// Which of the five restrictions a group meets, in the order category, status, type, server type, outcome.
fn meets(filter: &Filter, group: &Group) -> [bool; 5] {
    fn allows<T: PartialEq>(list: Option<&Vec<T>>, value: Option<T>) -> bool {
        list.is_none_or(|list| value.is_some_and(|value| list.contains(&value)))
    }
    [
        allows(filter.category.as_ref(), group.category),
        allows(filter.status.as_ref(), Some(group.status)),
        allows(filter.r#type.as_ref(), Some(group.r#type)),
        allows(filter.server_type.as_ref(), group.server_type),
        allows(filter.outcome.as_ref(), group.outcome),
    ]
}

/// The size of the list under the whole filter.
pub fn total(groups: &[Group], filter: &Filter) -> u64 {
    groups
        .iter()
        .filter(|group| meets(filter, group) == [true; 5])
        .map(|group| group.count)
        .sum()
}

impl Facets {
    pub fn of(groups: &[Group], filter: &Filter) -> Self {
        // The groups that meet every restriction but the dimension's own.
        let sum = |own: usize, is: &dyn Fn(&Group) -> bool| {
            groups
                .iter()
                .filter(|group| {
                    let mut met = meets(filter, group);
                    met[own] = true;
                    met == [true; 5] && is(group)
                })
                .map(|group| group.count)
                .sum()
        };
        Self {
            category: CATEGORIES
                .map(Some)
                .into_iter()
                .chain([None])
                .map(|value| (value, sum(0, &|group| group.category == value)))
                .collect(),
            status: STATUSES
                .map(|value| (value, sum(1, &|group| group.status == value)))
                .to_vec(),
            r#type: TYPES
                .map(|value| (value, sum(2, &|group| group.r#type == value)))
                .to_vec(),
            server_type: SERVER_TYPES
                .map(Some)
                .into_iter()
                .chain([None])
                .map(|value| (value, sum(3, &|group| group.server_type == value)))
                .collect(),
            outcome: OUTCOMES
                .map(Some)
                .into_iter()
                .chain([None])
                .map(|value| (value, sum(4, &|group| group.outcome == value)))
                .collect(),
        }
    }
}

/// The enums' values as the schema orders them.
const CATEGORIES: [ConnectorCategory; 5] = [
    ConnectorCategory::Productivity,
    ConnectorCategory::Development,
    ConnectorCategory::Communication,
    ConnectorCategory::Design,
    ConnectorCategory::Custom,
];
const STATUSES: [ConnectorStatus; 3] = [
    ConnectorStatus::Active,
    ConnectorStatus::Deprecated,
    ConnectorStatus::Maintenance,
];
const TYPES: [ConnectorType; 3] = [
    ConnectorType::Official,
    ConnectorType::AitronosBuilt,
    ConnectorType::Custom,
];
const SERVER_TYPES: [ServerType; 3] = [ServerType::Http, ServerType::Websocket, ServerType::Stdio];
const OUTCOMES: [Outcome; 8] = [
    Outcome::Open,
    Outcome::AuthRequired,
    Outcome::WrongTransport,
    Outcome::NotMcp,
    Outcome::Unreachable,
    Outcome::Timeout,
    Outcome::Blocked,
    Outcome::NotCheckable,
];
