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

/// Returns a changed field with values that contain its name.
fn changed(field: Field) -> FieldChange {
    let field = ChangedField::Of(field);
    let value = |when| Some(Value::new(field, format!("{when} {}", field.name())));
    FieldChange {
        field,
        before: value("old"),
        after: value("new"),
    }
}

/// Returns a change of ann's connector by bob, who administers the catalogue.
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

/// The changes as each viewer sees them, in a table for review.
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

/// Ann expects a connector that bob changed twice; the table shows the conflict for different viewers.
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

    // Some of the changes are missing, or were not visible.
    let unknown = (bob, 4, None);
    assert_eq!(told(ann, 1, &all), unknown);
    assert_eq!(told(ann, 2, &all[1..]), unknown);
    let published = [change(3, Some(Private), &["visibility"]), all[1].clone()];
    assert_eq!(told(cid, 2, &published), (String::new(), 4, None));
    let created = [change(4, None, &[])];
    assert_eq!(told(ann, 3, &created), unknown);
    // The last change is missing.
    assert_eq!(told(ann, 2, &all[..1]), (String::new(), 9, None));
    for never in [4, 5, i64::MAX, i64::MIN] {
        assert_eq!(told(ann, never, &[]), (String::new(), 9, None));
    }
}

#[test]
fn a_filter_knows_only_what_was_seen() {
    let category = |category| Filter {
        category: Some(vec![Some(category)]),
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
        // A viewer of both sides finds the event by either.
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
            words: Some(Words::of(text::words(name))),
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
    /// Values from before a change are shown to viewers who saw them, and the owner's to those who see owners.
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
        before in option::of(sides()), after in option::of(sides()), who in select(viewers().to_vec()),
        filter in lists(),
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
