//! The log of changes, as one viewer may read it.
//!
//! Invariant: a viewer is told of a change only what they saw before it or see after it. What went out of their sight and what
//! was deleted look the same, and a filter knows nothing of a side that they did not see.

use entity::{ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp};

use crate::error::{Error, Result};

use super::{
    cursor::{self, LogPosition},
    fields,
    listing::{FILTER_VALUES, limit},
    viewer::{Ownership, Sight},
};

/// Events that a page looks at: what lies between two of a viewer's may be long.
pub const SCAN: i64 = 10_000;

/// A change as the log has it, for nobody's eyes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The state that it brought the catalogue to.
    pub position: LogPosition,
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
    pub position: LogPosition,
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
    /// The position after which it begins; none for all that is kept.
    pub after: Option<LogPosition>,
    pub limit: u64,
    pub filter: Filter,
}

/// The changes of a page, the position that it reaches to, and whether there are more beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub changes: Vec<Change>,
    pub end: LogPosition,
    pub more: bool,
}

/// What the log keeps: every event above `forgotten`, up to `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub forgotten: LogPosition,
    pub state: LogPosition,
}

/// The marks of the events that a page after a position begins behind and reaches to at most, where these are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageMarks {
    pub after: Option<i64>,
    pub end: Option<i64>,
}

/// Events by number: those above `after`, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub after: LogPosition,
    pub to: LogPosition,
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
            position: self.position,
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
            events.last().map_or(span.after, |event| event.position)
        } else {
            span.to
        };
        Self {
            changes: events
                .iter()
                .filter_map(|event| event.seen_by(sight, &feed.filter))
                .collect(),
            end,
            more: end != log.state,
        }
    }
}

impl Log {
    /// Whether a position is of this history, and no change after it is forgotten. `mark` is that of the event of its number.
    pub fn has(self, position: LogPosition, mark: Option<i64>) -> bool {
        let is_kept = self.forgotten.number < position.number
            && position.number <= self.state.number
            && mark == Some(position.mark);
        position == self.forgotten || position == self.state || is_kept
    }

    /// The events that a page after a position looks at. `CURSOR_EXPIRED` where some that followed it are forgotten, or it is of
    /// another history.
    pub fn span(self, after: Option<LogPosition>, marks: PageMarks) -> Result<Span> {
        let after = after.unwrap_or(self.forgotten);
        if after.number < self.forgotten.number {
            let why = "is older than the changes that are kept";
            return Err(cursor::expired("after", why));
        }
        if !self.has(after, marks.after) {
            let why = "is not in the history of this catalogue, as a cursor of another one, or of changes that were lost when \
                a backup was restored or a standby took over";
            return Err(cursor::expired("after", why));
        }
        let number = after.number.saturating_add(SCAN);
        let to = match marks.end {
            Some(mark) if number < self.state.number => LogPosition { number, mark },
            _ => self.state,
        };
        Ok(Span { after, to })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::{option, prelude::*, sample::select};

    use super::*;
    use crate::{
        domain::viewer::{ADMIN, CATALOG_ADMIN, User, Viewer},
        error::Code,
    };
    use ConnectorVisibility::{Organization, Private, Public};

    fn viewer(id: &str, organization: Option<&str>, scopes: &[&str]) -> Viewer {
        Viewer::User(User {
            id: id.to_owned(),
            organization: organization.map(ToOwned::to_owned),
            scopes: scopes.iter().map(ToString::to_string).collect(),
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
        }
    }

    /// A change of ann's connector, which bob made as the catalogue's administrator.
    fn event(
        organization: Option<&str>,
        before: Option<ConnectorVisibility>,
        after: Option<ConnectorVisibility>,
    ) -> Event {
        let fields = ["name", "createdBy", "organizationId"];
        Event {
            position: LogPosition { number: 7, mark: 0 },
            personal_connector_id: "pcon_a".to_owned(),
            organization: organization.map(ToOwned::to_owned),
            before: before.map(side),
            after: after.map(side),
            fields: fields.map(ToOwned::to_owned).to_vec(),
            revision: 5,
            actor: Some("bob".to_owned()),
            actor_organization: organization.map(ToOwned::to_owned),
            occurred_at: Timestamp(0),
        }
    }

    /// What each viewer is told as one table, read in review.
    #[test]
    fn told() {
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
                        let told = change.map_or("nothing".to_owned(), |change| {
                            let Change {
                                kind,
                                fields,
                                revision,
                                actor,
                                ..
                            } = change;
                            let actor = actor.unwrap_or_else(|| "-".to_owned());
                            format!("{kind:?} to {revision} by {actor} {}", fields.join(","))
                        });
                        writeln!(table, "    {who:<10} {}", told.trim_end()).unwrap();
                    }
                }
            }
        }
        insta::assert_snapshot!(table);
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

    /// The marks of a history by their numbers, from 0 on, and the number through which it is forgotten.
    #[derive(Clone, Debug)]
    struct History {
        marks: Vec<i64>,
        forgotten: usize,
    }

    impl History {
        /// Has the marks of its numbers, and as many events.
        fn new(forgotten: usize, state: usize) -> Self {
            let marks = (0..=state).map(|number| i64::try_from(number).unwrap() * 10);
            Self {
                marks: marks.collect(),
                forgotten,
            }
        }

        fn at(&self, number: usize) -> LogPosition {
            LogPosition {
                number: number.try_into().unwrap(),
                mark: self.marks[number],
            }
        }

        fn log(&self) -> Log {
            Log {
                forgotten: self.at(self.forgotten),
                state: self.at(self.marks.len() - 1),
            }
        }

        /// The mark of an event that is kept.
        fn mark(&self, number: i64) -> Option<i64> {
            let number = usize::try_from(number).ok()?;
            let mark = self.marks.get(number)?;
            (number > self.forgotten).then_some(*mark)
        }

        fn span(&self, after: Option<LogPosition>) -> Result<Span> {
            let log = self.log();
            let begin = after.unwrap_or(log.forgotten).number;
            let marks = PageMarks {
                after: self.mark(begin),
                end: self.mark(begin.saturating_add(SCAN)),
            };
            log.span(after, marks)
        }
    }

    #[test]
    fn cursors_are_good_from_what_was_forgotten_to_the_state() {
        let look = usize::try_from(SCAN).unwrap();
        for (forgotten, state, after, expected) in [
            (0, 0, None, (0, 0)),
            (0, 0, Some(0), (0, 0)),
            (0, 7, None, (0, 7)),
            (3, 7, None, (3, 7)),
            (3, 7, Some(3), (3, 7)),
            (3, 7, Some(7), (7, 7)),
            // All is forgotten.
            (7, 7, Some(7), (7, 7)),
            (7, 7, None, (7, 7)),
            (0, 3 * look, Some(5), (5, 5 + look)),
            (2, 3 * look, None, (2, 2 + look)),
        ] {
            let history = History::new(forgotten, state);
            let span = history.span(after.map(|after| history.at(after))).unwrap();
            let expected = (history.at(expected.0), history.at(expected.1));
            assert_eq!((span.after, span.to), expected, "{after:?}");
        }
        for (number, mark, expected) in [
            (2, 20, "older"),
            (0, 0, "older"),
            (3, 31, "history"),
            (5, 51, "history"),
            (7, 71, "history"),
            (8, 80, "history"),
            (i64::MAX, 0, "history"),
        ] {
            let after = LogPosition { number, mark };
            let error = History::new(3, 7).span(Some(after)).unwrap_err();
            assert_eq!(error.code, Code::CursorExpired);
            assert!(error.message.contains(expected), "{}", error.message);
            assert!(error.message.contains("start over"), "{}", error.message);
        }
    }

    #[test]
    fn a_page_reaches_to_what_it_looked_at() {
        let history = History::new(0, usize::try_from(2 * SCAN).unwrap());
        let at = |number: i64| history.at(usize::try_from(number).unwrap());
        let events = |numbers: &[i64]| {
            let one = |number: &i64| Event {
                position: at(*number),
                ..event(None, None, Some(Public))
            };
            numbers.iter().map(one).collect::<Vec<_>>()
        };
        for (after, limit, found, end, more) in [
            (0, 2, &[3, 5][..], SCAN, true),
            (0, 2, &[3, 5, 9], 5, true),
            (0, 2, &[], SCAN, true),
            (0, 0, &[3], 0, true),
            (4, 0, &[5], 4, true),
            (SCAN, 2, &[SCAN + 1], 2 * SCAN, false),
            (2 * SCAN, 2, &[], 2 * SCAN, false),
        ] {
            let feed = Feed {
                after: Some(at(after)),
                limit,
                filter: Filter::default(),
            };
            let span = history.span(feed.after).unwrap();
            let page = Page::new(&feed, &Sight::Public, history.log(), span, events(found));
            assert_eq!((page.end, page.more), (at(end), more), "{after} {found:?}");
            let told: Vec<_> = page.changes.iter().map(|change| change.position).collect();
            let most = found.len().min(usize::try_from(limit).unwrap());
            let expected: Vec<_> = found[..most].iter().map(|number| at(*number)).collect();
            assert_eq!(told, expected);
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
        )
            .prop_map(|(visibility, created_by, category, status)| Side {
                created_by: created_by.map(ToOwned::to_owned),
                category,
                status,
                ..side(visibility)
            })
    }

    /// A history, and another that has the same changes up to a number, and others after it.
    fn histories() -> impl Strategy<Value = [History; 2]> {
        (
            0..12_usize,
            0..12_usize,
            0..12_usize,
            0..12_usize,
            0..12_usize,
        )
            .prop_map(|(shared, ours, theirs, forgotten, forgotten_by_them)| {
                let history = |more, forgotten: usize, sign| {
                    let mut history = History::new(forgotten.min(shared + more), shared + more);
                    for mark in &mut history.marks[shared + 1..] {
                        *mark *= sign;
                    }
                    history
                };
                [
                    history(ours, forgotten, 1),
                    history(theirs, forgotten_by_them, -1),
                ]
            })
    }

    proptest! {
        #[test]
        fn a_position_is_good_in_the_histories_that_have_it([ours, theirs] in histories(), numbers in 0..24_usize) {
            for history in [&ours, &theirs] {
                let number = numbers.min(history.marks.len() - 1);
                let after = history.at(number);
                for other in [&ours, &theirs] {
                    let has = other.marks.get(number) == Some(&after.mark) && number >= other.forgotten;
                    let span = other.span(Some(after));
                    prop_assert_eq!(span.is_ok(), has, "{:?} in {:?}", after, other);
                    if let Ok(span) = span {
                        prop_assert_eq!((span.after, span.to), (after, other.log().state));
                    }
                }
            }
        }

        #[test]
        fn what_is_hidden_looks_like_what_is_deleted(
            organization in option::of(select(vec!["acme", "other"])),
            before in sides(), after in sides(), who in select(viewers().to_vec()),
        ) {
            let sight = who.1.sight();
            let hidden = Event { before: Some(before), after: Some(after), ..event(organization, None, None) };
            let deleted = Event {
                after: None,
                fields: Vec::new(),
                revision: hidden.revision - 1,
                ..hidden.clone()
            };
            let told = hidden.seen_by(&sight, &Filter::default());
            let is_hidden = told.as_ref().is_some_and(|change| change.kind == Kind::Deleted);
            if is_hidden {
                prop_assert_eq!(told, deleted.seen_by(&sight, &Filter::default()));
            }
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
            let told = event.seen_by(&sight, &Filter::default());
            prop_assert_eq!(told.map(|change| change.kind), kind);
        }
    }
}
