//! The order of a list: its fields and directions.

use std::cmp::Ordering;

use serde::Serialize;

use crate::error::{Error, Result};

/// The most orders in `thenBy`.
pub(crate) const THEN_BY: usize = 3;

/// A field that orders a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OrderField {
    /// The folded name, ascending by default.
    Name,
    /// The time of creation, descending by default.
    CreatedAt,
    /// The time of the last change, descending by default.
    UpdatedAt,
    /// The match of the search, best first, then the name. Requires a search, and has no direction.
    // The name in digests identifies the tiers, so that a cursor of earlier tiers is refused.
    #[serde(rename = "Relevance2")]
    Relevance,
    /// The status in the enum's order, ascending by default, then the name.
    Status,
    /// The type in the enum's order, ascending by default, then the name.
    Type,
    /// The category in the enum's order, ascending by default, then the name.
    Category,
    /// The outcome of the last check in the enum's order, ascending by default.
    Outcome,
    /// The time of the last check, descending by default.
    CheckedAt,
    /// The latency of the last check, ascending by default.
    Latency,
    /// The share of the stored checks that found a working server, descending by default.
    Uptime,
    /// The number of stored tools, descending by default.
    ToolCount,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// Smallest or earliest first.
    Asc,
    /// Largest or latest first.
    Desc,
}

impl Direction {
    const fn reverse(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }
}

/// The form of a field's value in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Name,
    Number,
    /// A number, or none. None is last in both directions.
    Maybe,
    Tier,
}

impl OrderField {
    /// Returns the direction if none is given. The other one is its exact reverse, except for rows without a value.
    pub(crate) const fn natural(self) -> Direction {
        match self {
            Self::Name
            | Self::Relevance
            | Self::Status
            | Self::Type
            | Self::Category
            | Self::Outcome
            | Self::Latency => Direction::Asc,
            Self::CreatedAt
            | Self::UpdatedAt
            | Self::CheckedAt
            | Self::Uptime
            | Self::ToolCount => Direction::Desc,
        }
    }

    pub(crate) const fn form(self) -> Form {
        match self {
            Self::Name => Form::Name,
            Self::Relevance => Form::Tier,
            Self::CreatedAt | Self::UpdatedAt | Self::Status | Self::Type | Self::ToolCount => {
                Form::Number
            }
            Self::Category | Self::Outcome | Self::CheckedAt | Self::Latency | Self::Uptime => {
                Form::Maybe
            }
        }
    }

    /// Returns whether it is a column of connectors with an index.
    pub(crate) const fn is_column(self) -> bool {
        matches!(self, Self::Name | Self::CreatedAt | Self::UpdatedAt)
    }

    /// Returns whether ties are ordered by name if no other order is given.
    const fn goes_on_by_name(self) -> bool {
        matches!(
            self,
            Self::Relevance | Self::Status | Self::Type | Self::Category
        )
    }

    /// Returns whether a few values are shared by many rows. A position is then found by the later keys too.
    pub(crate) const fn has_many_ties(self) -> bool {
        !matches!(
            self,
            Self::Name | Self::CreatedAt | Self::UpdatedAt | Self::Relevance
        )
    }

    /// Returns the direction of ties by id: ascending in the natural direction of a connector's time, otherwise that of
    /// the field.
    fn ties(self, direction: Direction) -> Direction {
        match self {
            Self::CreatedAt | Self::UpdatedAt => direction.reverse(),
            _ => direction,
        }
    }

    /// Returns whether the value belongs to the last check of the server.
    pub(crate) const fn is_of_health(self) -> bool {
        matches!(
            self,
            Self::Outcome | Self::CheckedAt | Self::Latency | Self::Uptime | Self::ToolCount
        )
    }
}

/// The end of the list from which a page is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    First,
    Last,
}

/// Returns whether rows come in ascending order when they are read from an end of the list.
pub(crate) fn is_ascending(direction: Direction, end: End) -> bool {
    (direction == Direction::Asc) == (end == End::First)
}

/// The position of a row in a list: its sort keys, and its id for ties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The values that order the list, one for each field of the order.
    pub keys: Vec<SortKey>,
    /// The id of the connector.
    pub id: String,
}

/// A value that orders a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// The folded name, for the order by name.
    Name(String),
    /// Microseconds since 1970, a count, or the position of an enum's value.
    Number(i64),
    /// A number, or none for a row without a value.
    Maybe(Option<i64>),
    /// The match of a search: -1 if it is the address of the server, 0 if it is the whole name, 1 if the name begins
    /// with it; 2 to 5 for words of the name, the connectorId, the description and the tools.
    Tier(i32),
}

/// A field, and a direction if it is not the field's natural one.
pub type GivenOrder = (OrderField, Option<Direction>);

/// A field and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    pub(crate) field: OrderField,
    pub(crate) direction: Direction,
}

impl Key {
    fn new((field, direction): GivenOrder) -> Self {
        Self {
            field,
            direction: direction.unwrap_or(field.natural()),
        }
    }
}

/// The order of a list. Ties are ordered by id, so the order is total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    #[serde(flatten)]
    pub(crate) first: Key,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    then_by: Vec<Key>,
}

impl Order {
    /// The order by one field, in its natural direction.
    pub(crate) fn by(field: OrderField) -> Self {
        Self {
            first: Key::new((field, None)),
            then_by: Vec::new(),
        }
    }

    pub(crate) fn parse(
        given: Option<GivenOrder>,
        then_by: Vec<GivenOrder>,
        searched: bool,
    ) -> Result<Self> {
        let (field, direction) = given.unwrap_or(if searched {
            (OrderField::Relevance, None)
        } else {
            (OrderField::Name, None)
        });
        let refuse = |message: String| Err(Error::bad_user_input(message));
        if field == OrderField::Relevance {
            if !searched {
                return refuse("orderBy.field: RELEVANCE needs a search".to_owned());
            }
            if direction.is_some() {
                return refuse(
                    "orderBy.direction must be left out with RELEVANCE, which is best first"
                        .to_owned(),
                );
            }
        }
        if then_by.len() > THEN_BY {
            return refuse(format!("thenBy must have at most {THEN_BY} orders"));
        }
        let mut fields = vec![field];
        for (index, (field, _)) in then_by.iter().enumerate() {
            if *field == OrderField::Relevance {
                return refuse(format!(
                    "thenBy[{index}].field: RELEVANCE can be given as orderBy alone"
                ));
            }
            if fields.contains(field) {
                return refuse(format!(
                    "thenBy[{index}].field is ordered by already: name each field once"
                ));
            }
            fields.push(*field);
        }
        Ok(Self {
            first: Key::new((field, direction)),
            then_by: then_by.into_iter().map(Key::new).collect(),
        })
    }

    /// Returns whether it has orders after the first, which no index serves.
    pub(crate) fn is_compound(&self) -> bool {
        !self.then_by.is_empty()
    }

    /// Returns the keys of rows, before their ids.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let first = self.first;
        let mut keys = vec![first];
        if self.then_by.is_empty() && first.field.goes_on_by_name() {
            let name = Key::new((OrderField::Name, None));
            let direction = if first.direction == first.field.natural() {
                name.direction
            } else {
                name.direction.reverse()
            };
            keys.push(Key { direction, ..name });
        }
        keys.extend(&self.then_by);
        keys
    }

    /// Returns the direction of ties by id. Reversing all directions gives the exact reverse, so one index serves both.
    pub(crate) fn ties(&self) -> Direction {
        let last = self.then_by.last().unwrap_or(&self.first);
        last.field.ties(last.direction)
    }

    /// Compares two rows by their order when they are read from an end of the list.
    pub(crate) fn compare(&self, a: &Position, b: &Position, end: End) -> Ordering {
        let directed = |ordering: Ordering, direction| {
            if is_ascending(direction, end) {
                ordering
            } else {
                ordering.reverse()
            }
        };
        let keys = self.keys().into_iter().zip(a.keys.iter().zip(&b.keys));
        let keys = keys.map(|(key, (a, b))| {
            let nones = directed(a.is_none().cmp(&b.is_none()), Direction::Asc);
            nones.then_with(|| directed(a.cmp(b), key.direction))
        });
        let keys = keys.fold(Ordering::Equal, Ordering::then);
        keys.then_with(|| directed(a.id.cmp(&b.id), self.ties()))
    }
}

impl SortKey {
    /// Returns whether the row has no value of the field.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::Maybe(None))
    }
}
