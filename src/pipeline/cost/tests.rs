use async_graphql::parser::parse_query;
use serde_json::json;

use super::*;
const TOOL_SEARCH: u64 = 10;

fn cost_of(document: &str, variables: serde_json::Value) -> Result<Cost> {
    let document = parse_query(document).unwrap();
    let cost = cost(&document, &Sizes::of(&Variables::from_json(variables)))?;
    cost.within(OperationLimits::default())?;
    Ok(cost)
}

#[test]
fn a_list_costs_its_items() {
    for (document, complexity) in [
        ("{ viewer { userId } }", 2),
        ("{ personalConnectors { nodes { id name } } }", 1 + 20 * 3),
        (
            "{ personalConnectors(first: 3) { nodes { id } } }",
            1 + 3 * 2,
        ),
        (
            "query($n: Int) { personalConnectors(last: $n) { nodes { id } } }",
            1 + 7 * 2,
        ),
        (
            "query($m: Int) { personalConnectors(first: $m) { nodes { id } } }",
            1 + 20 * 2,
        ),
        (
            "{ personalConnectorChanges(first: 3) { nodes { kind } } }",
            1 + 3 * 2 + VISIT,
        ),
        ("{ nodes(ids: [\"a\", \"b\"]) { id } }", 1 + 2),
        ("mutation { deleteCustomConnectors(input: {ids: [\"a\", \"b\"]}) { results { personalConnectorId } } \
          }", 1 + 2 * 2),
        (
            "mutation($input: DeleteCustomConnectorsInput!) { deleteCustomConnectors(input: $input) { results { \
             personalConnectorId } } }",
            1 + 3 * 2,
        ),
        (
            "mutation { inspectServer { inspection { tools { name title } } } }",
            1 + 1 + 1 + 1000 * 2,
        ),
        (
            "mutation { checkConnector { inspection { ... { ... on Inspection { tools { name } } } ...I } } }
             fragment I on Inspection { ... @skip(if: false) { again: tools { name } } }",
            1 + 1 + 2 * (1 + 1000),
        ),
        (
            "{ personalConnectors(first: 3) { nodes { tools(first: 7) { nodes { name } } } } }",
            1 + 3 * (1 + 1 + 7 * 2),
        ),
        (
            "{ personalConnectors(first: 3) { nodes { ...C } } }
             fragment C on PersonalConnector { tools { nodes { name } } health { history(first: 5) { outcome } } }",
            1 + 3 * (1 + (1 + 20 * 2) + (1 + 1 + 5)),
        ),
        (
            "query($ids: [ID!]!) { nodes(ids: $ids) { id ...F } } fragment F on Node { a: id }",
            1 + 3 * 2,
        ),
    ] {
        let ids = json!(["a", "b", "c"]);
        let variables = json!({ "n": 7, "ids": ids, "input": { "ids": ids } });
        assert_eq!(
            cost_of(document, variables).unwrap().complexity,
            complexity,
            "{document}"
        );
    }
}

#[test]
fn what_is_long_or_visits_much_costs_more() {
    for (document, complexity) in [
        (
            "{ personalConnectors(first: 3) { nodes { metadata description } } }",
            1 + 3 * (1 + 17 + 2),
        ),
        (
            "{ personalConnectors(first: 3) { nodes { tools(first: 2, search: \"x\") { nodes { inputSchema } } } } \
             }",
            1 + 3 * (1 + 1 + TOOL_SEARCH + 2 * (1 + 5)),
        ),
        // These costs are the same for any number of items on a page.
        (
            "{ a: personalConnectors(first: 3) { totalCount ...F } } fragment F on PersonalConnectorConnection { \
             facets { status { count } } }",
            1 + 3 * (1 + 3) + 2 * VISIT,
        ),
        (
            "{ personalConnectors(first: 3) { nodes { organizationId } facets { organizationId { count } } } }",
            1 + 3 * (2 + 3) + 2 * VISIT,
        ),
        (
            "{ personalConnectors(first: 3) { nodes { tools { totalCount } } } }",
            1 + 3 * (1 + 1 + 20),
        ),
        (
            "query($w: String) { personalConnectors(first: 0, search: \"x\") { __typename } b: \
             personalConnectors(first: 0, search: $w) { __typename } }",
            2 + VISIT,
        ),
        (
            "query($f: F) { personalConnectors(first: 0, filter: $f) { __typename } b: personalConnectors(first: \
             0, filter: {or: [$f, {toolName: \"x\"}, {toolName: null}]}) { __typename } }",
            2 + 7 * VISIT,
        ),
    ] {
        let filter = json!({ "and": [{ "toolName": "a", "not": { "toolName": "b" } }, { "toolName": null }] });
        let cost = cost_of(document, json!({ "f": filter })).unwrap();
        assert_eq!(cost.complexity, complexity, "{document}");
    }
    let aliases = |what: &str| {
        let fields: Vec<_> = (0..100)
            .map(|i| format!("a{i}: personalConnectors(first: 0) {{ {what} }}"))
            .collect();
        format!("{{ {} }}", fields.join(" "))
    };
    assert!(cost_of(&aliases("__typename"), json!({})).is_ok());
    let message = cost_of(&aliases("totalCount"), json!({}))
        .unwrap_err()
        .message;
    assert!(message.contains("complexity"), "{message}");
}

#[test]
fn counts_what_fragments_bring() {
    let document = "query @a { x: viewer { ...F @b ...F } } fragment F on Viewer @c { userId ... @d { y: scopes } \
                    }";
    let expected = Cost {
        depth: 2,
        fields: 5,
        complexity: 5,
        aliases: 3,
        directives: 6,
        size: 15,
        values: 0,
        changed: 0,
        nesting: 5,
        visits: 0,
        pages: 0,
    };
    assert_eq!(cost_of(document, json!({})).unwrap(), expected);
}

#[test]
fn a_filter_costs_its_conditions_in_the_page_and_in_each_count() {
    let list = "query($f: F) { personalConnectors(first: 0, filter: $f) { totalCount } }";
    let not = |i: usize| json!({ "not": { "uptime": { "gte": i } } });
    for (count, times) in [(1, 1), (10, 1), (11, 2), (100, 10)] {
        let filter = json!({ "and": (0..count).map(not).collect::<Vec<_>>(), "or": null });
        let cost = cost_of(list, json!({ "f": filter })).unwrap();
        assert_eq!(cost.complexity, 1 + 2 * times * VISIT, "{count}");
        assert_eq!(cost.is_expensive(), times > 2, "{count}");
    }
    let written = "{ personalConnectors(first: 0, filter: {and: [{not: $f}, {not: {or: [$f, {name: null}]}}]}) { \
                   totalCount } }";
    let filter = json!({ "type": "CUSTOM", "status": "ACTIVE", "uptime": {}, "host": [], "name": {},
        "hasTools": true });
    let cost = cost_of(&format!("query($f: F) {written}"), json!({ "f": filter })).unwrap();
    assert_eq!(cost.complexity, 1 + 4 * VISIT);
}

#[test]
fn many_pages_are_expensive_and_those_of_nothing_are_not() {
    let lists = |count: usize, first: usize| {
        let list = |i| format!("a{i}: personalConnectors(first: {first}) {{ nodes {{ id }} }}");
        let lists: Vec<_> = (0..count).map(list).collect();
        cost_of(&format!("{{ {} }}", lists.join(" ")), json!({})).unwrap()
    };
    assert!(!lists(10, 1).is_expensive());
    assert!(lists(11, 1).is_expensive());
    assert!(!lists(99, 0).is_expensive());
}

#[test]
fn the_guide_says_what_is_expensive() {
    let guide = include_str!("../../../docs/operate/memory.md");
    let says = format!(
        "more than {CHEAP_VISITS} searches, filters and counts, {CHEAP_PAGES} pages, or {CHEAP_COMPLEXITY} points"
    );
    assert!(
        guide.replace(',', "").contains(&says.replace(',', "")),
        "{says}"
    );
}

#[test]
fn bounds_what_is_validated() {
    let fragments = |last: &str| {
        let fragment = |i| {
            let next = i + 1;
            format!("fragment F{i} on Viewer {{ ...F{next} ...F{next} ...F{next} }} ")
        };
        let all: String = (0..9).map(fragment).collect();
        format!("{all} fragment F9 on Viewer {{ {last} }}")
    };
    let operations = |count| {
        let operation = |i| format!("query Q{i} {{ ...F }} ");
        (0..count).map(operation).collect::<String>()
    };
    let fields = "viewer ".repeat(100);
    let values = "1 ".repeat(98);
    for (document, is_within) in [
        // The size also counts fragments that no operation spreads. An unknown fragment has no fields, so only the size
        // is exceeded.
        (
            format!("{{ viewer {{ ...F0 }} }} {}", fragments("...X")),
            false,
        ),
        (
            format!("{{ viewer {{ ...F9 }} }} {}", fragments("...X")),
            false,
        ),
        // The size covers each operation, including the fragments that it spreads.
        (
            format!("{} fragment F on Query {{ {fields} }}", operations(99)),
            true,
        ),
        (
            format!("{} fragment F on Query {{ {fields} }}", operations(100)),
            false,
        ),
        (
            format!(
                "{} fragment F on Query {{ a(b: [{values}]) }}",
                operations(99)
            ),
            true,
        ),
        (
            format!(
                "{} fragment F on Query {{ a(b: [{values}]) }}",
                operations(100)
            ),
            false,
        ),
    ] {
        let message = cost_of(&document, json!({})).map_err(|error| error.message);
        let refusal =
            "the document, with its fragments written out, must have at most 10000 tokens";
        let expected = if is_within { None } else { Some(refusal) };
        assert_eq!(message.err().as_deref(), expected, "{document:.80}");
    }
}

/// Deep fragments are refused in any order of visits, and no stack overflows.
#[test]
fn bounds_how_deep_fragments_are_spread() {
    for (count, is_within) in [(60, true), (62, false), (1000, false)] {
        let fragment = |i| {
            let next = i + 1;
            format!("fragment F{i} on Query {{ ...F{next} }}")
        };
        let all: String = (0..count).map(fragment).collect();
        let all = format!("{all} fragment F{count} on Query {{ viewer {{ userId }} }}");
        let spread = format!("{{ ...F0 }} {all}");
        let spread_deep_first = format!("query A {{ ...F9 }} query B {{ ...F0 }} {all}");
        let unused = format!("{{ viewer }} {all}");
        for document in [spread, spread_deep_first, unused] {
            let is = cost(&parse_query(&document).unwrap(), &Sizes::default()).is_ok();
            assert_eq!(is, is_within, "{document:.80}");
        }
    }
}

#[test]
fn refuses_circles_and_what_is_too_much() {
    let exponential = |fragments: usize| {
        let spread = |i: usize| format!("...F{i} ...F{i} ...F{i}");
        let fragment = |i: usize| format!("fragment F{i} on Viewer {{ {} }}", spread(i + 1));
        let all: String = (0..fragments).map(fragment).collect();
        format!("{{ viewer {{ ...F0 }} }} {all} fragment F{fragments} on Viewer {{ userId }}")
    };
    let aliases = |count: usize| {
        let fields: Vec<_> = (0..count).map(|i| format!("a{i}: viewer")).collect();
        fields.join(" ")
    };
    for (document, expected) in [
        (
            "{ a ...F } fragment F on Query { ...F }".to_owned(),
            "spreads itself",
        ),
        (
            "{ a } fragment F on Query { ...G } fragment G on Query { a { ...F } }".to_owned(),
            "spreads itself",
        ),
        (exponential(17), "fields"),
        (exponential(60), "fields"),
        (format!("{{ {} }}", aliases(10_000)), "fields"),
        (format!("{{ {} }}", aliases(101)), "aliases"),
        (format!("{{ a {} }}", "@x ".repeat(101)), "directives"),
        (
            "{ a: personalConnectors(first: 1000000000) { nodes { id } } }".to_owned(),
            "complexity",
        ),
        (format!("{}{}", "{ a ".repeat(30), "}".repeat(30)), "levels"),
    ] {
        let message = cost_of(&document, json!({})).unwrap_err().message;
        assert!(message.contains(expected), "{message}: {document:.80}");
    }
}

#[test]
fn mutations_of_many_are_bounded_together() {
    let mutations = |count: usize, input: &str| {
        let fields = [
            "setConnectorStatuses",
            "deleteCustomConnectors",
            "updateCatalogConnectors",
            "checkConnectors",
        ];
        let aliased = (0..count).zip(fields.into_iter().cycle());
        let fields: Vec<_> = aliased
            .map(|(i, field)| format!("a{i}: {field}(input: {input}) {{ userErrors {{ code }} }}"))
            .collect();
        fields.join(" ")
    };
    let ids = |count: usize| vec!["pcon_a"; count];
    let variables = |count: usize| json!({ "ids": ids(count), "input": { "ids": ids(count) } });
    for input in ["$input", "{ids: $ids}"] {
        let head = "mutation($ids: [ID!]!, $input: I!)";
        let spread = format!(
            "{head} {{ ...F }} fragment F on Mutation {{ {} }}",
            mutations(5, input)
        );
        for document in [format!("{head} {{ {} }}", mutations(5, input)), spread] {
            let cost = cost_of(&document, variables(100)).unwrap();
            assert_eq!(cost.changed, CHANGED, "{document}");
            let error = cost_of(&document, variables(101)).unwrap_err();
            assert_eq!(error.code, Code::LimitExceeded);
            assert_eq!(
                error.to_string(),
                "an operation must have at most 500 ids in all its mutations of many connectors: this one has 505"
            );
        }
    }
    let read = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    assert_eq!(cost_of(read, variables(100)).unwrap().changed, 0);
}
