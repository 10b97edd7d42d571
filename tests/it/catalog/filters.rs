//! Compares every filter with the model.

use entity::{ConnectorCategory, Outcome, ServerType, personal_connector::Model};
use fixtures::model::{Connector, FACETS, Listing, Order, Viewer};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    on_both,
    support::{
        checks::found,
        connectors::official,
        harness::Server,
        model::{self, VIEWERS, orders},
    },
};

/// Fields that take a list, with values, some of which no row has.
const LISTS: [(&str, &[&str]); 12] = [
    (
        "host",
        &[
            "mcp.example.com",
            "localhost",
            "localhost:8000",
            "localhost:80",
            "example.com",
        ],
    ),
    (
        "id",
        &[
            "pcon_00",
            "pcon_H0",
            "pcon_Y0",
            "pcon_d0",
            "pcon_none",
            "not an id",
            "",
        ],
    ),
    ("type", &["OFFICIAL", "AITRONOS_BUILT", "CUSTOM"]),
    (
        "category",
        &["PRODUCTIVITY", "DEVELOPMENT", "DESIGN", "CUSTOM"],
    ),
    ("status", &["ACTIVE", "DEPRECATED", "MAINTENANCE"]),
    ("serverType", &["HTTP", "WEBSOCKET", "STDIO"]),
    ("visibility", &["PRIVATE", "ORGANIZATION", "PUBLIC"]),
    (
        "connectorId",
        &["github", "git/hub", "custom_mcp", "GitHub", "\0"],
    ),
    (
        "organizationId",
        &["acme", "other", "elsewhere", "nowhere", "\0", ""],
    ),
    ("createdBy", &["ann", "bob", "cid", "dan", "nobody", "\0"]),
    (
        "outcome",
        &[
            "OPEN",
            "AUTH_REQUIRED",
            "TIMEOUT",
            "BLOCKED",
            "NOT_CHECKABLE",
        ],
    ),
    (
        "toolName",
        &["git_wiki", "Git_wiki", "pro", "none", "\0", ""],
    ),
];

/// Times near those of the rows, in several spellings.
const TIMES: [&str; 6] = [
    "1969-12-31T23:59:59.999999Z",
    "2026-11-22T08:00:00Z",
    "2026-11-22T10:00:00.000001+02:00",
    "2026-11-22T08:00:00.5Z",
    "2026-11-22T08:00:01Z",
    "2030-01-01T00:00:00-05:30",
];

/// Returns a filter of up to `levels`, as the input object.
pub(crate) fn filter(levels: u32) -> BoxedStrategy<Value> {
    let field = prop_oneof![
        6 => select(&LISTS[..]).prop_flat_map(|(field, values)| (Just(field), list(field, values))),
        2 => (select(&["createdAt", "updatedAt", "checkedAt"][..]), ends(&TIMES.map(Value::from))),
        1 => (Just("uptime"), ends(&[0.0, 0.25, 0.5, 1.0].map(Value::from))),
        1 => (Just("hasTools"), option::of(any::<bool>()).prop_map(Value::from)),
        2 => (select(&["mine", "viewerCanUpdate"][..]), option::of(any::<bool>()).prop_map(Value::from)),
        1 => (Just("name"), text()),
    ];
    let fields = vec(field, 0..3);
    if levels == 1 {
        return fields.prop_map(object).boxed();
    }
    let nested = prop_oneof![
        (select(&["and", "or"][..]), list_of(filter(levels - 1))),
        (
            Just("not"),
            prop_oneof![8 => filter(levels - 1), 1 => Just(Value::Null)]
        ),
    ];
    (fields, vec(nested, 0..3))
        .prop_map(|(mut fields, nested)| {
            fields.extend(nested);
            object(fields)
        })
        .boxed()
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    fields
        .into_iter()
        .map(|(field, value)| (field.to_owned(), value))
        .collect::<Map<_, _>>()
        .into()
}

/// Returns a list of values, with null if a connector may lack one.
fn list(field: &str, values: &'static [&'static str]) -> impl Strategy<Value = Value> + use<> {
    let facet = FACETS.iter().find(|(name, _)| *name == field);
    let nulls = facet.map_or(field == "organizationId", |(_, values)| {
        values.contains(&None)
    });
    list_of(prop_oneof![
        6 => select(values).prop_map(Value::from),
        u32::from(nulls) => Just(Value::Null),
    ])
}

/// Returns null, a list of none or some, or one value instead of a list.
fn list_of(value: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        2 => value.clone(),
        8 => vec(value, 0..4).prop_map(Value::from),
    ]
}

/// Returns a range between these.
fn ends(ends: &[Value]) -> impl Strategy<Value = Value> + use<> {
    some_of(["gte", "lt"], ends)
}

/// Returns a filter by name.
fn text() -> impl Strategy<Value = Value> {
    let names = [
        "github", "ecl", "eclair", "a", "日", "", "i", "++", "straße",
    ];
    some_of(["equals", "startsWith"], &names.map(Value::from))
}

/// Returns null, or an object that may have two fields with these values or null.
fn some_of(names: [&'static str; 2], values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    let value = option::of(option::weighted(0.8, select(values.to_vec())));
    let some = (value.clone(), value).prop_map(move |(first, second)| {
        let fields = names.into_iter().zip([first, second]);
        let given = fields.filter_map(|(name, value)| Some((name, value?.into())));
        object(given.collect())
    });
    prop_oneof![6 => some, 1 => Just(Value::Null)]
}

#[derive(Clone, Debug)]
struct Question {
    viewer: Viewer<'static>,
    listing: Listing,
}

fn question() -> impl Strategy<Value = Question> {
    (
        select(&VIEWERS[..]),
        filter(5),
        option::weighted(0.3, model::search()),
        orders(),
        any::<bool>(),
    )
        .prop_map(|(viewer, filter, search, mut orders, relevant)| {
            let (order, reversed) = orders.remove(0);
            let (order, reversed) = if relevant && search.is_some() {
                (Order::Relevance, false)
            } else {
                (order, reversed)
            };
            let listing = Listing {
                search,
                filter,
                order,
                reversed,
                then_by: orders,
            };
            Question { viewer, listing }
        })
}

impl Question {
    /// Returns the model's answer.
    fn answer(&self, rows: &[Model]) -> Value {
        let seen = model::seen(self.viewer, rows);
        let list = self.listing.list(&seen).into_iter();
        let nodes: Vec<Value> = list
            .map(|Connector { fields, .. }| {
                let read = ["id", "createdBy", "organizationId", "viewerCanUpdate"];
                read.map(|field| (field.to_owned(), fields[field].clone()))
                    .into_iter()
                    .collect()
            })
            .collect();
        let mut facets = self.listing.facets(&seen);
        facets["organizationId"] = self.listing.organizations(&seen);
        facets["organizationsLeftOut"] = 0.into();
        json!({
            "list": { "nodes": nodes, "totalCount": nodes.len(), "facets": facets },
            "backwards": { "nodes": nodes },
            "count": { "totalCount": nodes.len() },
        })
    }
}

const QUERY: &str = "
    query($search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder, $thenBy: \
    [PersonalConnectorOrder!]) {
        list: personalConnectors(search: $search, filter: $filter, orderBy: $order, thenBy: $thenBy, first: 100) {
            nodes { id createdBy organizationId viewerCanUpdate }
            totalCount
            facets {
                category { value count } status { value count } type { value count } serverType { value count }
                outcome { value count } organizationId { value count } organizationsLeftOut
            }
        }
        backwards: personalConnectors(search: $search, filter: $filter, orderBy: $order, thenBy: $thenBy, last: 100) {
            nodes { id createdBy organizationId viewerCanUpdate }
        }
        count: personalConnectors(search: $search, filter: $filter, first: 0) { totalCount }
    }";

const COUNTED: &str =
    "query($filter: PersonalConnectorFilter) { personalConnectors(filter: $filter) {
        totalCount nodes { id health { outcome } }
        facets { category { value count } serverType { value count } outcome { value count } } } }";

on_both! {
    async fn facets_can_be_read_alike(server: Server) {
        const FIELDS: [&str; 5] = ["category", "status", "type", "serverType", "outcome"];
        let all = |selection: &str| {
            FIELDS
                .map(|field| format!("{field} {{ {selection} }}"))
                .join(" ")
        };
        let query = format!(
            "{{ own: personalConnectors {{ facets {{ {} }} }} alike: personalConnectors {{ facets {{ {} }} }} }}
             fragment F on Facet {{ value: name count }}",
            all("value count"),
            all("...F"),
        );
        let data = server.data("", &query, json!({})).await;
        assert_eq!(data["own"], data["alike"]);
        let official = json!({ "value": "OFFICIAL", "count": 2 });
        let types = data["own"]["facets"]["type"].as_array().unwrap();
        assert!(types.contains(&official), "{types:?}");
    }

    /// Each entry of a facet is usable as a filter that finds as many connectors as it counts. The other counts stay.
    async fn each_entry_of_a_facet_can_be_chosen(server: Server) {
        server.clear().await;
        let row = |id: &str, server_url: Option<&str>, server_type, category| Model {
            server_url: server_url.map(ToOwned::to_owned),
            server_type,
            category,
            ..official(id, id)
        };
        let url = Some("https://mcp.example.com");
        let design = Some(ConnectorCategory::Design);
        let http = Some(ServerType::Http);
        server
            .insert(vec![
                row("open", url, http, design),
                row("new", url, http, None),
                row("any", url, None, None),
                row("program", None, Some(ServerType::Stdio), design),
                row("nothing", None, None, design),
                row("told", None, Some(ServerType::Stdio), None),
            ])
            .await;
        let checks = [
            ("pcon_open", Outcome::Open),
            ("pcon_told", Outcome::NotCheckable),
        ];
        server
            .record(
                checks
                    .map(|(id, outcome)| (id.to_owned(), found(outcome)))
                    .into(),
            )
            .await;
        let ask = async |filter: Value| {
            let data = server.data("", COUNTED, json!({ "filter": filter })).await;
            data["personalConnectors"].clone()
        };
        let all = ask(Value::Null).await;
        let counts = |list: &Value, field: &str| {
            let counts = list["facets"][field].as_array().unwrap().iter();
            let counts = counts.filter(|entry| entry["count"] != 0);
            counts
                .map(|entry| json!([entry["value"], entry["count"]]))
                .collect::<Value>()
        };
        assert_eq!(
            counts(&all, "outcome"),
            json!([["OPEN", 1], ["NOT_CHECKABLE", 3], [null, 2]])
        );
        assert_eq!(counts(&all, "category"), json!([["DESIGN", 3], [null, 3]]));
        assert_eq!(
            counts(&all, "serverType"),
            json!([["HTTP", 2], ["STDIO", 2], [null, 2]])
        );
        for field in ["category", "serverType", "outcome"] {
            for entry in all["facets"][field].as_array().unwrap() {
                let chosen = ask(json!({ field: [entry["value"]] })).await;
                assert_eq!(chosen["totalCount"], entry["count"], "{field} {entry}");
                assert_eq!(
                    chosen["nodes"].as_array().unwrap().len(),
                    entry["count"],
                    "{field} {entry}"
                );
                assert_eq!(
                    chosen["facets"][field], all["facets"][field],
                    "{field} {entry}"
                );
                let rest = ask(json!({ "not": { field: [entry["value"]] } })).await;
                let rest = rest["totalCount"].as_u64().unwrap() + entry["count"].as_u64().unwrap();
                assert_eq!(rest, 6, "{field} {entry}");
            }
            // Null does not restrict, and a list of null does.
            assert_eq!(ask(json!({ field: null })).await["totalCount"], 6);
            assert_eq!(ask(json!({ field: [] })).await["totalCount"], 0);
        }
        let literal = "{ personalConnectors(filter: {category: [null], or: [{outcome: null}, {outcome: [null, \
                       OPEN]}]}) { totalCount } }";
        assert_eq!(
            server.data("", literal, json!({})).await["personalConnectors"]["totalCount"],
            3
        );
        let refused = "{ personalConnectors(filter: {status: [null]}) { totalCount } }";
        assert_eq!(
            server.error_code("", refused, json!({})).await,
            "GRAPHQL_VALIDATION_FAILED"
        );
    }

    async fn every_filter_answers_as_the_model_does(server: Server) {
        answers_as_the_model_does(&server, 24, question);
    }
}

on_both! {
    /// Few rows are found and sorted at once, and of many a page is searched for.
    async fn frequent_words_are_found_as_the_model_does(server: Server) {
        let searches = || {
            (question(), model::search()).prop_map(|(mut question, search)| {
                question.listing.search = Some(search);
                question
            })
        };
        server.make_words_frequent().await;
        answers_as_the_model_does(&server, 24, searches);
    }
}

fn answers_as_the_model_does<S: Strategy<Value = Question>>(
    server: &Server,
    cases: u32,
    question: impl Fn() -> S,
) {
    let strategy = (model::catalogue(60), vec(question(), 8));
    model::check(cases, strategy, |(rows, questions)| async move {
        server.clear().await;
        server.insert(rows.clone()).await;
        server.record(model::checked(&rows)).await;
        for question in questions {
            let token = server.viewer_token(question.viewer);
            let variables = question.listing.variables().into();
            let data = server.data(&token, QUERY, variables).await;
            prop_assert_eq!(data, question.answer(&rows), "{:#?}", question);
        }
        Ok(())
    });
}
