//! Decides whether the connector of an event is in a list.
//!
//! Invariant: the result equals the store's (`store::catalog::filter` and `search`), or is none if the event does not
//! contain enough. `not`, `and` and `or` follow Kleene's three-valued logic.

use entity::{ConnectorType, Timestamp};

use crate::domain::{field_values::CUSTOM_CONNECTOR_ID, server_address, viewer::Sight};

use super::{
    Filter, Listing, NameMatch, Restriction, Search, TimeRange,
    record::{Record, State},
};

impl Listing {
    /// Returns whether a connector is in this list, for a viewer of this sight. None if its event does not contain
    /// enough.
    pub fn has(&self, state: State<'_>, sight: &Sight) -> Option<bool> {
        self.restriction().has(state, sight)
    }
}

impl Restriction<'_> {
    /// Returns whether a connector is in the list, for a viewer of this sight. None if its event does not contain
    /// enough.
    pub(crate) fn has(self, state: State<'_>, sight: &Sight) -> Option<bool> {
        let found = self.search;
        let found = found.map_or(Some(true), |search| search.finds(state.record));
        all_of([
            Some(sight.sees(state.ownership)),
            self.filter.holds(state, sight),
            found,
        ])
    }
}

impl Search {
    /// Returns whether the search finds the connector of this record, in any tier.
    pub(crate) fn finds(&self, record: Option<&Record>) -> Option<bool> {
        let record = record?;
        if self.terms.is_empty() {
            return Some(record.name_key == self.key);
        }
        if self.address.is_some() && self.address == record.address {
            return Some(true);
        }
        // The tools may have the words that the connector lacks.
        let own = record.words.as_ref()?.have(&self.terms);
        own.filter(|found| *found || !record.has_tools)
    }
}

impl Filter {
    /// Returns whether this parsed filter matches a connector, for a viewer of this sight.
    pub(crate) fn holds(&self, state: State<'_>, sight: &Sight) -> Option<bool> {
        // A new field of the filter does not compile until it is here.
        let Self {
            id,
            r#type,
            category,
            status,
            server_type,
            visibility,
            connector_id,
            created_by,
            organization_id,
            owned,
            outcome,
            tool_name,
            name,
            host,
            has_tools,
            checked_at,
            uptime,
            created_at,
            updated_at,
            and,
            or,
            not,
        } = self;
        let State {
            id: own_id,
            ownership,
            category: own_category,
            status: own_status,
            record,
        } = state;
        let carried = |is: &dyn Fn(&Record) -> bool| record.map(is);
        let in_list = |list: &Vec<String>, text: &str| list.iter().any(|one| one == text);
        let restrictions = [
            id.as_ref().map(|ids| Some(in_list(ids, own_id))),
            r#type
                .as_ref()
                .map(|types| Some(types.contains(&ownership.r#type))),
            category
                .as_ref()
                .map(|categories| Some(categories.contains(&own_category))),
            status
                .as_ref()
                .map(|statuses| Some(statuses.contains(&own_status))),
            server_type
                .as_ref()
                .map(|types| carried(&|record| types.contains(&record.server_type))),
            visibility
                .as_ref()
                .map(|visibilities| Some(visibilities.contains(&ownership.visibility))),
            connector_id.as_ref().map(|ids| {
                // All custom connectors have the same one.
                if ownership.r#type == ConnectorType::Custom {
                    return Some(in_list(ids, CUSTOM_CONNECTOR_ID));
                }
                carried(&|record| {
                    record.connector_id != CUSTOM_CONNECTOR_ID && in_list(ids, &record.connector_id)
                })
            }),
            created_by.as_ref().map(|users| {
                let by = ownership.created_by;
                Some(by.is_some_and(|by| in_list(users, by)) && sight.sees_owner(ownership))
            }),
            organization_id.as_ref().map(|ids| {
                let organization = ownership.organization;
                let read = organization.filter(|_| sight.sees_owner(ownership));
                Some(ids.iter().any(|id| id.as_deref() == read))
            }),
            (!owned.is_empty()).then(|| {
                let mut owned = owned.iter();
                Some(owned.all(|(owner, does)| owner.owns(ownership) == *does))
            }),
            outcome
                .as_ref()
                .map(|outcomes| carried(&|record| outcomes.contains(&record.outcome))),
            // Events do not contain the names.
            tool_name.as_ref().map(|names| {
                let has_none = names.is_empty() || carried(&|record| !record.has_tools)?;
                has_none.then_some(false)
            }),
            name.as_ref()
                .map(|name| carried(&|record| name.is_of(&record.name_key))),
            host.as_ref().map(|hosts| {
                carried(&|record| {
                    let own = record.address.as_deref();
                    own.is_some_and(|own| hosts.iter().any(|host| server_address::is_at(host, own)))
                })
            }),
            has_tools.map(|has| carried(&|record| record.has_tools == has)),
            // Checks change these without an event.
            checked_at.as_ref().map(|_| None),
            uptime.as_ref().map(|_| None),
            created_at.map(|range| carried(&|record| range.contains(record.created_at))),
            updated_at.map(|range| carried(&|record| range.contains(record.updated_at))),
            and.as_ref()
                .map(|filters| all_of(filters.iter().map(|filter| filter.holds(state, sight)))),
            or.as_ref()
                .map(|filters| any_of(filters.iter().map(|filter| filter.holds(state, sight)))),
            not.as_ref()
                .map(|filter| filter.holds(state, sight).map(|holds| !holds)),
        ];
        all_of(restrictions.into_iter().flatten())
    }
}

impl NameMatch {
    fn is_of(&self, key: &str) -> bool {
        let Self {
            equals,
            starts_with,
        } = self;
        equals.as_ref().is_none_or(|name| name == key)
            && starts_with
                .as_ref()
                .is_none_or(|prefix| key.starts_with(prefix.as_str()))
    }
}

impl TimeRange {
    fn contains(self, time: Timestamp) -> bool {
        let Self { gte, lt } = self;
        gte.is_none_or(|from| time >= from) && lt.is_none_or(|to| time < to)
    }
}

/// Returns whether all are true. None if that depends on an unknown one.
fn all_of(values: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for value in values {
        match value {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = None,
        }
    }
    known
}

/// Returns whether at least one is true. None if that depends on an unknown one.
fn any_of(values: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let not = |value: Option<bool>| value.map(|value| !value);
    not(all_of(values.into_iter().map(not)))
}

#[cfg(test)]
mod tests {
    use entity::{ConnectorStatus, ConnectorVisibility, Outcome, ServerType};
    use proptest::{option, prelude::*};

    use super::{super::record::tests::record, *};
    use crate::domain::{
        listing::{UptimeRange, Words},
        text,
        viewer::Ownership,
    };

    fn state(record: Option<&Record>) -> State<'_> {
        State {
            id: "pcon_a",
            ownership: Ownership {
                r#type: ConnectorType::Custom,
                visibility: ConnectorVisibility::Public,
                organization: Some("acme"),
                created_by: Some("ann"),
            },
            category: None,
            status: ConnectorStatus::Active,
            record,
        }
    }

    fn holds(filter: &Filter, record: Option<&Record>) -> Option<bool> {
        let filter = filter.clone().parse("filter").unwrap();
        filter.holds(state(record), &Sight::Everything)
    }

    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);

    /// A filter with a fixed result.
    fn fixed(answer: Option<bool>) -> Filter {
        let unknown = answer.is_none().then(UptimeRange::default);
        Filter {
            uptime: unknown,
            or: (answer == NO).then(Vec::new),
            ..Filter::default()
        }
    }

    #[test]
    fn what_is_unknown_decides_nothing() {
        let none = Filter::default();
        assert_eq!(holds(&none, None), YES);
        let lists = [
            (vec![], YES, NO),
            (vec![YES], YES, YES),
            (vec![NO], NO, NO),
            (vec![None], None, None),
            (vec![YES, None], None, YES),
            (vec![None, NO], NO, None),
            (vec![None, NO, YES], NO, YES),
            (vec![None, None], None, None),
        ];
        for (answers, and, or) in lists {
            let filters: Vec<_> = answers.iter().copied().map(fixed).collect();
            let all = Filter {
                and: Some(filters.clone()),
                ..Filter::default()
            };
            let any = Filter {
                or: Some(filters),
                ..Filter::default()
            };
            for (filter, expected) in [(all, and), (any, or)] {
                assert_eq!(holds(&filter, None), expected, "{answers:?}");
                let not = Filter {
                    not: Some(Box::new(filter)),
                    ..Filter::default()
                };
                let expected = expected.map(|holds| !holds);
                assert_eq!(holds(&not, None), expected, "{answers:?}");
            }
        }
    }

    proptest! {
        /// A result with unknowns equals the result for all their values, or is none.
        #[test]
        fn an_answer_stays_once_more_is_known(
            answers in prop::collection::vec(option::of(any::<bool>()), 0..5), rest in any::<[bool; 5]>(),
        ) {
            let whole = || answers.iter().zip(rest).map(|(known, other)| Some(known.unwrap_or(other)));
            let pairs = [(all_of(answers.clone()), all_of(whole())), (any_of(answers.clone()), any_of(whole()))];
            for (known, whole) in pairs {
                prop_assert!(whole.is_some() && (known.is_none() || known == whole));
            }
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of all filters")]
    fn filters_need_what_they_name() {
        let (with, without) = (
            Record {
                server_type: Some(ServerType::Http),
                address: Some("example.com:8000/mcp".to_owned()),
                outcome: Some(Outcome::Open),
                has_tools: true,
                ..record("Wiki")
            },
            record("Other"),
        );
        let texts = |text: &str| Some(vec![text.to_owned()]);
        let range = |gte| {
            Some(TimeRange {
                gte: Some(Timestamp(gte)),
                lt: None,
            })
        };
        let filters = [
            (
                Filter {
                    server_type: Some(vec![Some(ServerType::Http)]),
                    ..Filter::default()
                },
                YES,
                NO,
            ),
            (
                Filter {
                    server_type: Some(vec![None]),
                    ..Filter::default()
                },
                NO,
                YES,
            ),
            (
                Filter {
                    outcome: Some(vec![None]),
                    ..Filter::default()
                },
                NO,
                YES,
            ),
            (
                Filter {
                    outcome: Some(vec![Some(Outcome::Open)]),
                    ..Filter::default()
                },
                YES,
                NO,
            ),
            (
                Filter {
                    has_tools: Some(true),
                    ..Filter::default()
                },
                YES,
                NO,
            ),
            (
                Filter {
                    has_tools: Some(false),
                    ..Filter::default()
                },
                NO,
                YES,
            ),
            (
                Filter {
                    tool_name: texts("add"),
                    ..Filter::default()
                },
                None,
                NO,
            ),
            (
                Filter {
                    host: texts("EXAMPLE.com"),
                    ..Filter::default()
                },
                YES,
                NO,
            ),
            (
                Filter {
                    host: texts("example.com:80"),
                    ..Filter::default()
                },
                NO,
                NO,
            ),
            (
                Filter {
                    name: Some(NameMatch::new(Some("WIKI"), Some("wi"))),
                    ..Filter::default()
                },
                YES,
                NO,
            ),
            (
                Filter {
                    name: Some(NameMatch::new(Some("wiki"), Some("x"))),
                    ..Filter::default()
                },
                NO,
                NO,
            ),
            (
                Filter {
                    created_at: range(1),
                    ..Filter::default()
                },
                YES,
                YES,
            ),
            (
                Filter {
                    created_at: range(2),
                    ..Filter::default()
                },
                NO,
                NO,
            ),
            (
                Filter {
                    updated_at: range(2),
                    ..Filter::default()
                },
                YES,
                YES,
            ),
        ];
        for (filter, of_one, of_other) in filters {
            assert_eq!(holds(&filter, Some(&with)), of_one, "{filter:?}");
            assert_eq!(holds(&filter, Some(&without)), of_other, "{filter:?}");
            assert_eq!(holds(&filter, None), None, "{filter:?}");
        }
        // The columns of every event contain these.
        let filters = [
            (
                Filter {
                    id: texts("pcon_a"),
                    ..Filter::default()
                },
                YES,
            ),
            (
                Filter {
                    id: texts("pcon_b"),
                    ..Filter::default()
                },
                NO,
            ),
            (
                Filter {
                    r#type: Some(vec![ConnectorType::Official]),
                    ..Filter::default()
                },
                NO,
            ),
            (
                Filter {
                    category: Some(vec![None]),
                    ..Filter::default()
                },
                YES,
            ),
            (
                Filter {
                    status: Some(vec![ConnectorStatus::Active]),
                    ..Filter::default()
                },
                YES,
            ),
            (
                Filter {
                    visibility: Some(vec![ConnectorVisibility::Private]),
                    ..Filter::default()
                },
                NO,
            ),
            (
                Filter {
                    connector_id: texts(CUSTOM_CONNECTOR_ID),
                    ..Filter::default()
                },
                YES,
            ),
            (
                Filter {
                    connector_id: texts("github"),
                    ..Filter::default()
                },
                NO,
            ),
            (
                Filter {
                    created_by: texts("ann"),
                    ..Filter::default()
                },
                YES,
            ),
            (
                Filter {
                    created_by: texts("bob"),
                    ..Filter::default()
                },
                NO,
            ),
            // Tools that are none of these.
            (
                Filter {
                    tool_name: Some(Vec::new()),
                    ..Filter::default()
                },
                NO,
            ),
        ];
        for (filter, expected) in filters {
            assert_eq!(holds(&filter, None), expected, "{filter:?}");
        }
        let by_ann = Filter {
            created_by: texts("ann"),
            ..Filter::default()
        };
        assert_eq!(by_ann.holds(state(None), &Sight::Public), NO);
    }

    #[test]
    fn a_search_finds_words_of_its_own_or_of_tools() {
        let words = |text: &str| Words::of(text::words(text));
        let plain = Record {
            address: Some("example.com/mcp".to_owned()),
            words: Some(words("Team Wiki pages for teams")),
            ..record("Team Wiki")
        };
        let with_tools = Record {
            has_tools: true,
            ..plain.clone()
        };
        let many: Vec<_> = (0..1000).map(|number| format!("w{number}")).collect();
        let long = Record {
            words: Some(Words::of(many)),
            ..plain.clone()
        };
        for (search, of_plain, of_tools, of_long) in [
            ("WIKI pag", YES, YES, None),
            ("pag wiki", NO, None, None),
            ("team wiki", YES, YES, None),
            ("w1 w2", NO, None, YES),
            ("tool", NO, None, None),
            ("https://EXAMPLE.com/mcp/", YES, YES, YES),
            ("https://example.com/other", NO, None, None),
            ("++", NO, NO, NO),
        ] {
            let found = Search::parse("search", Some(search)).unwrap().unwrap();
            let records = [&plain, &with_tools, &long];
            let told = records.map(|record| found.finds(Some(record)));
            assert_eq!(told, [of_plain, of_tools, of_long], "{search}");
            assert_eq!(found.finds(None), None, "{search}");
        }
        let earlier = Record {
            words: None,
            ..plain.clone()
        };
        for (search, found) in [("wiki", None), ("https://example.com/mcp", YES), ("++", NO)] {
            let search = Search::parse("search", Some(search)).unwrap().unwrap();
            assert_eq!(search.finds(Some(&earlier)), found, "{search:?}");
        }
        let exact = Record {
            has_tools: true,
            ..record("++")
        };
        let search = Search::parse("search", Some(" ++ ")).unwrap().unwrap();
        assert_eq!(search.finds(Some(&exact)), YES);
    }
}
