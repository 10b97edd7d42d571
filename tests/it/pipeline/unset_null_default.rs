//! Unset inputs, null and defaults: all forms that generated clients send mean the same.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_graphql::parser::types::InputValueDefinition;
use entity::Outcome;
use personal_connectors::{
    clock::Clock,
    domain::inspection::Inspection,
    store::{Candidate, Lease},
};
use serde_json::{Value, json};

use crate::support::{
    checks::{after, found},
    harness::Server,
    mutations::{CREATE, STATUS, draft, text},
    schema::{Place, may_be_unset, named, places, values},
};

/// The placeholder for the request's connector.
const ONE: &str = "the-connector";

/// A form of an input in clients. TYPE and DEFAULT are the input's own.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// The generators that send it.
    #[expect(dead_code, reason = "a failed assertion shows it")]
    by: &'static str,
    /// The variable declaration in the document.
    declared: &'static str,
    /// The value in the document.
    value: &'static str,
    variable: Sent,
}

#[derive(Clone, Copy, Debug)]
enum Sent {
    Nothing,
    Null,
    Default,
    /// The value of a language without null: false, 0 or an empty text.
    Zero,
}

const fn form(
    by: &'static str,
    declared: &'static str,
    value: &'static str,
    variable: Sent,
) -> Form {
    Form {
        by,
        declared,
        value,
        variable,
    }
}

const UNSET: [Form; 1] = [form(
    "graphql-codegen, gql.tada, Apollo, urql, Relay, genql, GQty, villus, ariadne-codegen, gql, turms, Ruby",
    "$v: TYPE",
    "$v",
    Sent::Nothing,
)];

const NULL: [Form; 4] = [
    form(
        "graphql-zeus, sgqlc, graphql-query, elm-graphql",
        "",
        "null",
        Sent::Nothing,
    ),
    form(
        "cynic, graphql_client, gqlclientgen, C# by Newtonsoft.Json",
        "$v: TYPE",
        "$v",
        Sent::Null,
    ),
    form(
        "those, for an operation that repeats the default",
        "$v: TYPE = DEFAULT",
        "$v",
        Sent::Null,
    ),
    form(
        "an operation that says null",
        "$v: TYPE = null",
        "$v",
        Sent::Nothing,
    ),
];

const DEFAULT: [Form; 5] = [
    form(
        "graphql-zeus, sgqlc, graphql-query, elm-graphql",
        "",
        "DEFAULT",
        Sent::Nothing,
    ),
    form(
        "typescript-validation-schema, datamodel-code-generator, the plugins for Kotlin and C#",
        "$v: TYPE",
        "$v",
        Sent::Default,
    ),
    form(
        "rescript-relay, flutter-freezed",
        "$v: TYPE!",
        "$v",
        Sent::Default,
    ),
    form(
        "an operation that requires and repeats the default",
        "$v: TYPE! = DEFAULT",
        "$v",
        Sent::Nothing,
    ),
    form(
        "an operation that repeats the default",
        "$v: TYPE = DEFAULT",
        "$v",
        Sent::Nothing,
    ),
];

const ZERO: Form = form(
    "gqlclientgen, where an input is not null",
    "$v: TYPE",
    "$v",
    Sent::Zero,
);

/// Inputs for which null is a value: it clears the field.
const NULL_IS_A_VALUE: [(&str, &[&str]); 4] = [
    ("CreateCustomConnectorInput", &["category"]),
    (
        "SetConnectorStatusInput",
        &["replacedById", "statusMessage"],
    ),
    ("SetConnectorStatusesInput", &["statusMessage"]),
    (
        "UpdateCustomConnectorInput",
        &[
            "category",
            "description",
            "iconUrl",
            "metadata",
            "name",
            "serverType",
            "serverUrl",
            "version",
            "visibility",
        ],
    ),
];

/// Inputs whose value the selected fields do not show.
const SHOWN_ELSEWHERE: [(&str, &str); 2] = [
    ("ImportConnectorsInput", "dryRun"),
    ("UpdateCatalogConnectorsInput", "validateOnly"),
];

fn null_is_a_value(place: &Place, input: &InputValueDefinition) -> bool {
    let name = input.name.node.as_str();
    NULL_IS_A_VALUE
        .iter()
        .any(|(object, names)| place.name == *object && names.contains(&name))
}

/// Returns the value of an input that every request needs, because it is required or makes an effect visible.
fn given(input: &InputValueDefinition) -> Option<Value> {
    let value = match input.name.node.as_str() {
        "name" if named(&input.ty.node.base) == "String" => json!("Wiki"),
        // A server that is never called.
        "serverUrl" => json!("https://127.0.0.1/mcp"),
        _ if may_be_unset(input) => return None,
        "id" => json!(ONE),
        // One of them does not exist.
        "ids" => json!([ONE, "pcon_none"]),
        "status" => json!("DEPRECATED"),
        "content" => json!(format!(
            r#"{{"object": "personal_connector", "name": "{ONE}", "type": "custom", "createdBy": "ann",
                "serverUrl": "https://e.co"}}"#
        )),
        name => match values(named(&input.ty.node.base)).first() {
            Some(value) => json!(value),
            None => panic!("say which value a request gives for {name}"),
        },
    };
    Some(value)
}

/// Returns a value in a document's syntax.
fn literal(input: &InputValueDefinition, value: &Value) -> String {
    match value {
        Value::String(name) if values(named(&input.ty.node.base)).contains(&name.as_str()) => {
            name.clone()
        }
        value => value.to_string(),
    }
}

fn entry(input: &InputValueDefinition, value: &Value) -> String {
    format!("{}: {}", input.name.node, literal(input, value))
}

fn default(input: &InputValueDefinition) -> Option<Value> {
    let default = input.default_value.as_ref()?;
    Some(default.node.clone().into_json().unwrap())
}

/// Returns values of an input's type, without the default.
fn others(input: &InputValueDefinition, default: &Value) -> Vec<Value> {
    let mut values: Vec<_> = match default {
        Value::Bool(_) => vec![json!(true), json!(false)],
        Value::Number(number) => vec![json!(1), json!(number.as_i64().unwrap() * 2)],
        _ => values(named(&input.ty.node.base))
            .into_iter()
            .map(Value::from)
            .collect(),
    };
    values.retain(|value| value != default);
    values
}

struct Requests {
    server: Server,
    users: AtomicUsize,
    /// The user of all queries.
    reader: (String, String, String),
    /// The lease of the monitor for queued checks.
    lease: Option<Lease>,
}

impl Requests {
    async fn new() -> Self {
        let server = Server::on_sqlite(&["--inspection-rate", "0"]).await;
        let mut requests = Self {
            server,
            users: AtomicUsize::default(),
            reader: Default::default(),
            lease: None,
        };
        requests.reader = requests.user().await;
        let mut candidate = Candidate::new(Duration::from_hours(1), Clock::system());
        let lease = requests.server.database.take_lease(&mut candidate).await;
        requests.lease = lease.unwrap();
        // A check of yesterday, and one of now.
        for (hours, outcome) in [(-30, Outcome::Timeout), (0, Outcome::Open)] {
            let check = Inspection {
                checked_at: after(hours * 3600),
                ..found(outcome)
            };
            let id = requests.reader.2.clone();
            assert_eq!(requests.server.record(vec![(id, check)]).await, 1);
        }
        requests
    }

    /// Creates a user. Returns the mark in their name, their token, and the id of a connector of theirs with a value in
    /// each field.
    async fn user(&self) -> (String, String, String) {
        let mark = format!("-n{:05}", self.users.fetch_add(1, Ordering::Relaxed));
        let scopes = ["connectors:write", "catalog:admin"];
        let token = self.server.token(&format!("ann{mark}@acme{mark}"), &scopes);
        let input = draft(
            "Pages",
            json!({
                "description": "Pages", "iconUrl": "https://example.com/i.png", "category": "DESIGN",
                "version": "1.2.3", "serverType": "WEBSOCKET", "metadata": { "a": 1 }, "visibility": "ORGANIZATION",
            }),
        );
        let connector = self.server.change(&token, CREATE, input).await;
        let id = text(&connector["id"]).to_owned();
        let deprecated = json!({
            "id": id, "status": "DEPRECATED", "statusMessage": "Moved", "replacedById": "pcon_jira",
        });
        self.server.change(&token, STATUS, deprecated).await;
        (mark, token, id)
    }

    /// Returns the response to a request, which is the same for each user.
    async fn answer(&self, place: &Place, query: &str, variables: &Value) -> Value {
        let (mark, token, id) = if place.is_mutation {
            self.user().await
        } else {
            self.reader.clone()
        };
        let body = json!({ "query": query, "variables": variables }).to_string();
        let (_, answer) = self.server.wire(&token, body.replace(ONE, &id)).await;
        let mut answer = answer.replace(&id, ONE).replace(&mark, "");
        let made: Value = serde_json::from_str(&answer).unwrap();
        if let Some(id) = made
            .pointer("/data/createCustomConnector/personalConnector/id")
            .and_then(Value::as_str)
        {
            answer = answer.replace(id, "the new one");
        }
        let payloads = made["data"].as_object().into_iter().flatten();
        for (_, payload) in payloads.filter(|_| place.is_mutation) {
            if let Some(cursor) = payload["changesCursor"].as_str() {
                answer = answer.replace(cursor, "the change");
            }
        }
        serde_json::from_str(&answer).unwrap()
    }

    /// Returns the response to an input in a given form.
    async fn given(&self, place: &Place, input: &InputValueDefinition, form: Form) -> Value {
        let default = default(input).unwrap_or_default();
        let fill = |text: &str| {
            let text = text.replace("TYPE", &input.ty.node.to_string());
            text.replace("DEFAULT", &literal(input, &default))
        };
        let variables = match (form.variable, &default) {
            (Sent::Nothing, _) => json!({}),
            (Sent::Null, _) => json!({ "v": null }),
            (Sent::Default, _) => json!({ "v": default }),
            (Sent::Zero, Value::Bool(_)) => json!({ "v": false }),
            (Sent::Zero, Value::Number(_)) => json!({ "v": 0 }),
            (Sent::Zero, _) => json!({ "v": "" }),
        };
        let inputs = format!(
            "{} {}: {}",
            beside(place, input),
            input.name.node,
            fill(form.value)
        );
        let query = place.operation(&fill(form.declared), &inputs);
        self.answer(place, &query, &variables).await
    }
}

/// Returns the other inputs of a document.
fn beside(place: &Place, one: &InputValueDefinition) -> String {
    let others = place.inputs.iter().filter(|input| input.name != one.name);
    let entries: Vec<_> = others
        .filter_map(|input| Some(entry(input, &given(input)?)))
        .collect();
    entries.join(" ")
}

fn all_places() -> Vec<Place> {
    places(|input| entry(input, &given(input).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_input_means_the_same_in_every_form() {
    let requests = Requests::new().await;
    let mut exceptions = Vec::new();
    for place in all_places() {
        for input in place.inputs.iter().filter(|input| may_be_unset(input)) {
            let at = format!("{}, {}", place.name, input.name.node);
            let query = place.operation("", &beside(&place, input));
            let unset = requests.answer(&place, &query, &json!({})).await;
            assert_eq!(unset.get("errors"), None, "{at}");
            for form in UNSET {
                assert_eq!(
                    requests.given(&place, input, form).await,
                    unset,
                    "{at}: {form:?}"
                );
            }

            let default = default(input);
            let null = if null_is_a_value(&place, input) {
                exceptions.push(at.clone());
                let null = requests.given(&place, input, NULL[0]).await;
                assert_ne!(null, unset, "{at}: null says nothing");
                null
            } else {
                unset.clone()
            };
            for form in NULL {
                if default.is_some() || !form.declared.contains("DEFAULT") {
                    assert_eq!(
                        requests.given(&place, input, form).await,
                        null,
                        "{at}: {form:?}"
                    );
                }
            }

            let Some(default) = default else { continue };
            for form in DEFAULT {
                assert_eq!(
                    requests.given(&place, input, form).await,
                    unset,
                    "{at}: {form:?}"
                );
            }
            // A zero never has a third meaning.
            let zero = requests.given(&place, input, ZERO).await;
            if zero != unset {
                let message = text(&zero["errors"][0]["message"]);
                let is_named = message.contains("$v") || message.contains(input.name.node.as_str());
                assert!(is_named, "{at}: {message}");
            }
            // The responses show the value.
            let mut shows = false;
            for other in others(input, &default) {
                let inputs = format!("{} {}", beside(&place, input), entry(input, &other));
                let query = place.operation("", &inputs);
                shows |= requests.answer(&place, &query, &json!({})).await != unset;
            }
            let name = input.name.node.as_str();
            let is_shown = !SHOWN_ELSEWHERE.contains(&(&place.name, name));
            assert_eq!(
                shows, is_shown,
                "{at}: whether the answers differ by the value"
            );
        }
    }
    let listed = NULL_IS_A_VALUE
        .iter()
        .map(|(_, names)| names.len())
        .sum::<usize>();
    assert_eq!(exceptions.len(), listed, "{exceptions:?}");
}

/// Most generators declare one variable for an input object. For an unset field, some send null (cynic, C# with
/// Newtonsoft.Json) or the default (datamodel-code-generator, typescript-validation-schema).
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_input_means_the_same_in_every_form() {
    let requests = Requests::new().await;
    for place in all_places().iter().filter(|place| place.is_argument) {
        let value = |of: &InputValueDefinition,
                     unset: &dyn Fn(&InputValueDefinition) -> Option<Value>| {
            let value = given(of).or_else(|| unset(of))?;
            Some((of.name.node.to_string(), value))
        };
        let object = |unset: &dyn Fn(&InputValueDefinition) -> Option<Value>| {
            let fields = place.inputs.iter().filter_map(|input| value(input, unset));
            Value::Object(fields.collect())
        };
        let null = |input: &InputValueDefinition| {
            let says_nothing = input.ty.node.nullable && !null_is_a_value(place, input);
            says_nothing.then_some(Value::Null)
        };
        let given = place
            .inputs
            .iter()
            .filter_map(|input| Some(entry(input, &given(input)?)));
        let given = given.collect::<Vec<_>>().join(" ");
        let unset = requests
            .answer(place, &place.operation("", &given), &json!({}))
            .await;
        assert_eq!(unset.get("errors"), None, "{}", place.name);

        let declared = format!("$input: {}!", place.name);
        for (declared, variables) in [
            (&declared, json!({ "input": object(&|_| None) })),
            (&declared, json!({ "input": object(&null) })),
            (&declared, json!({ "input": object(&default) })),
            (&format!("{declared} = {{ {given} }}"), json!({})),
        ] {
            let query = place.operation_of_whole(declared, "$input");
            let answer = requests.answer(place, &query, &variables).await;
            assert_eq!(answer, unset, "{query} {variables}");
        }
    }
}
