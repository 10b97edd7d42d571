//! Connectors that are written as their rows are read are, to the byte, what the resolvers give.

use entity::personal_connector::Model;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::json;

use crate::{
    on_both,
    support::model::{self, VIEWERS, Viewer},
};

/// Every field of a connector that selects nothing further.
const LEAVES: [&str; 23] = [
    "__typename",
    "id",
    "object",
    "name",
    "type",
    "connectorId",
    "description",
    "iconUrl",
    "category",
    "version",
    "status",
    "statusMessage",
    "serverUrl",
    "serverType",
    "metadata",
    "createdAt",
    "updatedAt",
    "createdBy",
    "organizationId",
    "visibility",
    "revision",
    "viewerCanUpdate",
    "viewerCanDelete",
];

const TEXTS: [&str; 5] = [
    "plain",
    "\"quoted\" \\ and / \u{8}\t\n\u{1f}\u{7f}",
    "日本 \u{2028} é 👩\u{200d}💻",
    "</script>",
    "",
];

const JSON: [&str; 4] = [
    "{}",
    r#"{"b":1,"a":[1.50,1e400,null],"$serde_json::private::RawValue":"x","c":{}}"#,
    r#"{"text":"\u0000 \ud83d\ude00 </"}"#,
    r#"{"number":123456789012345678901234567890}"#,
];

/// A selection of leaves, which `$yes` and `$no` include.
fn selection() -> impl Strategy<Value = String> {
    let directive = select(vec![
        "",
        "",
        "@include(if: $yes)",
        "@skip(if: $no)",
        "@include(if: $no)",
        "@skip(if: true)",
    ]);
    let leaf =
        (select(&LEAVES[..]), 0..3, directive.clone()).prop_map(|(field, alias, directive)| {
            // The same alias is always of the same field.
            let alias = match alias {
                0 => String::new(),
                alias => format!("a{alias}{field}: "),
            };
            format!("{alias}{field} {directive}")
        });
    let item = leaf.prop_recursive(2, 16, 4, move |inner| {
        let on = select(vec!["", "on PersonalConnector", "on Node"]);
        (on, directive.clone(), vec(inner, 1..4)).prop_map(|(on, directive, items)| {
            let items = match on {
                "on Node" => "id __typename".to_owned(),
                _ => items.join(" "),
            };
            format!("... {on} {directive} {{ {items} }}")
        })
    });
    // One that is always there: a connector of nothing is another matter.
    vec(item, 0..8).prop_map(|items| format!("{} revision", items.join(" ")))
}

/// An operation of which each connector is asked for once, and the same with every field of connectors asked for twice, which
/// is resolved.
#[derive(Debug)]
struct Question {
    viewer: Viewer,
    once: String,
    twice: String,
}

fn question() -> impl Strategy<Value = Question> {
    let shape = select(vec!["connector", "nodes", "edges", "backwards"]);
    let edge = vec(select(vec!["cursor", "c: cursor", "__typename"]), 0..3);
    let rest = select(vec!["", "totalCount", "pageInfo { startCursor endCursor }"]);
    let asked = (shape, edge, rest, 0..6_usize);
    (select(&VIEWERS[..]), selection(), selection(), asked).prop_map(
        |(viewer, selection, fragment, (shape, edge, rest, place))| {
            let selection = format!("{selection} ...F");
            let rows = match shape {
                "nodes" => format!("nodes {{ {selection} }}"),
                _ => format!(
                    "edges {{ {} node {{ {selection} }} cursor }}",
                    edge.join(" ")
                ),
            };
            let ask = |times: usize| {
                let field = match shape {
                    "connector" => {
                        let id = model::id(place);
                        let field = format!("personalConnector(id: \"{id}\") {{ {selection} }} ");
                        field.repeat(times)
                    }
                    "backwards" => {
                        format!(
                            "personalConnectors(last: 5) {{ {} {rest} }}",
                            rows.repeat(times)
                        )
                    }
                    _ => format!(
                        "personalConnectors(first: 5) {{ {} {rest} }}",
                        rows.repeat(times)
                    ),
                };
                format!(
                    "query($yes: Boolean = true, $no: Boolean!) {{
                        {field}
                        used: viewer @include(if: $yes) @skip(if: $no) {{ __typename }}
                    }}
                    fragment F on PersonalConnector {{ {fragment} }}"
                )
            };
            Question {
                viewer,
                once: ask(1),
                twice: ask(2),
            }
        },
    )
}

fn dressed() -> impl Strategy<Value = Vec<Model>> {
    let texts = || option::of(select(&TEXTS[..]));
    let extra = (
        texts(),
        texts(),
        texts(),
        option::of(select(&JSON[..])),
        texts(),
    );
    (model::catalogue(12), vec(extra, 12)).prop_map(|(mut rows, extras)| {
        for (row, (message, icon, version, metadata, url)) in rows.iter_mut().zip(extras) {
            row.status_message = message.map(ToOwned::to_owned);
            row.icon_url = icon.map(ToOwned::to_owned);
            row.version = version.map(ToOwned::to_owned);
            row.metadata = metadata.map(ToOwned::to_owned);
            row.server_url = url.map(ToOwned::to_owned);
        }
        rows
    })
}

on_both! {
    async fn what_is_written_is_what_would_be_resolved(server: Server) {
        let server = &server;
        model::check(24, (dressed(), vec(question(), 12)), |(rows, questions)| async move {
            server.clear().await;
            server.insert(rows).await;
            for question in questions {
                let token = question.viewer.token(server);
                let mut answers = Vec::new();
                // Only who resolves needs whole rows.
                for (query, is_whole) in [(&question.once, false), (&question.twice, true)] {
                    server.forget_reads();
                    let body = json!({ "query": query, "variables": { "no": false } }).to_string();
                    let (status, answer) = server.wire(&token, body).await;
                    prop_assert_eq!(status, 200, "{}\n{}", answer, query);
                    prop_assert!(!answer.contains("\"errors\""), "{}\n{}", answer, query);
                    let statement = server.reads.lock().unwrap()[0].clone();
                    prop_assert_eq!(statement.sql.contains("source_hash"), is_whole, "{}", query);
                    answers.push(answer);
                }
                prop_assert_eq!(&answers[0], &answers[1], "{:#?}", question);
            }
            Ok(())
        });
    }

    async fn every_leaf_of_the_schema_is_tried(server: Server) {
        let query = "{ __type(name: \"PersonalConnector\") { fields { name type { kind ofType { kind } } } } }";
        let data = server.data("", query, json!({})).await;
        let fields = data["__type"]["fields"].as_array().unwrap().iter();
        let is_object = |field: &&serde_json::Value| {
            [&field["type"]["kind"], &field["type"]["ofType"]["kind"]].contains(&&json!("OBJECT"))
        };
        let (objects, mut leaves): (Vec<_>, Vec<_>) = fields.partition(is_object);
        leaves.retain(|leaf| !LEAVES.contains(&leaf["name"].as_str().unwrap()));
        assert_eq!((objects.len(), leaves), (3, vec![]));
    }
}
