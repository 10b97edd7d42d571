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
    /// Who made the change, unless it was a file.
    pub(crate) actor: Option<String>,
    pub(crate) actor_organization: Option<String>,
    pub(crate) occurred_at: Timestamp,
}

/// What the log keeps of a connector before, or after, a change.
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

/// What a change is to a viewer.
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
mod tests {
    use std::fmt::Write;

    use proptest::{option, prelude::*, sample::select};

    use super::*;
    use crate::domain::{
        listing::{self, Words},
        text,
        viewer::{ADMIN, CATALOG_ADMIN, Profile, User, Viewer},
    };
    use ConnectorVisibility::{Organization, Private, Public};

    fn viewer(id: &str, organization: Option<&str>, scopes: &[&str]) -> Viewer {
        Viewer::User(User {
            id: id.to_owned(),
            organization: organization.map(ToOwned::to_owned),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            profile: Profile::default(),
        })
    }

    fn viewers() -> [(&'static str, Viewer); 7] {
        [
            ("anonymous", Viewer::Anonymous),
            ("ann, acme", viewer("ann", Some("acme"), &[])),
            ("bob, acme", viewer("bob", Some("acme"), &[])),
            ("boss, acme", viewer("boss", Some("acme"), &[ADMIN])),
            ("cid, other", viewer("cid", Some("other"), &[ADMIN])),
            ("ann, none", viewer("ann", None, &[])),
            ("root", viewer("root", None, &[CATALOG_ADMIN])),
        ]
    }

    fn side(visibility: ConnectorVisibility) -> Side {
        Side {
            r#type: ConnectorType::Custom,
            visibility,
            created_by: Some("ann".to_owned()),
            category: None,
            status: ConnectorStatus::Active,
            record: None,
        }
    }

    /// A field with values that name it.
    fn changed(field: Field) -> FieldChange {
        let field = ChangedField::Of(field);
        let value = |when| Some(Value::new(field, format!("{when} {}", field.name())));
        FieldChange {
            field,
            before: value("old"),
            after: value("new"),
        }
    }

    /// A change of ann's connector, which bob made as the catalogue's administrator.
    fn event(
        organization: Option<&str>,
        before: Option<ConnectorVisibility>,
        after: Option<ConnectorVisibility>,
    ) -> Event {
        let fields = [Field::Name, Field::CreatedBy, Field::OrganizationId];
        Event {
            position: LogPosition { number: 7, mark: 0 },
            personal_connector_id: "pcon_a".to_owned(),
            organization: organization.map(ToOwned::to_owned),
            before: before.map(side),
            after: after.map(side),
            fields: fields.map(changed).to_vec(),
            revision: 5,
            actor: Some("bob".to_owned()),
            actor_organization: organization.map(ToOwned::to_owned),
            occurred_at: Timestamp(0),
        }
    }

    fn names(fields: &[FieldChange]) -> String {
        let names: Vec<_> = fields.iter().map(|change| change.field.name()).collect();
        names.join(",")
    }

    /// The changes as each viewer sees them, as one table to be read in review.
    #[test]
    fn shown() {
        let mut table = String::new();
        for organization in [Some("acme"), None] {
            let sides = [None, Some(Private), Some(Organization), Some(Public)];
            let meant = |side: &Option<_>| *side != Some(Organization) || organization.is_some();
            for before in sides.into_iter().filter(meant) {
                for after in sides.into_iter().filter(meant) {
                    if before.is_none() && after.is_none() {
                        continue;
                    }
                    let name = |side: Option<ConnectorVisibility>| {
                        side.map_or("-".to_owned(), |side| format!("{side:?}").to_lowercase())
                    };
                    let (from, to) = (name(before), name(after));
                    let of = organization.unwrap_or("none");
                    writeln!(table, "ann's, {of}: {from} → {to}").unwrap();
                    for (who, viewer) in viewers() {
                        let event = event(organization, before, after);
                        let change = event.seen_by(&viewer.sight(), &Filter::default());
                        let seen = change.map_or("nothing".to_owned(), |change| {
                            let Change {
                                kind,
                                fields,
                                revision,
                                actor,
                                ..
                            } = change;
                            let actor = actor.map_or_else(|| "-".to_owned(), |user| user.id);
                            format!("{kind:?} to {revision} by {actor} {}", names(&fields))
                        });
                        writeln!(table, "    {who:<10} {}", seen.trim_end()).unwrap();
                    }
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    /// Ann's expectation of a connector that bob changed twice, as different viewers get told of it.
    #[test]
    fn a_conflict_tells_what_the_viewer_sees() {
        let change = |revision, before, fields: &[&str]| Event {
            revision,
            occurred_at: Timestamp(revision),
            fields: fields
                .iter()
                .map(|name| changed(Field::from_graphql(name).unwrap()))
                .collect(),
            ..event(Some("acme"), before, Some(Public))
        };
        let told = |who: usize, expected, events: &[Event]| {
            let (_, viewer) = &viewers()[who];
            let now = Unexpected {
                expected,
                revision: 4,
                updated_at: Timestamp(9),
            };
            let UpdateConflict {
                revision,
                actor,
                occurred_at: at,
                changed_fields,
            } = now.conflict(&viewer.sight(), events);
            assert_eq!(revision, 4);
            let fields = changed_fields.map(|fields| fields.join(","));
            (actor.map(|user| user.id).unwrap_or_default(), at.0, fields)
        };
        let (anonymous, ann, cid) = (0, 1, 4);
        let some = |fields: &str| Some(fields.to_owned());
        let all = [
            change(3, Some(Public), &["name", "createdBy"]),
            change(4, Some(Public), &["version", "name"]),
        ];
        let bob = "bob".to_owned();
        let expected = (bob.clone(), 4, some("name,createdBy,version"));
        assert_eq!(told(ann, 2, &all), expected);
        let expected = (bob.clone(), 4, some("version,name"));
        assert_eq!(told(ann, 3, &all[1..]), expected);
        let unnamed = (String::new(), 4, some("name,version"));
        assert_eq!(told(cid, 2, &all), unnamed);
        assert_eq!(told(anonymous, 2, &all), unnamed);

        // Not all of the changes are there, or were in sight.
        let unknown = (bob, 4, None);
        assert_eq!(told(ann, 1, &all), unknown);
        assert_eq!(told(ann, 2, &all[1..]), unknown);
        let published = [change(3, Some(Private), &["visibility"]), all[1].clone()];
        assert_eq!(told(cid, 2, &published), (String::new(), 4, None));
        let created = [change(4, None, &[])];
        assert_eq!(told(ann, 3, &created), unknown);
        // The last one is not there.
        assert_eq!(told(ann, 2, &all[..1]), (String::new(), 9, None));
        for never in [4, 5, i64::MAX, i64::MIN] {
            assert_eq!(told(ann, never, &[]), (String::new(), 9, None));
        }
    }

    #[test]
    fn a_filter_knows_only_what_was_seen() {
        let category = |category| Filter {
            category: Some(vec![category]),
            ..Filter::default()
        };
        let (design, custom) = (
            category(ConnectorCategory::Design),
            category(ConnectorCategory::Custom),
        );
        let shown = Event {
            before: Some(Side {
                category: Some(ConnectorCategory::Design),
                ..side(Private)
            }),
            after: Some(Side {
                category: Some(ConnectorCategory::Custom),
                ..side(Public)
            }),
            ..event(Some("acme"), None, None)
        };
        let hidden = Event {
            before: shown.after.clone(),
            after: shown.before.clone(),
            ..shown.clone()
        };
        let none = Filter {
            status: Some(Vec::new()),
            ..Filter::default()
        };
        let sight = Viewer::Anonymous.sight();
        for event in [&shown, &hidden] {
            assert_eq!(event.seen_by(&sight, &design), None);
            assert!(event.seen_by(&sight, &custom).is_some());
            // Who saw both sides finds it by either.
            for filter in [&design, &custom] {
                assert!(event.seen_by(&Sight::Everything, filter).is_some());
            }
            assert_eq!(event.seen_by(&Sight::Everything, &none), None);
        }
    }

    fn sides() -> impl Strategy<Value = Side> {
        (
            select(vec![Private, Organization, Public]),
            option::of(select(vec!["ann", "bob", "cid"])),
            option::of(select(vec![
                ConnectorCategory::Design,
                ConnectorCategory::Custom,
            ])),
            select(vec![ConnectorStatus::Active, ConnectorStatus::Deprecated]),
            option::weighted(0.8, records()),
        )
            .prop_map(|(visibility, created_by, category, status, record)| Side {
                created_by: created_by.map(ToOwned::to_owned),
                category,
                status,
                record,
                ..side(visibility)
            })
    }

    fn records() -> impl Strategy<Value = Record> {
        let outcomes = option::of(select(vec![Outcome::Open, Outcome::Timeout]));
        (select(vec!["Wiki", "Pages"]), outcomes, any::<bool>()).prop_map(
            |(name, outcome, has_tools)| Record {
                server_type: None,
                connector_id: "custom_mcp".to_owned(),
                name_key: text::name_key(name),
                words: Words::of(text::words(name)),
                address: None,
                created_at: Timestamp(0),
                updated_at: Timestamp(0),
                outcome,
                has_tools,
            },
        )
    }

    /// Changes of a list, or of all connectors.
    fn lists() -> impl Strategy<Value = Filter> {
        let by_ann = listing::Filter {
            created_by: Some(vec!["ann".to_owned()]),
            ..listing::Filter::default()
        };
        let not_by_ann = listing::Filter {
            not: Some(Box::new(by_ann.clone())),
            ..listing::Filter::default()
        };
        let works = listing::Filter {
            outcome: Some(vec![Some(Outcome::Open)]),
            ..listing::Filter::default()
        };
        let lists = [
            (None, None),
            (Some("wiki"), None),
            (None, Some(by_ann)),
            (Some("pages"), Some(not_by_ann)),
            (None, Some(works)),
        ];
        let lists = lists.map(|(search, filter)| Members::parse(search, filter).unwrap());
        option::of(select(lists.to_vec())).prop_map(|list| Filter {
            list: list.map(Arc::new),
            ..Filter::default()
        })
    }

    proptest! {
        /// Values of before are shown to those who saw them, and the owner's to those who see owners.
        #[test]
        fn values_are_of_sides_that_were_seen(
            organization in option::of(select(vec!["acme", "other"])),
            before in option::of(sides()), after in option::of(sides()), who in select(viewers().to_vec()),
        ) {
            let sight = who.1.sight();
            let event = Event { before, after, ..event(organization, None, None) };
            let [before, after] = [&event.before, &event.after].map(|side| {
                side.as_ref().map(|side| event.ownership(side)).filter(|side| sight.sees(*side))
            });
            let seen = event.seen_by(&sight, &Filter::default());
            let fields = seen.map_or(Vec::new(), |change| change.fields);
            let is_updated = before.is_some() && after.is_some();
            prop_assert_eq!(fields.iter().any(|change| change.field == ChangedField::Of(Field::Name)), is_updated);
            for change in fields {
                let is_owners = change.field != ChangedField::Of(Field::Name);
                for (value, side) in [(change.before, before), (change.after, after)] {
                    let sees = side.is_some_and(|side| !is_owners || sight.sees_owner(side));
                    prop_assert_eq!(value.is_some(), sees, "{:?}", change.field);
                }
            }
        }

        #[test]
        fn what_is_hidden_looks_like_what_is_deleted(
            organization in option::of(select(vec!["acme", "other"])),
            before in sides(), after in sides(), who in select(viewers().to_vec()), filter in lists(),
        ) {
            let sight = who.1.sight();
            let hidden = Event { before: Some(before), after: Some(after), ..event(organization, None, None) };
            let deleted = Event {
                after: None,
                fields: Vec::new(),
                revision: hidden.revision - 1,
                ..hidden.clone()
            };
            let is_seen = |side: &Option<Side>| sight.sees(hidden.ownership(side.as_ref().unwrap()));
            if !is_seen(&hidden.after) {
                prop_assert_eq!(hidden.seen_by(&sight, &filter), deleted.seen_by(&sight, &filter));
            }
            let created = Event { before: None, ..hidden.clone() };
            if !is_seen(&hidden.before) {
                prop_assert_eq!(hidden.seen_by(&sight, &filter), created.seen_by(&sight, &filter));
            }
        }

        #[test]
        fn a_list_has_what_the_viewer_saw(
            organization in option::of(select(vec!["acme", "other"])),
            before in option::of(sides()), after in option::of(sides()), who in select(viewers().to_vec()), filter in lists(),
        ) {
            let sight = who.1.sight();
            let event = Event { before, after, ..event(organization, None, None) };
            let all = event.seen_by(&sight, &Filter::default());
            let told = event.seen_by(&sight, &filter);
            let Some(list) = &filter.list else {
                prop_assert_eq!(all.as_ref().map(|change| change.in_list), all.is_some().then_some([None; 2]));
                return Ok(());
            };
            // An unseen side is in no list.
            let has = event.states().map(|state| state.map_or(Some(false), |state| list.has(state, &sight)));
            let expected = all.filter(|_| has != [Some(false); 2]);
            prop_assert_eq!(told, expected.map(|change| Change { in_list: has, ..change }));
        }

        #[test]
        fn the_outcome_before_is_of_a_side_that_was_seen(
            before in option::of(sides()), after in sides(), who in select(viewers().to_vec()),
        ) {
            let sight = who.1.sight();
            let event = Event { before, after: Some(after), ..event(Some("acme"), None, None) };
            let seen = event.before.as_ref().filter(|before| sight.sees(event.ownership(before)));
            let outcome = seen.and_then(|before| before.record.as_ref()?.outcome);
            let told = event.seen_by(&sight, &Filter::default());
            prop_assert_eq!(told.and_then(|change| change.outcome_before), outcome);
        }

        #[test]
        fn nobody_is_told_of_what_they_never_saw(
            organization in option::of(select(vec!["acme", "other"])),
            before in option::of(sides()), after in option::of(sides()), who in select(viewers().to_vec()),
        ) {
            let sight = who.1.sight();
            let event = Event { before, after, ..event(organization, None, None) };
            let sees = |side: &Option<Side>| {
                side.as_ref().is_some_and(|side| sight.sees(event.ownership(side)))
            };
            let kind = match (sees(&event.before), sees(&event.after)) {
                (false, false) => None,
                (false, true) => Some(Kind::Created),
                (true, true) => Some(Kind::Updated),
                (true, false) => Some(Kind::Deleted),
            };
            let seen = event.seen_by(&sight, &Filter::default());
            prop_assert_eq!(seen.map(|change| change.kind), kind);
        }
    }
}
