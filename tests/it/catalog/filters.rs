//! Every filter, as the model answers it.

use entity::personal_connector::Model;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    on_both,
    support::model::{self, Order, SEARCHES, VIEWERS, Viewer},
};

/// Fields that take a list, and values of theirs, some of which no row has.
const LISTS: [(&str, &[&str]); 10] = [
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
    ("createdBy", &["ann", "bob", "cid", "dan", "nobody", "\0"]),
    ("outcome", &["OPEN", "AUTH_REQUIRED", "TIMEOUT", "BLOCKED"]),
    (
        "toolName",
        &["git_wiki", "Git_wiki", "pro", "none", "\0", ""],
    ),
];

/// Around the times that rows have, in several spellings.
const TIMES: [&str; 6] = [
    "1969-12-31T23:59:59.999999Z",
    "2026-11-22T08:00:00Z",
    "2026-11-22T10:00:00.000001+02:00",
    "2026-11-22T08:00:00.5Z",
    "2026-11-22T08:00:01Z",
    "2030-01-01T00:00:00-05:30",
];

const FACETS: [(&str, &[Option<&str>]); 5] = [
    (
        "category",
        &[
            Some("PRODUCTIVITY"),
            Some("DEVELOPMENT"),
            Some("COMMUNICATION"),
            Some("DESIGN"),
            Some("CUSTOM"),
            None,
        ],
    ),
    (
        "status",
        &[Some("ACTIVE"), Some("DEPRECATED"), Some("MAINTENANCE")],
    ),
    (
        "type",
        &[Some("OFFICIAL"), Some("AITRONOS_BUILT"), Some("CUSTOM")],
    ),
    (
        "serverType",
        &[Some("HTTP"), Some("WEBSOCKET"), Some("STDIO"), None],
    ),
    (
        "outcome",
        &[
            Some("OPEN"),
            Some("AUTH_REQUIRED"),
            Some("WRONG_TRANSPORT"),
            Some("NOT_MCP"),
            Some("UNREACHABLE"),
            Some("TIMEOUT"),
            Some("BLOCKED"),
            Some("NOT_CHECKABLE"),
            None,
        ],
    ),
];

/// A filter of up to `levels`, as the input object.
fn filter(levels: u32) -> BoxedStrategy<Value> {
    let field = prop_oneof![
        6 => select(&LISTS[..]).prop_flat_map(|(field, values)| (Just(field), list(values))),
        1 => (select(&["createdAt", "updatedAt"][..]), range()),
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

fn list(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    list_of(select(values).prop_map(Value::from))
}

/// Null, a list of none or some, or one value that stands for a list of one.
fn list_of(value: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        2 => value.clone(),
        8 => vec(value, 0..4).prop_map(Value::from),
    ]
}

fn range() -> impl Strategy<Value = Value> {
    let end = option::of(option::of(select(&TIMES[..])));
    let range = (end.clone(), end).prop_map(|(gte, lt)| {
        let ends = [("gte", gte), ("lt", lt)];
        object(
            ends.into_iter()
                .filter_map(|(end, time)| Some((end, time?.into())))
                .collect(),
        )
    });
    prop_oneof![6 => range, 1 => Just(Value::Null)]
}

/// A row as a viewer sees it, with times in microseconds.
fn seen(row: &Model, viewer: Viewer) -> Value {
    fn name(stored: impl serde::Serialize) -> Value {
        match json!(stored) {
            Value::String(name) => name.to_uppercase().into(),
            none => none,
        }
    }
    json!({
        "id": row.id,
        "type": name(row.r#type),
        "category": name(row.category),
        "status": name(row.status),
        "serverType": name(row.server_type),
        "visibility": name(row.visibility),
        "connectorId": row.connector_id,
        "outcome": model::outcome(row).map(|(_, name)| name),
        "toolName": model::tools(row).iter().map(|tool| tool.0).collect::<Vec<_>>(),
        "createdBy": row.created_by.as_ref().filter(|_| viewer.sees_owner(row)),
        "createdAt": row.created_at.0,
        "updatedAt": row.updated_at.0,
    })
}

/// Whether a filter names a row.
fn holds(filter: &Value, row: &Value) -> bool {
    let all = |list: &Value| match list {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    filter.as_object().unwrap().iter().all(|(field, wanted)| {
        wanted.is_null()
            || match field.as_str() {
                "and" => all(wanted).iter().all(|filter| holds(filter, row)),
                "or" => all(wanted).iter().any(|filter| holds(filter, row)),
                "not" => !holds(wanted, row),
                "createdAt" | "updatedAt" => {
                    let micros = |end| {
                        let time = wanted.get(end)?.as_str()?;
                        Some(
                            chrono::DateTime::parse_from_rfc3339(time)
                                .unwrap()
                                .timestamp_micros(),
                        )
                    };
                    let time = row[field].as_i64().unwrap();
                    micros("gte").is_none_or(|gte| time >= gte)
                        && micros("lt").is_none_or(|lt| time < lt)
                }
                "toolName" => {
                    let offered = row[field].as_array().unwrap();
                    all(wanted).iter().any(|name| offered.contains(name))
                }
                _ => all(wanted).contains(&row[field]),
            }
    })
}

/// The filter without its own restriction of a field.
fn without(filter: &Value, field: &str) -> Value {
    let mut filter = filter.clone();
    filter.as_object_mut().unwrap().remove(field);
    filter
}

#[derive(Clone, Debug)]
struct Question {
    viewer: Viewer,
    filter: Value,
    search: Option<usize>,
    order: (Order, bool),
}

fn question() -> impl Strategy<Value = Question> {
    let order = (
        select(vec![Order::Name, Order::CreatedAt, Order::UpdatedAt]),
        any::<bool>(),
    );
    let search = option::weighted(0.3, 0..SEARCHES.len());
    (
        select(&VIEWERS[..]),
        filter(5),
        search,
        order,
        any::<bool>(),
    )
        .prop_map(|(viewer, filter, search, order, relevant)| Question {
            viewer,
            filter,
            search,
            order: match search {
                Some(search) if relevant => (Order::Relevance(search), false),
                _ => order,
            },
        })
}

impl Question {
    fn variables(&self) -> Value {
        let (order, reversed) = self.order;
        json!({
            "search": self.search.map(|search| SEARCHES[search].0),
            "filter": self.filter,
            "order": { "field": order.field(), "direction": order.direction(reversed) },
        })
    }

    /// What the model answers.
    fn answer(&self, rows: &[Model]) -> Value {
        let found: Vec<&Model> = rows
            .iter()
            .filter(|row| self.viewer.sees(row))
            .filter(|row| {
                self.search
                    .is_none_or(|search| model::tier(row, search).is_some())
            })
            .collect();
        let named = |filter: &Value| -> Vec<&Model> {
            found
                .iter()
                .copied()
                .filter(|row| holds(filter, &seen(row, self.viewer)))
                .collect()
        };
        let mut list = named(&self.filter);
        let (order, reversed) = self.order;
        order.sort(&mut list, reversed);
        let nodes: Vec<Value> = list
            .iter()
            .map(|row| json!({ "id": row.id, "createdBy": seen(row, self.viewer)["createdBy"] }))
            .collect();
        let facets = FACETS.map(|(field, values)| {
            let list = named(&without(&self.filter, field));
            let count = |value: Option<&str>| {
                list.iter()
                    .filter(|row| seen(row, self.viewer)[field] == json!(value))
                    .count()
            };
            let counts = values
                .iter()
                .map(|value| json!({ "value": value, "count": count(*value) }));
            (field, counts.collect())
        });
        json!({
            "list": { "nodes": nodes, "totalCount": nodes.len(), "facets": object(facets.into()) },
            "backwards": { "nodes": nodes },
            "count": { "totalCount": nodes.len() },
        })
    }
}

const QUERY: &str = "
    query($search: String, $filter: PersonalConnectorFilter, $order: PersonalConnectorOrder) {
        list: personalConnectors(search: $search, filter: $filter, orderBy: $order, first: 100) {
            nodes { id createdBy }
            totalCount
            facets {
                category { value count } status { value count } type { value count } serverType { value count }
                outcome { value count }
            }
        }
        backwards: personalConnectors(search: $search, filter: $filter, orderBy: $order, last: 100) {
            nodes { id createdBy }
        }
        count: personalConnectors(search: $search, filter: $filter, first: 0) { totalCount }
    }";

on_both! {
    async fn every_filter_answers_as_the_model_does(server: Server) {
        let server = &server;
        model::check(24, (model::catalogue(60), vec(question(), 8)), |(rows, questions)| async move {
            server.clear().await;
            server.insert(rows.clone()).await;
            server.record(model::checks(&rows)).await;
            for question in questions {
                let token = question.viewer.token(server);
                let data = server.data(&token, QUERY, question.variables()).await;
                prop_assert_eq!(data, question.answer(&rows), "{:#?}", question);
            }
            Ok(())
        });
    }
}
