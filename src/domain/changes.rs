//! The log of changes, as one viewer may read it.
//!
//! Invariant: a change shows a viewer only what they saw before it or see after it. What went out of their sight and what
//! was deleted look the same, and a filter knows nothing of a side that they did not see.

mod page;
mod values;

pub use page::SCAN;
pub(crate) use page::{Feed, History, Log, Page, PageMarks, Paging, Place, Window};
pub(crate) use values::{FieldChange, Stored, Value};

use std::sync::Arc;

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Outcome, Timestamp,
    UserKey,
};

use crate::error::{Result, UpdateConflict};

use super::{
    cursor::LogPosition,
    field::{ChangedField, Field},
    field_values,
    listing::{Members, Record, State, lists_within},
    viewer::{Ownership, Sight},
};

/// A change as the log has it, for nobody's eyes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The state that it brought the catalogue to.
    pub(crate) position: LogPosition,
    pub(crate) personal_connector_id: String,
    pub(crate) organization: Option<String>,
    /// The connector before, unless the change created it.
    pub(crate) before: Option<Side>,
    /// The connector after, unless the change deleted it.
    pub(crate) after: Option<Side>,
    /// The fields that differ.
    pub(crate) fields: Vec<FieldChange>,
    /// The connector's revision after the change; the last one of a connector that was deleted.
    pub(crate) revision: i64,
    /// The user who made the change; none for a change by a file.
    pub(crate) actor: Option<String>,
    pub(crate) actor_organization: Option<String>,
    pub(crate) occurred_at: Timestamp,
}

/// The fields of a connector that the event log stores, before or after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) r#type: ConnectorType,
    pub(crate) visibility: ConnectorVisibility,
    pub(crate) created_by: Option<String>,
    pub(crate) category: Option<ConnectorCategory>,
    pub(crate) status: ConnectorStatus,
    /// None where the event does not carry it: an earlier version wrote it.
    pub(crate) record: Option<Record>,
}

/// A change as one viewer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The position to go on after, for a client that has read this change.
    pub position: LogPosition,
    pub(crate) kind: Kind,
    pub(crate) personal_connector_id: String,
    /// The fields that differ; none unless the kind is `Updated`.
    pub(crate) fields: Vec<FieldChange>,
    /// The connector's revision after the change; the last that the viewer saw, if the kind is `Deleted`.
    pub(crate) revision: i64,
    /// The user who made it, if the viewer may know them.
    pub(crate) actor: Option<UserKey>,
    pub(crate) occurred_at: Timestamp,
    /// Whether the connector was in the list of the filter before the change, as far as the viewer saw it, and is after it. None
    /// without a list, and where the event does not carry enough to tell.
    pub(crate) in_list: [Option<bool>; 2],
    /// The outcome before the change. None where the viewer did not see the connector, before the first check, and where the event
    /// does not carry it.
    pub(crate) outcome_before: Option<Outcome>,
}

/// The kind of a change, as one viewer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It came into sight.
    Created,
    /// It was in sight, and is.
    Updated,
    /// It went out of sight, or is gone.
    Deleted,
}

/// Restricts the connectors whose changes are shown: what a restriction names must be true before or after the change.
/// None of a field: no restriction; an empty list: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub(crate) personal_connector_id: Option<Vec<String>>,
    /// The type is one of these.
    pub r#type: Option<Vec<ConnectorType>>,
    /// The category is one of these. A connector without one does not match.
    pub category: Option<Vec<ConnectorCategory>>,
    /// The status is one of these.
    pub status: Option<Vec<ConnectorStatus>>,
    /// The connector is in this list, or that cannot be told. It need not be on the side that the others hold for.
    pub(crate) list: Option<Arc<Members>>,
}

impl Event {
    /// An event of which nothing is known but its position.
    pub(crate) fn told_to_nobody(position: LogPosition) -> Self {
        Self {
            position,
            personal_connector_id: String::new(),
            organization: None,
            before: None,
            after: None,
            fields: Vec::new(),
            revision: 0,
            actor: None,
            actor_organization: None,
            occurred_at: Timestamp(0),
        }
    }

    /// The change as a viewer of this sight sees it; none if they do not.
    pub(crate) fn seen_by(&self, sight: &Sight, filter: &Filter) -> Option<Change> {
        self.seen_and_listed(sight, filter, true)
    }

    /// The same, where the filter has a list. A viewer who no longer sees the connector is told its values by no list: what these
    /// decide is unknown.
    pub(crate) fn seen_and_listed(
        &self,
        sight: &Sight,
        filter: &Filter,
        is_seen_now: bool,
    ) -> Option<Change> {
        let [before, after] = [&self.before, &self.after].map(|side| {
            let side = side.as_ref();
            side.filter(|side| sight.sees(self.ownership(side)))
        });
        let matches = |side: Option<&Side>| {
            side.is_some_and(|side| filter.matches(&self.personal_connector_id, side))
        };
        if !matches(before) && !matches(after) {
            return None;
        }
        let in_list = [before, after].map(|side| {
            let list = filter.list.as_ref()?;
            // Nobody has a connector in a list that they do not see.
            side.map_or(Some(false), |side| {
                let state = self.state(side);
                let record = state.record.filter(|_| is_seen_now);
                list.has(State { record, ..state }, sight)
            })
        });
        if in_list == [Some(false); 2] {
            return None;
        }
        let outcome_before = before.and_then(|before| before.record.as_ref()?.outcome);
        let kind = match (before, after) {
            (None, _) => Kind::Created,
            (Some(_), Some(_)) => Kind::Updated,
            (Some(_), None) => Kind::Deleted,
        };
        let fields = match kind {
            Kind::Updated => self.fields_of(sight),
            // Nothing of a side that they did not see.
            Kind::Created | Kind::Deleted => Vec::new(),
        };
        let (actor, of) = (self.actor.as_ref(), self.actor_organization.as_deref());
        let sees_actor = kind != Kind::Deleted && sight.knows(actor.map(String::as_str), of);
        // A connector out of sight is one revision on, by which it would differ from one that is gone.
        let hidden = kind == Kind::Deleted && self.after.is_some();
        Some(Change {
            position: self.position,
            kind,
            personal_connector_id: self.personal_connector_id.clone(),
            fields,
            revision: self.revision - i64::from(hidden),
            actor: actor.cloned().filter(|_| sees_actor).map(|id| UserKey {
                organization: self.actor_organization.clone(),
                id,
            }),
            occurred_at: self.occurred_at,
            in_list,
            outcome_before,
        })
    }

    /// The fields that differ, of which the owner's have the values that a viewer of this sight sees.
    fn fields_of(&self, sight: &Sight) -> Vec<FieldChange> {
        let sees_owner = [&self.before, &self.after].map(|side| {
            side.as_ref()
                .is_some_and(|side| sight.sees_owner(self.ownership(side)))
        });
        let is_owner = |field: ChangedField| {
            matches!(
                field,
                ChangedField::Of(Field::CreatedBy | Field::OrganizationId)
            )
        };
        let shown = |change: &FieldChange| {
            let [before, after] = sees_owner.map(|sees| sees || !is_owner(change.field));
            (before || after).then(|| FieldChange {
                field: change.field,
                before: change.before.clone().filter(|_| before),
                after: change.after.clone().filter(|_| after),
            })
        };
        self.fields.iter().filter_map(shown).collect()
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let values = self
            .fields
            .iter()
            .flat_map(|change| [&change.before, &change.after]);
        let texts: usize = values.flatten().map(|value| value.text().len()).sum();
        let sides = [&self.before, &self.after].into_iter().flatten();
        let records = sides.filter_map(|side| side.record.as_ref());
        let records: usize = records.map(Record::text_bytes).sum();
        size_of::<Self>() + self.fields.len() * size_of::<FieldChange>() + texts + records
    }

    /// The connector before and after, as far as the event carries it. None where there was none. For nobody's eyes as it is.
    pub fn states(&self) -> [Option<State<'_>>; 2] {
        [&self.before, &self.after].map(|side| side.as_ref().map(|side| self.state(side)))
    }

    fn state<'a>(&'a self, side: &'a Side) -> State<'a> {
        State {
            id: &self.personal_connector_id,
            ownership: self.ownership(side),
            category: side.category,
            status: side.status,
            record: side.record.as_ref(),
        }
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

/// A connector as it is now, to a caller who expected it at a revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unexpected {
    pub(crate) expected: i64,
    pub(crate) revision: i64,
    pub(crate) updated_at: Timestamp,
}

impl Unexpected {
    /// The changes since the expected revision, as a viewer sees them. `events` are the connector's last ones that raised its revision
    /// above the expected one, in order.
    pub(crate) fn conflict(self, sight: &Sight, events: &[Event]) -> UpdateConflict {
        let seen = events.iter();
        let seen = seen.map(|event| (event.revision, event.seen_by(sight, &Filter::default())));
        let seen: Vec<_> = seen.collect();
        let last = seen.last().filter(|(to, _)| *to == self.revision);
        let last = last.and_then(|(_, change)| change.as_ref());
        let expected = self.expected.saturating_add(1)..=self.revision;
        let is_whole = !expected.is_empty() && seen.iter().map(|(to, _)| *to).eq(expected);
        let changed_fields = is_whole.then(|| {
            let mut fields = Vec::new();
            for (_, change) in &seen {
                // Nothing is known of a change that brought it into sight.
                let change = change
                    .as_ref()
                    .filter(|change| change.kind == Kind::Updated)?;
                for change in &change.fields {
                    let name = change.field.name();
                    if !fields.contains(&name) {
                        fields.push(name);
                    }
                }
            }
            Some(fields)
        });
        UpdateConflict {
            revision: self.revision,
            actor: last.and_then(|change| change.actor.clone()),
            occurred_at: last.map_or(self.updated_at, |change| change.occurred_at),
            changed_fields: changed_fields.flatten(),
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
            (
                "personalConnectorId",
                self.personal_connector_id.as_ref().map(Vec::len),
            ),
            ("type", self.r#type.as_ref().map(Vec::len)),
            ("category", self.category.as_ref().map(Vec::len)),
            ("status", self.status.as_ref().map(Vec::len)),
        ];
        lists_within("a filter", lists)?;
        if let Some(ids) = &mut self.personal_connector_id {
            // Among the others is text with NUL, which PostgreSQL does not take.
            ids.retain(|id| field_values::is_id(id));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
