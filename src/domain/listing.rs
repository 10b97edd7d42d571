//! A request for a list: search, filter, order and page.
//!
//! Invariant: a [`Listing`] is valid. Its constructor refuses all errors of a client.

mod correction;
mod highlight;
mod holds;
mod members;
mod record;
mod search;

pub(crate) use correction::{Candidates, CorrectedTerm, Correction};
pub(crate) use highlight::{Fragment, all};
pub(crate) use members::{MEMBERS_BYTES, Members};
pub use record::State;
pub(crate) use record::{Record, Words};
pub(crate) use search::{Search, SearchTerm, SearchWord};

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Outcome, ServerType,
    Timestamp,
};
use serde::Serialize;

use crate::error::{Code, Error, Result};

use super::{
    cursor::{Cursor, Digest},
    field_values,
    inspection::TOOL_NAME_BYTES,
    order::{End, GivenOrder, Order, OrderField, Position},
    server_address, text,
    viewer::Owner,
};

pub(crate) const PAGE_DEFAULT: u64 = 20;
pub(crate) const PAGE_MAX: u64 = 100;
pub(crate) const FILTER_LEVELS: usize = 5;
pub(crate) const FILTER_CONDITIONS: usize = 100;
pub(crate) const FILTER_VALUES: usize = 100;

/// A requested list of connectors.
#[derive(Clone, Debug)]
pub struct Listing {
    pub(crate) search: Option<Search>,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) page: Page,
    /// Set by the first read of the list, or by a cursor of a list with the given words.
    pub(crate) pass: OnceLock<Pass>,
    /// Whether a cursor belongs to the list with replaced words.
    pub(crate) is_forgiving: bool,
    digests: Digests,
}

/// The words with which a list is searched.
#[derive(Clone, Debug)]
pub(crate) enum Pass {
    /// The given words, or none.
    Strict,
    /// Replacements, because the viewer sees no connector with the given words.
    Forgiving(Arc<Correction>),
}

/// The digests of a list with the given words, and with replaced words.
#[derive(Clone, Copy, Debug)]
struct Digests {
    strict: Digest,
    forgiving: Digest,
}

impl Digests {
    fn of(search: Option<&Search>, filter: &Filter, order: &Order) -> Self {
        let asked = (search, filter, order);
        Self {
            strict: Digest::of(&asked),
            forgiving: Digest::of(&(asked, "forgiving")),
        }
    }
}

/// The search and the filter of a list's connectors.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Restriction<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) search: Option<&'a Search>,
}

/// The conditions of a list. An absent field does not restrict it; an empty list matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// The id is one of these. Parsing drops texts that cannot be ids.
    pub id: Option<Vec<String>>,
    /// The type is one of these.
    pub r#type: Option<Vec<ConnectorType>>,
    /// The category is one of these. `None` matches connectors without a category.
    pub category: Option<Vec<Option<ConnectorCategory>>>,
    /// The status is one of these.
    pub status: Option<Vec<ConnectorStatus>>,
    /// The server type is one of these. `None` matches connectors without one.
    pub server_type: Option<Vec<Option<ServerType>>>,
    /// The visibility is one of these.
    pub visibility: Option<Vec<ConnectorVisibility>>,
    /// The kind of connector, such as `github` or `custom_mcp`, is one of these.
    pub connector_id: Option<Vec<String>>,
    /// The id of the creator is one of these, if the viewer sees the creator.
    pub created_by: Option<Vec<String>>,
    /// The organization that the viewer may read is one of these. `None` matches connectors without a readable one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<Vec<Option<String>>>,
    /// Each of these owners owns the connector, or does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owned: Vec<(Owner, bool)>,
    /// The outcome of the server's last check is one of these. `None` matches connectors before their first check.
    /// `NotCheckable` also matches connectors without a server to check.
    pub outcome: Option<Vec<Option<Outcome>>>,
    /// The server has a tool with one of these names.
    pub tool_name: Option<Vec<String>>,
    /// The folded name is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NameMatch>,
    /// The server is at one of these hosts, each with or without a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Vec<String>>,
    /// Whether tools of the server are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_tools: Option<bool>,
    /// The last check of the server was in this range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<TimeRange>,
    /// The share of stored checks that found a working server is in this range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<UptimeRange>,
    /// The connector was created in this range.
    pub created_at: Option<TimeRange>,
    /// The connector last changed in this range.
    pub updated_at: Option<TimeRange>,
    /// All of these filters match; an empty list matches.
    pub and: Option<Vec<Filter>>,
    /// At least one of these filters matches; an empty list does not.
    pub or: Option<Vec<Filter>>,
    /// This filter does not match. It is the exact complement, including connectors without a value.
    pub not: Option<Box<Filter>>,
}

/// From `gte` on, before `lt`. A missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct TimeRange {
    /// The first moment of the range.
    #[serde(serialize_with = "micros")]
    pub gte: Option<Timestamp>,
    /// The first moment after the range.
    #[serde(serialize_with = "micros")]
    pub lt: Option<Timestamp>,
}

/// Restricts a name, without regard to case and accents. Both fields must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NameMatch {
    pub(crate) equals: Option<String>,
    pub(crate) starts_with: Option<String>,
}

impl NameMatch {
    /// Creates it from text of any length, which is folded.
    pub fn new(equals: Option<&str>, starts_with: Option<&str>) -> Self {
        Self {
            equals: equals.map(text::given_key),
            starts_with: starts_with.map(text::given_key),
        }
    }
}

/// From `gte` on, below `lt`, in millionths. A missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UptimeRange {
    pub(crate) gte: Option<i64>,
    pub(crate) lt: Option<i64>,
}

impl UptimeRange {
    /// Creates it from shares from 0 to 1, of which six digits count, as in stored shares.
    pub fn new(gte: Option<f64>, lt: Option<f64>) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a number beyond stays beyond"
        )]
        let millionths = |share: f64| (share * UPTIME_WHOLE).floor() as i64;
        Self {
            gte: gte.map(millionths),
            lt: lt.map(millionths),
        }
    }
}

/// An uptime of 1, as stored.
const UPTIME_WHOLE: f64 = 1_000_000.0;

/// A part of a list: `limit` rows from one end of the rows between two positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) end: End,
    pub(crate) limit: u64,
    pub(crate) after: Option<Cursor>,
    pub(crate) before: Option<Cursor>,
}

/// The arguments of a list, as a client sends them.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// At most 256 characters. Blank text finds everything.
    pub search: Option<String>,
    /// At most 5 levels of `and`, `or` and `not`, 100 conditions, and 100 values in a list.
    pub filter: Option<Filter>,
    /// The field, and a direction if it is not the natural one. The default is relevance with a search, and the name
    /// without.
    pub order: Option<GivenOrder>,
    /// The orders of rows that tie, at most three.
    pub then_by: Vec<GivenOrder>,
    /// The number of rows from the beginning of the list: 0 to 100. Excludes `last`; 20 if neither is given.
    pub first: Option<i32>,
    /// A cursor of this list, after which the page lies.
    pub after: Option<String>,
    /// The number of rows from the end of the list: 0 to 100.
    pub last: Option<i32>,
    /// A cursor of this list, before which the page lies.
    pub before: Option<String>,
}

impl Listing {
    /// Parses the arguments. Errors name the argument: `CURSOR_INVALID` for a cursor, `BAD_USER_INPUT` for others.
    pub fn parse(arguments: Arguments) -> Result<Self> {
        let search = Search::parse("search", arguments.search.as_deref())?;
        let filter = arguments.filter.unwrap_or_default().parse("filter")?;
        let order = Order::parse(arguments.order, arguments.then_by, search.is_some())?;
        let digests = Digests::of(search.as_ref(), &filter, &order);
        let fields: Vec<_> = order.keys().iter().map(|key| key.field).collect();
        let (end, limit) = size(arguments.first, arguments.last)?;
        let mut of_passes = [false; 2];
        let mut cursor = |name, text: Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let parse = |digest| Cursor::parse(name, text.clone(), digest, &fields);
            let forgiving = |error| {
                let cursor = parse(digests.forgiving).map_err(|_| error)?;
                Ok((cursor, true))
            };
            let (cursor, is_forgiving) = parse(digests.strict)
                .map(|cursor| (cursor, false))
                .or_else(forgiving)?;
            of_passes[usize::from(is_forgiving)] = true;
            Ok(Some(cursor))
        };
        let page = Page {
            end,
            limit,
            after: cursor("after", arguments.after)?,
            before: cursor("before", arguments.before)?,
        };
        let pass = match of_passes {
            [true, true] => {
                let message = "after and before are cursors of different lists: the words of one search were replaced";
                return Err(Error::new(Code::CursorInvalid, message));
            }
            [true, false] => OnceLock::from(Pass::Strict),
            _ => OnceLock::new(),
        };
        Ok(Self {
            search,
            filter,
            order,
            page,
            pass,
            is_forgiving: of_passes[1],
            digests,
        })
    }

    pub(crate) fn restriction(&self) -> Restriction<'_> {
        Restriction {
            filter: &self.filter,
            search: self.searched(),
        }
    }

    /// Returns the search with which the list is read, once it is decided.
    pub(crate) fn searched(&self) -> Option<&Search> {
        match self.correction() {
            Some(correction) => Some(&correction.search),
            None => self.search.as_ref(),
        }
    }

    /// Returns the replacements, once they are decided.
    pub(crate) fn correction(&self) -> Option<&Correction> {
        match self.pass.get() {
            Some(Pass::Forgiving(correction)) => Some(correction),
            Some(Pass::Strict) | None => None,
        }
    }

    /// Creates a whole list by name, to be read from its beginning in pages of `limit`.
    pub(crate) fn all_by_name(filter: Filter, limit: u64) -> Self {
        let order = Order::by(OrderField::Name);
        Self {
            search: None,
            pass: OnceLock::from(Pass::Strict),
            is_forgiving: false,
            digests: Digests::of(None, &filter, &order),
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

    /// Continues with the page after a position.
    pub(crate) fn go_on(&mut self, after: Position) {
        self.page.after = Some(Cursor::new(after, self.digest()));
    }

    /// Returns the cursor of a row of this list.
    pub fn cursor(&self, position: Position) -> String {
        Cursor::new(position, self.digest()).text
    }

    fn digest(&self) -> Digest {
        match self.correction() {
            Some(_) => self.digests.forgiving,
            None => self.digests.strict,
        }
    }
}

/// Returns the end of the list from which a page is taken, and its size. `BAD_USER_INPUT` names the arguments.
pub(super) fn size(first: Option<i32>, last: Option<i32>) -> Result<(End, u64)> {
    match (first, last) {
        (Some(_), Some(_)) => Err(Error::bad_user_input(
            "first and last: give one of the two, not both",
        )),
        (first, None) => Ok((End::First, limit("first", first)?)),
        (None, last) => Ok((End::Last, limit("last", last)?)),
    }
}

/// Returns the size of a page; `0` is an empty page.
pub(crate) fn limit(argument: &str, given: Option<i32>) -> Result<u64> {
    limit_within(argument, given, PAGE_DEFAULT, PAGE_MAX)
}

/// Checks the lengths of the lists in a filter, whose name is `filter`. `BAD_USER_INPUT` names the list.
pub(super) fn lists_within(
    filter: &str,
    lists: impl IntoIterator<Item = (&'static str, Option<usize>)>,
) -> Result<()> {
    let mut lists = lists.into_iter();
    let long = lists.find_map(|(name, len)| Some((name, len.filter(|len| *len > FILTER_VALUES)?)));
    long.map_or(Ok(()), |(name, len)| {
        let message =
            format!("the list {name} of {filter} must have at most {FILTER_VALUES} items");
        Err(Error::beyond(message, FILTER_VALUES as u64, len as u64))
    })
}

/// Returns the requested number of items, up to a maximum. `BAD_USER_INPUT` names the argument.
pub(super) fn limit_within(
    argument: &str,
    given: Option<i32>,
    default: u64,
    most: u64,
) -> Result<u64> {
    let Some(given) = given else {
        return Ok(default);
    };
    let message = || format!("{argument} must be from 0 to {most}");
    match u64::try_from(given) {
        Ok(given) if given <= most => Ok(given),
        Ok(given) => Err(Error::beyond(message(), most, given)),
        Err(_) => Err(Error::bad_user_input(message())),
    }
}

impl Filter {
    /// Returns whether a check may change the matches without a new state of the catalogue.
    pub(crate) fn changes_alone(&self) -> bool {
        let several = [&self.and, &self.or].into_iter().flatten().flatten();
        let mut others = several.chain(self.not.as_deref());
        self.checked_at.is_some() || self.uptime.is_some() || others.any(Self::changes_alone)
    }

    /// Returns whether an index leads to the connectors of this filter, and to no others.
    pub(crate) fn is_led_alone(&self) -> bool {
        let mut owned = self.owned.iter();
        let is_led = self.id.is_some() || self.created_by.is_some() || !self.owned.is_empty();
        let of_users = owned.all(|(owner, does)| *does && !matches!(owner, Owner::Organization(_)));
        is_led
            && of_users
            && Self {
                id: None,
                created_by: None,
                owned: Vec::new(),
                ..self.clone()
            } == Self::default()
    }

    /// Returns this filter without its own top-level restrictions of the dimensions that facets count.
    #[must_use]
    pub(crate) fn without_facets(&self) -> Self {
        Self {
            category: None,
            status: None,
            r#type: None,
            server_type: None,
            outcome: None,
            ..self.clone()
        }
    }

    /// Returns this filter without its own top-level restriction of the organization.
    #[must_use]
    pub(crate) fn without_organization(&self) -> Self {
        Self {
            organization_id: None,
            ..self.clone()
        }
    }

    /// Checks and normalises the filter. `BAD_USER_INPUT` names the argument.
    fn parse(mut self, argument: &str) -> Result<Self> {
        self.check(argument)?;
        self.normalise();
        Ok(self)
    }

    fn check(&self, argument: &str) -> Result<()> {
        let name = if argument == "filter" {
            "a filter"
        } else {
            argument
        };
        let too = |what: &str, most: usize, current: usize| {
            let message = format!("{argument} must have at most {most} {what}");
            Err(Error::beyond(message, most as u64, current as u64))
        };
        let mut conditions = 0;
        let mut queue = vec![(self, 0)];
        while let Some((filter, level)) = queue.pop() {
            if level > FILTER_LEVELS {
                return too("levels of and, or and not", FILTER_LEVELS, level);
            }
            let lists = [
                ("id", filter.id.as_ref().map(Vec::len)),
                ("type", filter.r#type.as_ref().map(Vec::len)),
                ("category", filter.category.as_ref().map(Vec::len)),
                ("status", filter.status.as_ref().map(Vec::len)),
                ("serverType", filter.server_type.as_ref().map(Vec::len)),
                ("visibility", filter.visibility.as_ref().map(Vec::len)),
                ("connectorId", filter.connector_id.as_ref().map(Vec::len)),
                ("createdBy", filter.created_by.as_ref().map(Vec::len)),
                (
                    "organizationId",
                    filter.organization_id.as_ref().map(Vec::len),
                ),
                ("outcome", filter.outcome.as_ref().map(Vec::len)),
                ("toolName", filter.tool_name.as_ref().map(Vec::len)),
                ("host", filter.host.as_ref().map(Vec::len)),
            ];
            let filters = [
                ("and", filter.and.as_ref().map(Vec::len)),
                ("or", filter.or.as_ref().map(Vec::len)),
            ];
            lists_within(name, lists.into_iter().chain(filters))?;
            let others = [
                filter.name.is_some(),
                filter.has_tools.is_some(),
                filter.checked_at.is_some(),
                filter.uptime.is_some(),
                filter.created_at.is_some(),
                filter.updated_at.is_some(),
            ];
            conditions += lists.iter().filter(|(_, len)| len.is_some()).count()
                + others.into_iter().filter(|given| *given).count()
                + filter.owned.len();
            if conditions > FILTER_CONDITIONS {
                return too("conditions", FILTER_CONDITIONS, conditions);
            }
            let mut hosts = filter.host.iter().flatten();
            if let Some(host) = hosts.find(|host| server_address::at_host(host).is_none()) {
                return Err(Error::bad_user_input(format!(
                    "{argument}.host must be hosts such as mcp.example.com or localhost:8000, not {host:?}"
                )));
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

    /// Returns whether it restricts tools' names, hosts, names or organizations. Some of these values are frequent, and
    /// most are rare.
    pub(crate) fn is_selective(&self) -> bool {
        let lists = [&self.and, &self.or].into_iter().flatten().flatten();
        let mut nested = lists.chain(self.not.as_deref());
        let mut owned = self.owned.iter();
        self.tool_name.is_some()
            || self.host.is_some()
            || self.name.is_some()
            || self.organization_id.is_some()
            || owned.any(|(owner, _)| matches!(owner, Owner::Organization(_)))
            || nested.any(Self::is_selective)
    }

    /// Returns the number of conditions on the health of connectors.
    pub(crate) fn conditions_of_health(&self) -> usize {
        let lists = [&self.and, &self.or].into_iter().flatten().flatten();
        let nested = lists.chain(self.not.as_deref());
        let own = [
            self.outcome.is_some(),
            self.has_tools.is_some(),
            self.checked_at.is_some(),
            self.uptime.is_some(),
        ];
        own.into_iter().filter(|given| *given).count()
            + nested.map(Self::conditions_of_health).sum::<usize>()
    }

    /// Splits the filter into the restrictions on health, and the rest. Both together equal this filter.
    pub(crate) fn split_health(&self) -> (Self, Self) {
        let looks = |filter: &Self| filter.conditions_of_health() > 0;
        let (of_health, rest) = match &self.and {
            Some(and) => and.iter().cloned().partition(looks),
            None => (Vec::new(), Vec::new()),
        };
        let (or_of_health, or) = match self.or.clone() {
            Some(or) if or.iter().any(looks) => (Some(or), None),
            or => (None, or),
        };
        let (not_of_health, not) = match self.not.clone() {
            Some(not) if looks(&not) => (Some(not), None),
            not => (None, not),
        };
        let of_health = Self {
            outcome: self.outcome.clone(),
            has_tools: self.has_tools,
            checked_at: self.checked_at,
            uptime: self.uptime,
            and: Some(of_health),
            or: or_of_health,
            not: not_of_health,
            ..Self::default()
        };
        let rest = Self {
            outcome: None,
            has_tools: None,
            checked_at: None,
            uptime: None,
            and: Some(rest),
            or,
            not,
            ..self.clone()
        };
        (of_health, rest)
    }

    /// Brings filters with the same meaning to one form, and drops values that no connector can have.
    fn normalise(&mut self) {
        fn sort<T: Ord>(list: &mut Option<Vec<T>>) {
            if let Some(list) = list {
                list.sort_unstable();
                list.dedup();
            }
        }
        // This drops text with NUL too, which PostgreSQL refuses.
        let can_be =
            |text: &str, chars: &Range<usize>| chars.contains(&text.len()) && !text.contains('\0');
        let sort_text = |list: &mut Option<Vec<String>>, chars: Range<usize>| {
            if let Some(list) = list {
                list.retain(|text| can_be(text, &chars));
            }
            sort(list);
        };
        let principal = 1..4 * field_values::PRINCIPAL_CHARS + 1;
        if let Some(ids) = &mut self.id {
            ids.retain(|id| field_values::is_id(id));
        }
        sort(&mut self.id);
        sort(&mut self.r#type);
        sort(&mut self.category);
        sort(&mut self.status);
        sort(&mut self.server_type);
        sort(&mut self.visibility);
        sort_text(
            &mut self.connector_id,
            1..field_values::CONNECTOR_ID_CHARS + 1,
        );
        if let Some(ids) = &mut self.organization_id {
            ids.retain(|id| id.as_ref().is_none_or(|id| can_be(id, &principal)));
        }
        sort(&mut self.organization_id);
        sort_text(&mut self.created_by, principal);
        sort(&mut self.outcome);
        sort_text(&mut self.tool_name, 1..TOOL_NAME_BYTES + 1);
        if let Some(hosts) = &mut self.host {
            let normal = hosts
                .iter()
                .filter_map(|host| server_address::of_host(host));
            *hosts = normal.collect();
        }
        sort(&mut self.host);
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
