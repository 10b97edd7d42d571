//! Connectors that are written while their rows are read equal those of the resolvers, byte for byte. So do the
//! responses to direct queries.

use std::sync::LazyLock;

use entity::personal_connector::Model;
use fixtures::model::Viewer;
use personal_connectors::domain::{
    field::{Field, Kind},
    viewer::Right,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::model::{self, VIEWERS},
};

/// Every field of a connector without a selection of its own.
static LEAVES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let of_row = Field::ALL.iter();
    let of_row = of_row.filter(|field| field.kind() != Kind::Connector);
    let rights = Right::ALL.iter().flat_map(|right| {
        let (can, why) = right.graphql_names();
        [can, why]
    });
    of_row
        .map(|field| field.graphql_name())
        .chain(["__typename", "object"])
        .chain(rights)
        .collect()
});

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
            // The same alias always belongs to the same field.
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
    // A field that is always included, because an empty object is another case.
    vec(item, 0..8).prop_map(|items| format!("{} revision", items.join(" ")))
}

/// Returns an operation that selects each connector once, and the same one with all fields of connectors selected
/// twice, which uses the resolvers.
#[derive(Debug)]
struct Question {
    viewer: Viewer<'static>,
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

/// An argument: the variables that it declares, its text, and values of the variables.
type Argument = (&'static str, &'static str, Value);

/// Some arguments, or none.
fn argument<const N: usize>(
    arguments: [Argument; N],
) -> impl Strategy<Value = Option<Argument>> + use<N> {
    option::of(select(Vec::from(arguments)))
}

/// Valid and invalid arguments of a list.
fn arguments() -> impl Strategy<Value = Vec<Argument>> {
    let size = argument([
        ("", "first: 3", json!({})),
        ("$first: Int = 2", "first: $first", json!({})),
        ("$first: Int = 2", "first: $first", json!({ "first": null })),
        ("$first: Int = 2", "first: $first", json!({ "first": 4 })),
        ("$first: Int", "first: $first", json!({ "first": 101 })),
        ("$first: Int", "first: $first", json!({ "first": "1" })),
        ("$first: Int", "first: $first", json!({})),
    ]);
    let last = argument([
        ("", "last: 2", json!({})),
        ("$last: Int", "last: $last", json!({})),
        ("$last: Int", "last: $last", json!({ "last": null })),
    ]);
    let cursor = argument([
        ("$after: String", "after: $after", json!({})),
        ("$after: String", "after: $after", json!({ "after": null })),
        (
            "$after: String",
            "after: $after",
            json!({ "after": "none" }),
        ),
        ("", "before: \"none\"", json!({})),
    ]);
    let search = argument([
        ("", "search: \"git\"", json!({})),
        ("$search: String", "search: $search", json!({})),
        (
            "$search: String",
            "search: $search",
            json!({ "search": "p" }),
        ),
        (
            "$search: String",
            "search: $search",
            json!({ "search": " " }),
        ),
    ]);
    let parts = "$status: [ConnectorStatus!], $not: PersonalConnectorFilter, $time: DateTime, $is: ConnectorType";
    let of_parts = "filter: {status: $status, not: $not, and: [{createdAt: {gte: $time}}], type: [CUSTOM, $is]}";
    let filter = argument([
        ("", "filter: {type: CUSTOM}", json!({})),
        ("$f: PersonalConnectorFilter", "filter: $f", json!({})),
        (
            "$f: PersonalConnectorFilter",
            "filter: $f",
            json!({ "f": { "category": "DEVELOPMENT" } }),
        ),
        (
            "$f: PersonalConnectorFilter",
            "filter: {or: [$f, null]}",
            json!({}),
        ),
        (
            "$f: PersonalConnectorFilter",
            "filter: {not: $f}",
            json!({ "f": { "not": null, "and": [] } }),
        ),
        (
            "$mine: Boolean, $of: [ID]",
            "filter: {or: [{mine: $mine}, {viewerCanUpdate: true}], organizationId: $of}",
            json!({ "mine": false }),
        ),
        (
            "$mine: Boolean, $of: [ID]",
            "filter: {mine: $mine, organizationId: $of}",
            json!({ "mine": true, "of": ["acme", null] }),
        ),
        (parts, of_parts, json!({})),
        (parts, of_parts, json!({ "is": "OFFICIAL" })),
        (
            parts,
            of_parts,
            json!({ "is": "OFFICIAL", "status": "ACTIVE", "time": "2026-11-22T08:00:00+00:00" }),
        ),
        (
            parts,
            of_parts,
            json!({ "is": "OFFICIAL", "not": { "id": [1, "a"] }, "time": null }),
        ),
    ]);
    let order = argument([
        (
            "",
            "orderBy: {field: CREATED_AT, direction: ASC}",
            json!({}),
        ),
        (
            "$o: PersonalConnectorOrderField!, $d: OrderDirection",
            "orderBy: {field: $o, direction: $d}",
            json!({ "o": "UPDATED_AT" }),
        ),
        (
            "$o: PersonalConnectorOrderField!, $d: OrderDirection",
            "orderBy: {field: $o, direction: $d}",
            json!({ "o": "RELEVANCE", "d": null }),
        ),
    ]);
    (size, last, cursor, search, filter, order)
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].into_iter().flatten().collect())
}

/// Returns a query of one root field. `TYPE` is replaced by a type of connectors or facets. If that is the interface,
/// the query is not direct; everything else is the same.
#[derive(Debug)]
struct OneField {
    viewer: Viewer<'static>,
    query: String,
    /// The object type and the interface.
    types: [&'static str; 2],
    variables: Value,
}

fn one_field() -> impl Strategy<Value = OneField> {
    let leaves = (select(&LEAVES[..]), 0..3).prop_map(|(field, alias)| match alias {
        0 => field.to_owned(),
        alias => format!("a{alias}{field}: {field}"),
    });
    let leaves = vec(leaves, 1..12).prop_map(|leaves| leaves.join(" "));
    let part = select(vec![
        "__typename",
        "pageInfo { hasNextPage p: hasPreviousPage endCursor startCursor __typename }",
        "totalCount",
        "size: totalCount",
        "changesCursor",
        "facets { category { value name count __typename } s: status { n: name } type { c: count value } }",
        "f: facets { __typename serverType { value value } o: outcome { value count } }",
        "facets { organizationId { value name count } left: organizationsLeftOut }",
        "facets { status { value } status { count } }",
        "... { kind: __typename }",
    ]);
    let rows = select(vec!["nodes", "edges", "none", "connector", "connector"]);
    let place = select(vec![
        json!("pcon_none"),
        json!(7),
        json!("é"),
        json!(null),
        json!({}),
    ]);
    let place = prop_oneof![
        (0..6_usize).prop_map(|place| json!(model::id(place))),
        place
    ];
    let shape = (rows, leaves, vec(part, 0..4), place);
    (select(&VIEWERS[..]), arguments(), shape).prop_map(
        |(viewer, mut arguments, (rows, leaves, parts, id))| {
            let selection = format!("...F {leaves} name\n... on TYPE {{ id }}");
            let mut types = ["PersonalConnector", "Node"];
            if rows == "connector" {
                arguments = vec![("$id: ID!", "id: $id", json!({ "id": id }))];
            }
            let list = |name: &str, selected: String| {
                let (before, after) = parts.split_at(parts.len() / 2);
                format!(
                    "list: {name} {{ {} {selected} {} }}",
                    before.join(" "),
                    after.join(" ")
                )
            };
            let given: Vec<_> = arguments.iter().map(|(_, given, _)| *given).collect();
            let given = match given.join(", ") {
                none if none.is_empty() => none,
                given => format!("({given})"),
            };
            let root = match rows {
                "connector" => format!("personalConnector{given} {{ {selection} }}"),
                "nodes" => list(
                    &format!("personalConnectors{given}"),
                    format!("n: nodes {{ {selection} }}"),
                ),
                "none" => {
                    types = ["ConnectorCategoryFacet", "Facet"];
                    let counts = "facets { category { count ... on TYPE { name } } }";
                    format!(
                        "list: personalConnectors{given} {{ {counts} changesCursor totalCount }}"
                    )
                }
                _ => list(
                    &format!("personalConnectors{given}"),
                    format!("edges {{ cursor node {{ {selection} }} __typename c: cursor }}"),
                ),
            };
            let declared = arguments.iter().map(|(declared, _, _)| *declared);
            let declared: Vec<_> = declared.filter(|declared| !declared.is_empty()).collect();
            let declared = match declared.join(", ") {
                none if none.is_empty() => none,
                declared => format!("({declared})"),
            };
            let mut variables = json!({});
            for (_, _, values) in &arguments {
                let values = values.as_object().unwrap().clone();
                variables.as_object_mut().unwrap().extend(values);
            }
            let fragment = match rows {
                "none" => "",
                _ => "fragment F on PersonalConnector { b: createdAt viewerCanUpdate }",
            };
            OneField {
                viewer,
                query: format!("query Q{declared} {{ ... on Query {{ {root} }} }} {fragment}"),
                types,
                variables,
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
        model::check(
            24,
            (dressed(), vec(question(), 12)),
            |(rows, questions)| async move {
                server.clear().await;
                server.insert(rows).await;
                for question in questions {
                    let token = server.viewer_token(question.viewer);
                    let mut answers = Vec::new();
                    // Only resolvers need whole rows.
                    for (query, is_whole) in [(&question.once, false), (&question.twice, true)] {
                        server.forget_reads();
                        let body =
                            json!({ "query": query, "variables": { "no": false } }).to_string();
                        let (status, answer) = server.wire(&token, body).await;
                        prop_assert_eq!(status, 200, "{}\n{}", answer, query);
                        prop_assert!(!answer.contains("\"errors\""), "{}\n{}", answer, query);
                        let statement = server.reads.lock().unwrap()[0].clone();
                        prop_assert_eq!(
                            statement.sql.contains("source_hash"),
                            is_whole,
                            "{}",
                            query
                        );
                        answers.push(answer);
                    }
                    prop_assert_eq!(&answers[0], &answers[1], "{:#?}", question);
                }
                Ok(())
            },
        );
    }

    async fn a_direct_query_answers_as_the_library_does(server: Server) {
        let server = &server;
        model::check(
            32,
            (dressed(), vec(one_field(), 24)),
            |(rows, operations)| async move {
                server.clear().await;
                server.insert(rows).await;
                for OneField {
                    viewer,
                    query,
                    types,
                    variables,
                } in operations
                {
                    let token = server.viewer_token(viewer);
                    let mut answers = Vec::new();
                    for on in types {
                        let query = query.replace("TYPE", on);
                        let body = json!({ "query": query, "variables": variables });
                        let request = server.request(&token, body.to_string());
                        let response = request
                            .header("graphql-cost", "report")
                            .send()
                            .await
                            .unwrap();
                        let status = response.status();
                        answers.push((status, response.text().await.unwrap()));
                    }
                    prop_assert_eq!(&answers[0], &answers[1], "{}\n{}", query, variables);
                }
                Ok(())
            },
        );
    }

    async fn an_error_below_the_root_is_the_librarys(server: Server) {
        // Counts and cursors read it, and pages do not.
        server.rows("DELETE FROM catalog_state").await;
        for field in ["totalCount", "facets { status { count } }", "changesCursor"] {
            let mut answers = Vec::new();
            for on in ["PersonalConnector", "Node"] {
                let query =
                    format!("{{ list: personalConnectors {{ size: {field} nodes {{ ... on {on} {{ id }} }} }} }}");
                let mut answer = server.execute("", &query, json!({})).await;
                let extensions = answer["errors"][0]["extensions"].as_object_mut().unwrap();
                assert!(extensions.remove("requestId").is_some(), "{answer}");
                answers.push(answer);
            }
            assert_eq!(answers[0]["data"], json!(null));
            assert_eq!(answers[0]["errors"][0]["path"], json!(["list", "size"]));
            assert_eq!(answers[0], answers[1]);
        }
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
        let names: Vec<_> = leaves
            .iter()
            .map(|leaf| leaf["name"].as_str().unwrap())
            .collect();
        // These depend on two columns, or on the metadata.
        assert_eq!(
            (objects.len(), names),
            (
                6,
                vec!["curatedFields", "repositoryUrl", "websiteUrl", "packages"]
            )
        );
    }
}
