//! Random queries of lists.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::{Outcome, Timestamp};
use fixtures::model::{Search, Viewer};
use personal_connectors::domain::{
    listing::{Arguments, Filter, Listing, NameMatch, TimeRange, UptimeRange},
    viewer::{self, Profile, Sight, User},
};
use proptest::{option, prelude::*, sample::select};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{
    catalog::filters::filter,
    support::{
        harness::Server,
        model::{self, VIEWERS},
        mutations::text,
    },
};

/// A list query.
#[derive(Clone, Debug)]
pub(in crate::changes) struct Question {
    pub(in crate::changes) viewer: Viewer<'static>,
    pub(in crate::changes) search: Option<Search>,
    pub(in crate::changes) filter: Value,
}

pub(in crate::changes) fn a_question() -> impl Strategy<Value = Question> {
    let filter = prop_oneof![Just(Value::Null), filter(1), filter(2), filter(4)];
    (
        select(&VIEWERS[..]),
        option::weighted(0.4, model::search_as_given()),
        filter,
    )
        .prop_map(|(viewer, search, filter)| Question {
            viewer,
            search,
            filter,
        })
}

/// Returns queries about values that are rare in random events.
pub(super) fn fixed_questions() -> Vec<Question> {
    let [anonymous, of_other, root] = [0, 4, 8].map(|at| VIEWERS[at]);
    let filters = [
        (root, json!({ "hasTools": true })),
        (root, json!({ "outcome": [null] })),
        (anonymous, json!({ "createdBy": ["ann", "bob"] })),
        (of_other, json!({ "createdBy": "ann" })),
    ];
    let filtered = filters.into_iter().map(|(viewer, filter)| Question {
        viewer,
        search: None,
        filter,
    });
    // Words of tools.
    let search = Search {
        text: "git wiki".to_owned(),
        key: "git wiki".to_owned(),
        words: Vec::new(),
        address: None,
    };
    let searched = Question {
        viewer: root,
        search: Some(search),
        filter: Value::Null,
    };
    filtered.chain([searched]).collect()
}

impl Question {
    pub(super) fn asker(&self) -> viewer::Viewer {
        let Viewer { who, scopes } = self.viewer;
        if who.is_empty() {
            return viewer::Viewer::Anonymous;
        }
        let (id, organization) = match who.split_once('@') {
            Some((id, organization)) => (id, Some(organization.to_owned())),
            None => (who, None),
        };
        viewer::Viewer::User(User {
            id: id.to_owned(),
            organization,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            profile: Profile::default(),
        })
    }

    pub(super) fn sight(&self) -> Sight {
        self.asker().sight()
    }

    pub(super) fn listing(&self) -> Listing {
        let arguments = Arguments {
            search: self.search.as_ref().map(|search| search.text.clone()),
            filter: (!self.filter.is_null()).then(|| parsed(&self.filter, &self.asker())),
            ..Arguments::default()
        };
        Listing::parse(arguments).unwrap()
    }

    /// Returns the ids of the list from the service, whose count must agree.
    pub(in crate::changes) async fn ids(&self, server: &Server) -> BTreeSet<String> {
        let query = "query($search: String, $filter: PersonalConnectorFilter) {
            personalConnectors(search: $search, filter: $filter, orderBy: {field: NAME}, first: 100) { nodes { id \
            organizationId } totalCount }
            byGroups: personalConnectors(search: $search, filter: $filter, first: 0) { totalCount facets { outcome { \
            count } organizationId { value count } } }
        }";
        let search = self.search.as_ref().map(|search| &search.text);
        let variables = json!({ "search": search, "filter": self.filter });
        let token = server.viewer_token(self.viewer);
        let data = server.data(&token, query, variables).await;
        let nodes = data["personalConnectors"]["nodes"].as_array().unwrap();
        for list in ["personalConnectors", "byGroups"] {
            assert_eq!(data[list]["totalCount"], nodes.len(), "{list}: {self:?}");
        }
        if self.filter["organizationId"].is_null() {
            let of = |node: &Value| node["organizationId"].as_str().map(ToOwned::to_owned);
            let mut expected = BTreeMap::from([(None, 0)]);
            for node in nodes {
                *expected.entry(of(node)).or_default() += 1;
            }
            let facets = data["byGroups"]["facets"]["organizationId"].as_array();
            let facets = facets.unwrap().iter().map(|facet| {
                let id = facet["value"].as_str().map(ToOwned::to_owned);
                (id, facet["count"].as_u64().unwrap())
            });
            assert_eq!(facets.collect::<BTreeMap<_, u64>>(), expected, "{self:?}");
        }
        let ids = nodes.iter().map(|node| text(&node["id"]).to_owned());
        ids.collect()
    }
}

/// Converts a filter's input object to the domain's form.
pub(super) fn parsed(filter: &Value, viewer: &viewer::Viewer) -> Filter {
    fn items(value: &Value) -> Option<Vec<Value>> {
        match value {
            Value::Null => None,
            Value::Array(items) => Some(items.clone()),
            item => Some(vec![item.clone()]),
        }
    }
    fn stored<T: DeserializeOwned>(value: &Value) -> T {
        let word = value.as_str().map(str::to_lowercase);
        serde_json::from_value(json!(word)).unwrap()
    }
    fn outcome(value: &Value) -> Option<Outcome> {
        let words = value.as_str()?.split('_');
        let words = words.map(|word| word[..1].to_owned() + &word[1..].to_lowercase());
        serde_json::from_value(words.collect::<String>().into()).unwrap()
    }
    fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Option<Vec<T>> {
        items(value).map(|items| items.iter().map(read).collect())
    }
    fn object<T>(value: &Value, read: impl Fn(&Map<String, Value>) -> T) -> Option<T> {
        value.as_object().map(read)
    }
    fn time(value: Option<&Value>) -> Option<Timestamp> {
        let time = DateTime::parse_from_rfc3339(value?.as_str()?).unwrap();
        Some(time.with_timezone(&Utc).into())
    }
    let of = |name: &str| &filter[name];
    let owned = |value: &Value| text(value).to_owned();
    let range = |name| {
        object(of(name), |range| TimeRange {
            gte: time(range.get("gte")),
            lt: time(range.get("lt")),
        })
    };
    Filter {
        id: list(of("id"), owned),
        r#type: list(of("type"), stored),
        category: list(of("category"), stored),
        status: list(of("status"), stored),
        server_type: list(of("serverType"), stored),
        visibility: list(of("visibility"), stored),
        connector_id: list(of("connectorId"), owned),
        created_by: list(of("createdBy"), owned),
        organization_id: list(of("organizationId"), |id| {
            id.as_str().map(ToOwned::to_owned)
        }),
        owned: [
            ("mine", viewer.own()),
            ("viewerCanUpdate", viewer.updatable()),
        ]
        .into_iter()
        .filter_map(|(name, owner)| Some((owner, of(name).as_bool()?)))
        .collect(),
        outcome: list(of("outcome"), outcome),
        tool_name: list(of("toolName"), owned),
        name: object(of("name"), |name| {
            let part = |part| name.get(part).and_then(Value::as_str);
            NameMatch::new(part("equals"), part("startsWith"))
        }),
        host: list(of("host"), owned),
        has_tools: of("hasTools").as_bool(),
        checked_at: range("checkedAt"),
        uptime: object(of("uptime"), |range| {
            let part = |part| range.get(part).and_then(Value::as_f64);
            UptimeRange::new(part("gte"), part("lt"))
        }),
        created_at: range("createdAt"),
        updated_at: range("updatedAt"),
        and: list(of("and"), |filter| parsed(filter, viewer)),
        or: list(of("or"), |filter| parsed(filter, viewer)),
        not: object(of("not"), |_| Box::new(parsed(of("not"), viewer))),
    }
}
