//! The log of changes, as one viewer may read it.
//!
//! Invariant: a viewer is told of a change only what they saw before it or see after it. What went out of their sight and what
//! was deleted look the same, and a filter knows nothing of a side that they did not see.

use entity::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};

use crate::error::{Code, Error, Result};

use super::{
    cursor, fields,
    listing::{FILTER_VALUES, limit},
    viewer::{Ownership, Sight},
};

/// Events that a page looks at: what lies between two of a viewer's may be long.
pub const SCAN: i64 = 10_000;

/// A change as the log has it, for nobody's eyes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The state that it brought the catalogue to.
    pub number: i64,
    pub personal_connector_id: String,
    pub organization: Option<String>,
    /// The connector before, unless the change created it.
    pub before: Option<Side>,
    /// The connector after, unless the change deleted it.
    pub after: Option<Side>,
    /// GraphQL names of the fields that differ.
    pub fields: Vec<String>,
    /// The connector's revision after the change; the last one of a connector that was deleted.
    pub revision: i64,
    /// Who made the change, unless it was a file.
    pub actor: Option<String>,
    pub actor_organization: Option<String>,
    pub occurred_at: Timestamp,
}

/// What the log keeps of a connector before, or after, a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    pub r#type: ConnectorType,
    pub visibility: ConnectorVisibility,
    pub created_by: Option<String>,
    pub category: Option<ConnectorCategory>,
    pub status: ConnectorStatus,
}

/// A change as one viewer is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub number: i64,
    pub kind: Kind,
    pub personal_connector_id: String,
    /// GraphQL names of the fields that differ; none unless the kind is `Updated`.
    pub fields: Vec<String>,
    /// The connector's revision after the change; the last that the viewer saw, if the kind is `Deleted`.
    pub revision: i64,
    pub actor: Option<String>,
    pub occurred_at: Timestamp,
}

/// What a change is to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It came into sight.
    Created,
    /// It was in sight, and is.
    Updated,
    /// It went out of sight, or is gone.
    Deleted,
}

/// Of which connectors changes are told: what a restriction names must be true before or after the change. None of a field: no
/// restriction; an empty list: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub personal_connector_id: Option<Vec<String>>,
    pub r#type: Option<Vec<ConnectorType>>,
    pub category: Option<Vec<ConnectorCategory>>,
    pub status: Option<Vec<ConnectorStatus>>,
}

/// A page of changes as somebody wants to read it.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The state after which it begins; none for all that is kept.
    pub after: Option<i64>,
    pub limit: u64,
    pub filter: Filter,
}

/// The changes of a page, the state that it reaches to, and whether there are more beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub changes: Vec<Change>,
    pub end: i64,
    pub more: bool,
}

/// What the log keeps: every event above `forgotten`, up to `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub forgotten: i64,
    pub state: i64,
}

/// Events by number: those above `after`, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub after: i64,
    pub to: i64,
}

impl Event {
    /// What a viewer of this sight is told of it, if they are told anything.
    pub fn seen_by(&self, sight: &Sight, filter: &Filter) -> Option<Change> {
        let seen = |side: &Option<Side>| {
            side.as_ref()
                .filter(|side| sight.sees(self.ownership(side)))
                .cloned()
        };
        let (before, after) = (seen(&self.before), seen(&self.after));
        let matches = |side: &Option<Side>| {
            side.as_ref()
                .is_some_and(|side| filter.matches(&self.personal_connector_id, side))
        };
        if !matches(&before) && !matches(&after) {
            return None;
        }
        let kind = match (&before, &after) {
            (None, _) => Kind::Created,
            (Some(_), Some(_)) => Kind::Updated,
            (Some(_), None) => Kind::Deleted,
        };
        let sees_owner = [&before, &after]
            .into_iter()
            .flatten()
            .any(|side| sight.sees_owner(self.ownership(side)));
        let told = |field: &&String| {
            sees_owner || !matches!(field.as_str(), "createdBy" | "organizationId")
        };
        let fields = match kind {
            Kind::Updated => self.fields.iter().filter(told).cloned().collect(),
            Kind::Created | Kind::Deleted => Vec::new(),
        };
        let sees_actor = kind != Kind::Deleted
            && sight.knows(self.actor.as_deref(), self.actor_organization.as_deref());
        // A connector out of sight is one revision on, by which it would differ from one that is gone.
        let hidden = kind == Kind::Deleted && self.after.is_some();
        Some(Change {
            number: self.number,
            kind,
            personal_connector_id: self.personal_connector_id.clone(),
            fields,
            revision: self.revision - i64::from(hidden),
            actor: self.actor.clone().filter(|_| sees_actor),
            occurred_at: self.occurred_at,
        })
    }

    fn ownership<'a>(&'a self, side: &'a Side) -> Ownership<'a> {
        Ownership {
            r#type: side.r#type,
            visibility: side.visibility,
            organization: self.organization.as_deref(),
            created_by: side.created_by.as_deref(),
        }
    }
}

impl Filter {
    fn matches(&self, id: &str, side: &Side) -> bool {
        fn allows<T: PartialEq>(list: Option<&Vec<T>>, value: Option<T>) -> bool {
            list.is_none_or(|list| value.is_some_and(|value| list.contains(&value)))
        }
        let ids = self.personal_connector_id.as_ref();
        ids.is_none_or(|ids| ids.iter().any(|one| one == id))
            && allows(self.r#type.as_ref(), Some(side.r#type))
            && allows(self.category.as_ref(), side.category)
            && allows(self.status.as_ref(), Some(side.status))
    }

    fn parse(mut self) -> Result<Self> {
        let lists = [
            self.personal_connector_id.as_ref().map(Vec::len),
            self.r#type.as_ref().map(Vec::len),
            self.category.as_ref().map(Vec::len),
            self.status.as_ref().map(Vec::len),
        ];
        if lists.into_iter().flatten().any(|len| len > FILTER_VALUES) {
            return Err(Error::bad_user_input(format!(
                "filter must have at most {FILTER_VALUES} values in a list"
            )));
        }
        if let Some(ids) = &mut self.personal_connector_id {
            // Among the others is text with NUL, which PostgreSQL does not take.
            ids.retain(|id| fields::is_id(id));
        }
        Ok(self)
    }
}

impl Feed {
    /// Every refusal is `BAD_USER_INPUT` and names the argument.
    pub fn parse(after: Option<&str>, first: Option<i32>, filter: Filter) -> Result<Self> {
        Ok(Self {
            after: after
                .map(|text| cursor::parse_of_changes("after", text))
                .transpose()?,
            limit: limit("first", first)?,
            filter: filter.parse()?,
        })
    }
}

impl Page {
    /// Of the first events in a span, one more than the page may have.
    pub fn new(feed: &Feed, sight: &Sight, log: Log, span: Span, mut events: Vec<Event>) -> Self {
        let cut = events.len() as u64 > feed.limit;
        let end = if cut {
            events.pop();
            events.last().map_or(span.after, |event| event.number)
        } else {
            span.to
        };
        Self {
            changes: events
                .iter()
                .filter_map(|event| event.seen_by(sight, &feed.filter))
                .collect(),
            end,
            more: end < log.state,
        }
    }
}

impl Log {
    /// The events that a page after a state looks at. `CURSOR_EXPIRED` where some that followed it are forgotten, or there was
    /// no such state.
    pub fn span(self, after: Option<i64>) -> Result<Span> {
        let after = after.unwrap_or(self.forgotten);
        let expired = |why: &str| {
            let message = format!(
                "after {why}: start over: list the connectors, then follow from the list's changesCursor"
            );
            Err(Error::new(Code::CursorExpired, message))
        };
        if after < self.forgotten {
            return expired("is older than the changes that are kept");
        }
        if after > self.state {
            return expired(
                "is ahead of this catalogue, as a cursor of another one, or from before a backup was restored",
            );
        }
        Ok(Span {
            after,
            to: self.state.min(after + SCAN),
        })
    }
}
