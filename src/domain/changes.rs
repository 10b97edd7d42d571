//! The event log, filtered for one viewer.
//!
//! Invariant: a change shows a viewer only what they saw before it or see after it. A connector that became invisible
//! looks like a deleted one. A filter ignores the side that they did not see.

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

/// A stored change, which must be filtered before a viewer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The position of the catalogue after it.
    pub(crate) position: LogPosition,
    pub(crate) personal_connector_id: String,
    pub(crate) organization: Option<String>,
    /// The connector before; none if the change created it.
    pub(crate) before: Option<Side>,
    /// The connector after; none if the change deleted it.
    pub(crate) after: Option<Side>,
    /// The changed fields.
    pub(crate) fields: Vec<FieldChange>,
    /// The connector's revision after the change, or the last one of a deleted connector.
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
    /// The state for searches and filters; none in events of earlier versions.
    pub(crate) record: Option<Record>,
}

/// A change as one viewer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The position of this change, to continue after.
    pub position: LogPosition,
    pub(crate) kind: Kind,
    pub(crate) personal_connector_id: String,
    /// The changed fields; empty unless the kind is `Updated`.
    pub(crate) fields: Vec<FieldChange>,
    /// The connector's revision after the change; for `Deleted`, the last one that the viewer saw.
    pub(crate) revision: i64,
    /// The user who made it, if the viewer may know them.
    pub(crate) actor: Option<UserKey>,
    pub(crate) occurred_at: Timestamp,
    /// Whether the connector was in the filter's list before the change, as the viewer saw it, and after it. None
    /// without a list, or if the event does not tell.
    pub(crate) in_list: [Option<bool>; 2],
    /// The outcome before the change. None if the viewer did not see the connector, before the first check, and in
    /// events without it.
    pub(crate) outcome_before: Option<Outcome>,
}

/// The kind of a change, as one viewer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It became visible.
    Created,
    /// It was visible, and still is.
    Updated,
    /// It became invisible, or was deleted.
    Deleted,
}

/// Restricts the connectors whose changes are shown. Each restriction must hold before or after the change. An absent
/// field does not restrict; an empty list matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub(crate) personal_connector_id: Option<Vec<String>>,
    /// The type is one of these.
    pub r#type: Option<Vec<ConnectorType>>,
    /// The category is one of these. None stands for connectors without one.
    pub category: Option<Vec<Option<ConnectorCategory>>>,
    /// The status is one of these.
    pub status: Option<Vec<ConnectorStatus>>,
    /// The connector is, or may be, in this list. This need not hold on the same side as the other restrictions.
    pub(crate) list: Option<Arc<Members>>,
}

impl Event {
    /// Creates an event that no viewer sees, with only its position.
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

    /// Returns the change as a viewer sees it; none if they do not.
    pub(crate) fn seen_by(&self, sight: &Sight, filter: &Filter) -> Option<Change> {
        self.seen_and_listed(sight, filter, true)
    }

    /// The same with a list. No list reveals values of a connector that the viewer no longer sees: conditions on them
    /// count as unknown.
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
            // A connector that a viewer does not see is in none of their lists.
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
            // The unseen side reveals nothing.
            Kind::Created | Kind::Deleted => Vec::new(),
        };
        let (actor, of) = (self.actor.as_ref(), self.actor_organization.as_deref());
        let sees_actor = kind != Kind::Deleted && sight.knows(actor.map(String::as_str), of);
        // An invisible connector has one more revision, which would distinguish it from a deleted one.
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

    /// Returns the changed fields; those of the owner have the values that a viewer sees.
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

    /// Estimates the bytes in memory.
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

    /// Returns the connector before and after, as far as the event records it; none if it did not exist. Viewers must
    /// not see it unfiltered.
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

/// The present connector, for a caller who expected another revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unexpected {
    pub(crate) expected: i64,
    pub(crate) revision: i64,
    pub(crate) updated_at: Timestamp,
}

impl Unexpected {
    /// Returns the changes since the expected revision, as a viewer sees them. `events` are the connector's last ones
    /// that raised its revision above the expected one, in order.
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
                // The fields of a change that made it visible are unknown.
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
        fn allows<T: PartialEq>(list: Option<&Vec<T>>, value: &T) -> bool {
            list.is_none_or(|list| list.contains(value))
        }
        let ids = self.personal_connector_id.as_ref();
        ids.is_none_or(|ids| ids.iter().any(|one| one == id))
            && allows(self.r#type.as_ref(), &side.r#type)
            && allows(self.category.as_ref(), &side.category)
            && allows(self.status.as_ref(), &side.status)
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
            // An invalid id may contain NUL, which PostgreSQL refuses.
            ids.retain(|id| field_values::is_id(id));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
