//! Random changes of the catalogue.

use std::collections::{BTreeMap, BTreeSet};

use entity::{ConnectorType, ConnectorVisibility, Outcome, personal_connector::Model};
use fixtures::published;
use personal_connectors::domain::{inspection::Inspection, viewer::Sight};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::{
    checks::{found, offering},
    connectors::edit,
    harness::Server,
    model::{self, id},
    mutations::{CREATE, DELETE, STATUS, UPDATE, draft, with},
};

/// A change of the catalogue. Indexes wrap around the existing connectors. A refused change has no effect.
#[derive(Clone, Debug)]
pub(in crate::changes) enum Write {
    /// A file's connectors, in one transaction.
    Insert(Vec<Model>),
    /// A file's new values of a connector.
    Edit(usize, Box<Model>),
    /// Checks of servers, in one transaction.
    Check(Vec<(usize, Inspection)>),
    /// A mutation of some connectors, with this input besides their ids.
    Mutate(&'static str, Vec<usize>, Value),
    /// The mutation that imports a file.
    Import(Value),
}

pub(in crate::changes) fn a_write() -> impl Strategy<Value = Write> {
    let some = || vec(any::<usize>(), 1..4);
    let mutate = |field, more: BoxedStrategy<Value>| {
        (some(), more).prop_map(move |(at, more)| Write::Mutate(field, at, more))
    };
    let status = || {
        let statuses = select(vec!["ACTIVE", "DEPRECATED", "MAINTENANCE"]);
        statuses
            .prop_map(|status| json!({ "status": status }))
            .boxed()
    };
    let file = (0..8_usize, fields()).prop_map(|(number, fields)| {
        let name = fields.get("name").cloned().unwrap_or("Filed".into());
        let url = fields.get("serverUrl").cloned();
        let url = url.unwrap_or("https://x.example.com".into());
        let id = format!("filed{number}");
        let more = json!({ "name": name, "serverUrl": url, "createdBy": "ann" });
        Write::Import(with(published::custom(&id, "Filed"), more))
    });
    prop_oneof![
        2 => vec(model::row().prop_map(longer), 1..4).prop_map(Write::Insert),
        3 => (any::<usize>(), model::row().prop_map(longer)).prop_map(|(at, row)| Write::Edit(at, Box::new(row))),
        4 => vec((any::<usize>(), an_inspection()), 1..4).prop_map(Write::Check),
        2 => mutate(CREATE, fields().boxed()),
        4 => mutate(UPDATE, fields().boxed()),
        2 => mutate(STATUS, (status(), option::of(any::<usize>())).prop_map(|(status, by)| {
            with(status, json!({ "replacedById": by }))
        }).boxed()),
        1 => mutate("setConnectorStatuses", status()),
        1 => mutate(DELETE, Just(json!({})).boxed()),
        1 => mutate("deleteCustomConnectors", Just(json!({})).boxed()),
        2 => mutate("updateCatalogConnectors", fields().prop_map(|mut fields| {
            fields.as_object_mut().unwrap().retain(|name, _| ["category", "description"].contains(&name.as_str()));
            fields
        }).boxed()),
        1 => file,
    ]
}

/// Some fields of a connector's input.
fn fields() -> impl Strategy<Value = Value> {
    fn field(
        name: &'static str,
        values: &[Value],
    ) -> impl Strategy<Value = Option<(String, Value)>> + use<> {
        option::weighted(0.4, select(values.to_vec()))
            .prop_map(move |value| Some((name.to_owned(), value?)))
    }
    let names = ["GitHub", "eclair PRO", "Wiki", "日本", "++"];
    let urls = [
        json!("https://MCP.example.com/wiki/"),
        json!("https://mcp.example.com:8000"),
        Value::Null,
    ];
    (
        field("name", &names.map(Value::from)),
        field(
            "description",
            &[json!("Git for teams"), long().into(), Value::Null],
        ),
        field(
            "category",
            &["DESIGN", "CUSTOM", "PRODUCTIVITY"].map(Value::from),
        ),
        field("serverUrl", &urls),
        field(
            "serverType",
            &["HTTP", "WEBSOCKET", "STDIO"].map(Value::from),
        ),
        field(
            "visibility",
            &["PRIVATE", "ORGANIZATION", "PUBLIC"].map(Value::from),
        ),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            let given = [a, b, c, d, e, f].into_iter().flatten();
            Value::Object(given.collect())
        })
}

fn an_inspection() -> impl Strategy<Value = Inspection> {
    let tools: [&[(&str, &str)]; 3] = [&[], &[("git_wiki", "For teams")], &[("pro", "Of 日")]];
    prop_oneof![
        1 => select(vec![
            Outcome::Open,
            Outcome::Timeout,
            Outcome::Blocked,
            Outcome::NotCheckable
        ])
        .prop_map(found),
        2 => select(tools.to_vec()).prop_map(offering),
    ]
}

/// Returns a description with more words than an event records.
fn long() -> String {
    let words: Vec<_> = (0..300).map(|number| format!("w{number}")).collect();
    words.join(" ") + " wiki"
}

/// Gives some rows a long description.
fn longer(row: Model) -> Model {
    let is_long = row.status == entity::ConnectorStatus::Maintenance;
    let description = if is_long {
        Some(long())
    } else {
        row.description
    };
    Model { description, ..row }
}

/// The existing connectors, and the observed events.
#[derive(Debug, Default)]
pub(in crate::changes) struct World {
    made: usize,
    pub(in crate::changes) rows: Vec<Model>,
    /// The last state of each connector that an event recorded.
    pub(super) last: BTreeMap<String, String>,
}

impl World {
    pub(in crate::changes) async fn write(&mut self, server: &Server, write: &Write) {
        let root = server.token("ann@acme", &["connectors:admin", "catalog:admin"]);
        let count = self.rows.len().max(1);
        let at = |at: &usize| self.rows.get(*at % count);
        match write {
            Write::Insert(rows) => {
                let rows = rows.iter().cloned().map(|row| {
                    self.made += 1;
                    Model {
                        id: id(self.made),
                        ..row
                    }
                });
                let rows = rows.collect();
                let _refused = server.try_insert(rows).await;
            }
            Write::Edit(place, row) => {
                let Some(before) = at(place) else { return };
                let mut tx = server.begin().await;
                let edited = tx
                    .update(before, edit(&kept(before, (**row).clone())))
                    .await;
                match edited.unwrap() {
                    Ok(_) => drop(tx.commit().await.unwrap()),
                    Err(_) => tx.rollback().await,
                }
            }
            Write::Check(checks) => {
                let checks = checks
                    .iter()
                    .filter_map(|(place, found)| Some((at(place)?.id.clone(), found.clone())));
                let checks = checks.collect();
                server.record(checks).await;
            }
            Write::Mutate(field, places, more) => {
                let ids: BTreeSet<_> = places
                    .iter()
                    .filter_map(at)
                    .map(|row| row.id.clone())
                    .collect();
                let ids: Vec<_> = ids.into_iter().collect();
                let mut more = more.clone();
                if let Some(by) = more.get("replacedById").and_then(Value::as_u64) {
                    let by = at(&usize::try_from(by).unwrap());
                    more["replacedById"] = json!(by.map(|row| &row.id));
                }
                let input = match *field {
                    CREATE => draft("Made", more),
                    UPDATE | STATUS | DELETE => with(
                        json!({ "id": ids.first().map_or("pcon_none", String::as_str) }),
                        more,
                    ),
                    _ => with(json!({ "ids": ids, "errorPolicy": "SKIP_FAILED" }), more),
                };
                let (first, rest) = field.split_at(1);
                let input_type = format!("{}{rest}Input", first.to_uppercase());
                let document = format!(
                    "mutation($input: {input_type}!) {{ {field}(input: $input) {{ userErrors {{ code }} }} }}"
                );
                server
                    .execute(&root, &document, json!({ "input": input }))
                    .await;
            }
            Write::Import(object) => {
                let document =
                    "mutation($content: String!) { importConnectors(input: {content: $content, \
                    organizationId: \"acme\"}) {
                    report { created updated rejected } userErrors { code } } }";
                let content = json!([object]).to_string();
                server
                    .data(&root, document, json!({ "content": content }))
                    .await;
            }
        }
    }
}

/// Returns the existing connectors.
pub(in crate::changes) async fn rows(server: &Server) -> Vec<Model> {
    let ids = server
        .rows("SELECT id FROM personal_connector ORDER BY id")
        .await;
    let ids: Vec<_> = ids.lines().map(ToOwned::to_owned).collect();
    let tx = server.begin().await;
    let rows = tx.get(&Sight::Everything, &ids).await.unwrap();
    tx.rollback().await;
    rows
}

/// Returns a row's values for a connector, which keeps its organization or stays without one.
fn kept(before: &Model, row: Model) -> Model {
    let is_custom = before.r#type == ConnectorType::Custom;
    let r#type = if is_custom || row.r#type == ConnectorType::Custom {
        before.r#type
    } else {
        row.r#type
    };
    let visibility = match row.visibility {
        _ if !is_custom => ConnectorVisibility::Public,
        ConnectorVisibility::Organization if before.organization_id.is_none() => {
            ConnectorVisibility::Private
        }
        visibility => visibility,
    };
    Model {
        r#type,
        visibility,
        seq: before.seq,
        id: before.id.clone(),
        connector_id: before.connector_id.clone(),
        organization_id: before.organization_id.clone(),
        created_by: row.created_by.filter(|_| is_custom),
        source: before.source,
        ..row
    }
}
