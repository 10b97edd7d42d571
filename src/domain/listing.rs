//! How a list is asked for: search, filter, order and page.
//!
//! Invariant: a [`Listing`] is right in itself; whatever a client may get wrong was refused when it was made.

use std::{cmp::Ordering, ops::Range};

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Outcome, ServerType,
    Timestamp,
};
use indexmap::IndexSet;
use serde::Serialize;

use crate::error::{Error, Result};

use super::{
    cursor::{Cursor, Digest, Position},
    fields,
    inspection::TOOL_NAME_BYTES,
    order::{Direction, OrderField},
    text,
};

pub const PAGE_DEFAULT: u64 = 20;
pub const PAGE_MAX: u64 = 100;
pub const SEARCH_CHARS: usize = 256;
pub const FILTER_LEVELS: usize = 5;
pub const FILTER_CONDITIONS: usize = 100;
pub const FILTER_VALUES: usize = 100;

/// A list of connectors as somebody wants to see it.
#[derive(Clone, Debug)]
pub struct Listing {
    pub search: Option<Search>,
    pub filter: Filter,
    pub order: Order,
    pub page: Page,
    digest: Digest,
}

/// The words of a search, folded; the last one is the beginning of a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Search {
    /// The whole search, folded as names are.
    pub key: String,
    pub words: IndexSet<String>,
}

/// What must hold for a connector to be in the list. None of a field: no restriction; an empty list: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    pub id: Option<Vec<String>>,
    pub r#type: Option<Vec<ConnectorType>>,
    pub category: Option<Vec<ConnectorCategory>>,
    pub status: Option<Vec<ConnectorStatus>>,
    pub server_type: Option<Vec<ServerType>>,
    pub visibility: Option<Vec<ConnectorVisibility>>,
    pub connector_id: Option<Vec<String>>,
    pub created_by: Option<Vec<String>>,
    /// What the last check of its server came to.
    pub outcome: Option<Vec<Outcome>>,
    pub tool_name: Option<Vec<String>>,
    pub created_at: Option<TimeRange>,
    pub updated_at: Option<TimeRange>,
    pub and: Option<Vec<Filter>>,
    pub or: Option<Vec<Filter>>,
    pub not: Option<Box<Filter>>,
}

/// From `gte` on, before `lt`; an end that is none is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    #[serde(serialize_with = "micros")]
    pub gte: Option<Timestamp>,
    #[serde(serialize_with = "micros")]
    pub lt: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    pub field: OrderField,
    pub direction: Direction,
}

/// Which part of the list: `limit` rows from one end of what lies between two positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub end: End,
    pub limit: u64,
    pub after: Option<Cursor>,
    pub before: Option<Cursor>,
}

/// Which end of the list a page is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    First,
    Last,
}

/// A list as a client's arguments ask for it.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    pub search: Option<String>,
    pub filter: Option<Filter>,
    pub order: Option<(OrderField, Option<Direction>)>,
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

impl Listing {
    /// Every refusal is `BAD_USER_INPUT` and names the argument.
    pub fn parse(arguments: Arguments) -> Result<Self> {
        let search = arguments
            .search
            .as_deref()
            .map(Search::parse)
            .transpose()?
            .flatten();
        let mut filter = arguments.filter.unwrap_or_default();
        filter.check()?;
        filter.normalise();
        let order = Order::parse(arguments.order, search.is_some())?;
        let digest = Digest::of(&(&search, &filter, order));
        let (end, limit) = match (arguments.first, arguments.last) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_user_input(
                    "first and last: give one of the two, not both",
                ));
            }
            (first, None) => (End::First, limit("first", first)?),
            (None, last) => (End::Last, limit("last", last)?),
        };
        let cursor = |name, text: Option<String>| {
            text.map(|text| Cursor::parse(name, text, &digest, order.field))
                .transpose()
        };
        let page = Page {
            end,
            limit,
            after: cursor("after", arguments.after)?,
            before: cursor("before", arguments.before)?,
        };
        Ok(Self {
            search,
            filter,
            order,
            page,
            digest,
        })
    }

    /// A whole list by name, to be read from its beginning in pages of `limit`.
    pub fn walk(filter: Filter, limit: u64) -> Self {
        let order = Order {
            field: OrderField::Name,
            direction: Direction::Asc,
        };
        Self {
            search: None,
            digest: Digest::of(&(None::<Search>, &filter, order)),
            filter,
            order,
            page: Page {
                end: End::First,
                limit,
                after: None,
                before: None,
            },
        }
    }

    /// Turns to the page after a position.
    pub fn go_on(&mut self, after: Position) {
        self.page.after = Some(Cursor::new(after, &self.digest));
    }

    /// The cursor of a row of this list.
    pub fn cursor(&self, position: Position) -> String {
        Cursor::new(position, &self.digest).text
    }
}

/// A page's size; `0` is a page of nothing.
pub fn limit(argument: &str, given: Option<i32>) -> Result<u64> {
    let Some(given) = given else {
        return Ok(PAGE_DEFAULT);
    };
    u64::try_from(given)
        .ok()
        .filter(|given| *given <= PAGE_MAX)
        .ok_or_else(|| Error::bad_user_input(format!("{argument} must be from 0 to {PAGE_MAX}")))
}

impl Search {
    pub(super) fn parse(search: &str) -> Result<Option<Self>> {
        if search.chars().nth(SEARCH_CHARS).is_some() {
            return Err(Error::bad_user_input(format!(
                "search must be at most {SEARCH_CHARS} characters"
            )));
        }
        let search = search.trim();
        Ok((!search.is_empty()).then(|| Self {
            // PostgreSQL does not take NUL, and no name has one.
            key: text::name_key(search).replace('\0', "\u{fffd}"),
            words: text::words(search),
        }))
    }
}

impl Order {
    /// Ties go up by id in the field's natural direction; the other direction is the exact reverse, so that one index serves both.
    pub fn ties(self) -> Direction {
        if self.direction == self.field.natural() {
            Direction::Asc
        } else {
            Direction::Desc
        }
    }

    /// Which of two rows comes first when they are read from an end of the list.
    pub fn compare(self, a: &Position, b: &Position, end: End) -> Ordering {
        let keys = (a.key.cmp(&b.key), self.direction);
        let ids = (a.id.cmp(&b.id), self.ties());
        let [keys, ids] = [keys, ids].map(|(ordering, direction)| {
            if is_ascending(direction, end) {
                ordering
            } else {
                ordering.reverse()
            }
        });
        keys.then(ids)
    }

    fn parse(given: Option<(OrderField, Option<Direction>)>, searched: bool) -> Result<Self> {
        let (field, direction) = given.unwrap_or(if searched {
            (OrderField::Relevance, None)
        } else {
            (OrderField::Name, None)
        });
        if field == OrderField::Relevance {
            if !searched {
                return Err(Error::bad_user_input(
                    "orderBy.field: RELEVANCE needs a search",
                ));
            }
            if direction.is_some() {
                return Err(Error::bad_user_input(
                    "orderBy.direction must be left out with RELEVANCE, which is best first",
                ));
            }
        }
        Ok(Self {
            field,
            direction: direction.unwrap_or(field.natural()),
        })
    }
}

/// Whether rows come up in a direction when they are read from an end of the list.
pub fn is_ascending(direction: Direction, end: End) -> bool {
    (direction == Direction::Asc) == (end == End::First)
}

impl Filter {
    /// This filter without its own top-level restrictions of the dimensions that facets count.
    #[must_use]
    pub fn without_facets(&self) -> Self {
        Self {
            category: None,
            status: None,
            r#type: None,
            server_type: None,
            outcome: None,
            ..self.clone()
        }
    }

    fn check(&self) -> Result<()> {
        let too = |what: &str, most: usize| {
            Err(Error::bad_user_input(format!(
                "filter must have at most {most} {what}"
            )))
        };
        let mut conditions = 0;
        let mut queue = vec![(self, 1)];
        while let Some((filter, level)) = queue.pop() {
            if level > FILTER_LEVELS {
                return too("levels of and, or, not", FILTER_LEVELS);
            }
            let lists = [
                filter.id.as_ref().map(Vec::len),
                filter.r#type.as_ref().map(Vec::len),
                filter.category.as_ref().map(Vec::len),
                filter.status.as_ref().map(Vec::len),
                filter.server_type.as_ref().map(Vec::len),
                filter.visibility.as_ref().map(Vec::len),
                filter.connector_id.as_ref().map(Vec::len),
                filter.created_by.as_ref().map(Vec::len),
                filter.outcome.as_ref().map(Vec::len),
                filter.tool_name.as_ref().map(Vec::len),
                filter.and.as_ref().map(Vec::len),
                filter.or.as_ref().map(Vec::len),
            ];
            if lists.into_iter().flatten().any(|len| len > FILTER_VALUES) {
                return too("values in a list", FILTER_VALUES);
            }
            conditions += lists[..10].iter().flatten().count()
                + usize::from(filter.created_at.is_some())
                + usize::from(filter.updated_at.is_some());
            if conditions > FILTER_CONDITIONS {
                return too("conditions", FILTER_CONDITIONS);
            }
            let children = [&filter.and, &filter.or].into_iter().flatten().flatten();
            queue.extend(
                children
                    .chain(filter.not.as_deref())
                    .map(|child| (child, level + 1)),
            );
        }
        Ok(())
    }

    /// Brings filters that say the same in another order to one form, and drops values that no connector can have.
    /// Whether it restricts tools' names, of which some are frequent and most are rare.
    pub fn names_tools(&self) -> bool {
        let lists = [&self.and, &self.or].into_iter().flatten().flatten();
        let mut nested = lists.chain(self.not.as_deref());
        self.tool_name.is_some() || nested.any(Self::names_tools)
    }

    fn normalise(&mut self) {
        fn sort<T: Ord>(list: &mut Option<Vec<T>>) {
            if let Some(list) = list {
                list.sort_unstable();
                list.dedup();
            }
        }
        let sort_text = |list: &mut Option<Vec<String>>, chars: Range<usize>| {
            if let Some(list) = list {
                // Among them is text with NUL, which PostgreSQL does not take.
                list.retain(|text| chars.contains(&text.len()) && !text.contains('\0'));
            }
            sort(list);
        };
        if let Some(ids) = &mut self.id {
            ids.retain(|id| fields::is_id(id));
        }
        sort(&mut self.id);
        sort(&mut self.r#type);
        sort(&mut self.category);
        sort(&mut self.status);
        sort(&mut self.server_type);
        sort(&mut self.visibility);
        sort_text(&mut self.connector_id, 1..fields::CONNECTOR_ID_CHARS + 1);
        sort_text(&mut self.created_by, 1..4 * fields::PRINCIPAL_CHARS + 1);
        sort(&mut self.outcome);
        sort_text(&mut self.tool_name, 1..TOOL_NAME_BYTES + 1);
        for child in [&mut self.and, &mut self.or]
            .into_iter()
            .flatten()
            .flatten()
        {
            child.normalise();
        }
        if let Some(child) = &mut self.not {
            child.normalise();
        }
    }
}

#[expect(clippy::ref_option, reason = "serde hands a reference to the field")]
fn micros<S: serde::Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.0).serialize(serializer)
}
