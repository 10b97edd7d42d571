//! Lists: order, filters, arguments, page information, and the number of statements.

use std::fmt::Write;

use entity::{ConnectorCategory, ConnectorStatus, ConnectorVisibility, personal_connector::Model};
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors::{custom, ids, official},
        harness::{NOW, Server, timestamp},
    },
};

/// Names that collations of databases order in many ways, with ties in every order, and nulls.
async fn fill(server: &Server) {
    let at = |id, name, created_at: &str, updated_at: &str| Model {
        created_at: timestamp(created_at),
        updated_at: timestamp(updated_at),
        ..official(id, name)
    };
    let early = "2025-01-01T00:00:00Z";
    server.clear().await;
    let rows = vec![
        at("z", "apple", NOW, early),
        at("a", "Äpfel", NOW, NOW),
        at("A", "APFEL", early, NOW),
        at("Z", "Zoë", "2025-01-01T00:00:00.000001Z", early),
        Model {
            category: Some(ConnectorCategory::Design),
            status: ConnectorStatus::Deprecated,
            ..at("u", "_x", "2025-01-01T00:00:00.1Z", NOW)
        },
        Model {
            category: Some(ConnectorCategory::Development),
            ..at("10", "10", early, NOW)
        },
        Model {
            category: Some(ConnectorCategory::Design),
            ..at("9", "9", early, early)
        },
        at(
            "han",
            "日本",
            "1969-12-31T23:59:59.999999Z",
            "1969-12-31T23:59:59Z",
        ),
        at("sp", "a b", early, early),
        at("hy", "a-b", early, early),
        custom("mine", "ab", "ann@acme", ConnectorVisibility::Private),
    ];
    server.insert(rows).await;
}

async fn list(server: &Server, token: &str, arguments: &str) -> Value {
    let query = format!(
        "{{ personalConnectors({arguments}) {{
            nodes {{ id }} edges {{ cursor }} pageInfo {{ hasPreviousPage hasNextPage startCursor endCursor }}
        }} }}"
    );
    server.data(token, &query, json!({})).await["personalConnectors"].take()
}

/// Returns the code and message of an operation's only error, which is about its arguments.
async fn refusal(server: &Server, query: &str, variables: Value) -> String {
    let answer = server.execute("", query, variables).await;
    let [error] = answer["errors"].as_array().unwrap().as_slice() else {
        panic!("{answer}")
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!(
        "{} {}",
        text(&error["extensions"]["code"]),
        text(&error["message"])
    )
}

on_both! {
    async fn orders_by_bytes_of_folded_names_and_by_time_with_ties_by_id(server: Server) {
        fill(&server).await;
        let by_name = ["10", "9", "u", "sp", "hy", "A", "a", "z", "Z", "han"];
        let by_created_at = ["a", "z", "u", "Z", "10", "9", "A", "hy", "sp", "han"];
        let by_updated_at = ["10", "A", "a", "u", "9", "Z", "hy", "sp", "z", "han"];
        for (order, expected) in [
            ("field: NAME", by_name),
            ("field: CREATED_AT", by_created_at),
            ("field: UPDATED_AT", by_updated_at),
        ] {
            let natural = if order == "field: NAME" {
                ["ASC", "DESC"]
            } else {
                ["DESC", "ASC"]
            };
            let mut reversed = expected;
            reversed.reverse();
            for (order, expected) in [
                (order.to_owned(), expected),
                (format!("{order}, direction: {}", natural[0]), expected),
                (format!("{order}, direction: {}", natural[1]), reversed),
            ] {
                for page in ["first: 20", "last: 20"] {
                    let found = list(&server, "", &format!("{page}, orderBy: {{{order}}}")).await;
                    assert_eq!(ids(&found), expected, "{order} {page}");
                }
            }
        }
        assert_eq!(ids(&list(&server, "", "first: 20").await), by_name);
    }

    async fn orders_go_on_with_others_and_cursors_carry_them(server: Server) {
        fill(&server).await;
        let found =
            async |arguments: &str| list(&server, "", &format!("first: 20, {arguments}")).await;
        // The enum's order, then the name.
        let by_category = ["10", "9", "u", "sp", "hy", "A", "a", "z", "Z", "han"];
        assert_eq!(ids(&found("orderBy: {field: CATEGORY}").await), by_category);
        // Connectors without a category are still last.
        let reversed = ["u", "9", "10", "han", "Z", "z", "a", "A", "hy", "sp"];
        assert_eq!(
            ids(&found("orderBy: {field: CATEGORY, direction: DESC}").await),
            reversed
        );
        let then_by = "orderBy: {field: STATUS, direction: DESC}, thenBy: [{field: CATEGORY}, {field: NAME, direction: \
                       DESC}]";
        assert_eq!(
            ids(&found(then_by).await),
            ["u", "10", "9", "han", "Z", "z", "a", "A", "hy", "sp"]
        );
        let single = "orderBy: {field: STATUS}, thenBy: {field: CREATED_AT, direction: ASC}";
        assert_eq!(
            ids(&found(single).await),
            ["han", "sp", "hy", "A", "9", "10", "Z", "z", "a", "u"]
        );
        let first = list(&server, "", &format!("first: 2, {then_by}")).await;
        let cursor = first["pageInfo"]["endCursor"].as_str().unwrap();
        let next = list(
            &server,
            "",
            &format!("first: 2, after: \"{cursor}\", {then_by}"),
        )
        .await;
        assert_eq!(ids(&next), ["9", "han"]);
        for other in [
            "orderBy: {field: STATUS, direction: DESC}",
            "orderBy: {field: STATUS, direction: DESC}, thenBy: [{field: CATEGORY}]",
            "orderBy: {field: STATUS, direction: DESC}, thenBy: [{field: NAME, direction: DESC}, {field: CATEGORY}]",
            "orderBy: {field: STATUS}, thenBy: [{field: CATEGORY}, {field: NAME, direction: DESC}]",
            "orderBy: {field: UPTIME}",
        ] {
            let query = format!(
                "{{ personalConnectors(after: \"{cursor}\", {other}) {{ nodes {{ id }} }} }}"
            );
            assert!(
                refusal(&server, &query, json!({}))
                    .await
                    .starts_with("CURSOR_INVALID after is a cursor of another"),
                "{other}"
            );
        }
        for (arguments, expected) in [
            (
                "orderBy: {field: NAME}, thenBy: [{field: STATUS}, {field: NAME}]",
                "thenBy[1].field is ordered by already: name each field once",
            ),
            (
                "thenBy: {field: NAME, direction: DESC}",
                "thenBy[0].field is ordered by already: name each field once",
            ),
            (
                "thenBy: {field: RELEVANCE}",
                "thenBy[0].field: RELEVANCE can be given as orderBy alone",
            ),
            (
                "thenBy: [{field: TYPE}, {field: STATUS}, {field: CATEGORY}, {field: UPTIME}]",
                "thenBy must have at most 3 orders",
            ),
            (
                "filter: {host: \"https://example.com\"}",
                "filter.host must be hosts such as mcp.example.com or localhost:8000, not \"https://example.com\"",
            ),
        ] {
            let query = format!("{{ personalConnectors({arguments}) {{ nodes {{ id }} }} }}");
            assert_eq!(
                refusal(&server, &query, json!({})).await,
                format!("BAD_USER_INPUT {expected}")
            );
        }
        assert_eq!(
            ids(&found("orderBy: {field: NAME}, thenBy: []").await),
            ["10", "9", "u", "sp", "hy", "A", "a", "z", "Z", "han"]
        );
        for (filter, expected) in [
            ("{equals: \"ÁPFEL\"}", &["A", "a"][..]),
            ("{startsWith: \"Äp\"}", &["A", "a", "z"]),
            ("{startsWith: \"a\", equals: \"A B\"}", &["sp"]),
            ("{equals: \"\"}", &[]),
        ] {
            assert_eq!(
                ids(&found(&format!("filter: {{name: {filter}}}")).await),
                expected,
                "{filter}"
            );
        }
    }

    async fn filters_nulls_not_and_empty_lists(server: Server) {
        fill(&server).await;
        let ann = server.token("ann@acme", &[]);
        let all = [
            "10", "9", "u", "sp", "hy", "mine", "A", "a", "z", "Z", "han",
        ];
        let without = |out: &[&str]| {
            all.into_iter()
                .filter(|id| !out.contains(id))
                .collect::<Vec<_>>()
        };
        for (filter, expected) in [
            ("{}", all.to_vec()),
            ("null", all.to_vec()),
            (
                "{category: null, and: null, or: null, not: null, createdAt: null}",
                all.to_vec(),
            ),
            (
                "{createdAt: {}, updatedAt: {gte: null, lt: null}}",
                all.to_vec(),
            ),
            ("{category: []}", vec![]),
            ("{id: []}", vec![]),
            ("{or: []}", vec![]),
            ("{and: []}", all.to_vec()),
            ("{not: {}}", vec![]),
            ("{not: {category: []}}", all.to_vec()),
            ("{not: {or: []}}", all.to_vec()),
            ("{not: {and: []}}", vec![]),
            ("{or: [{}]}", all.to_vec()),
            ("{category: DESIGN}", vec!["9", "u"]),
            ("{category: [DESIGN, DEVELOPMENT]}", vec!["10", "9", "u"]),
            // The complement includes connectors without a category.
            ("{not: {category: DESIGN}}", without(&["9", "u"])),
            ("{not: {not: {category: DESIGN}}}", vec!["9", "u"]),
            ("{not: {category: DESIGN, status: ACTIVE}}", without(&["9"])),
            (
                "{not: {or: [{category: DESIGN}, {serverType: HTTP}]}}",
                without(&["9", "u"]),
            ),
            (
                "{or: [{category: DEVELOPMENT}, {status: DEPRECATED}]}",
                vec!["10", "u"],
            ),
            ("{category: DESIGN, not: {status: DEPRECATED}}", vec!["9"]),
            ("{createdBy: \"ann\"}", vec!["mine"]),
            ("{not: {createdBy: \"ann\"}}", without(&["mine"])),
            ("{connectorId: [\"custom_mcp\", \"a\"]}", vec!["mine", "a"]),
            ("{connectorId: [\"a\", \"z\"]}", vec!["a", "z"]),
            ("{connectorId: \"CUSTOM_MCP\"}", vec![]),
            (
                "{id: [\"pcon_a\", \"pcon_A\", \"pcon_b\", \"pcon_\", \"\"]}",
                vec!["A", "a"],
            ),
            (
                "{createdAt: {gte: \"2025-01-01T00:00:00.000001Z\", lt: \"2025-01-01T01:00:00.1+01:00\"}}",
                vec!["Z"],
            ),
            ("{createdAt: {lt: \"1970-01-01T00:00:00Z\"}}", vec!["han"]),
            (
                "{updatedAt: {gte: \"2026-11-22T08:00:00Z\"}}",
                vec!["10", "u", "mine", "A", "a"],
            ),
            (
                "{createdAt: {gte: \"2026-01-01T00:00:00Z\", lt: \"2025-01-01T00:00:00Z\"}}",
                vec![],
            ),
        ] {
            let found = list(&server, &ann, &format!("filter: {filter}")).await;
            assert_eq!(ids(&found), expected, "{filter}");
        }
    }

    async fn a_value_stands_for_a_list_of_one(server: Server) {
        fill(&server).await;
        let query = "query($filter: PersonalConnectorFilter) { personalConnectors(filter: $filter) { nodes { id } } }";
        for filter in [
            json!({ "category": "DESIGN", "status": "ACTIVE", "connectorId": "9" }),
            json!({ "category": ["DESIGN"], "status": ["ACTIVE"], "connectorId": ["9"] }),
            json!({ "and": { "category": "DESIGN" }, "or": { "id": "pcon_9" } }),
        ] {
            let data = server.data("", query, json!({ "filter": filter })).await;
            assert_eq!(ids(&data["personalConnectors"]), ["9"], "{filter}");
        }
        let found = list(
            &server,
            "",
            "filter: {and: {category: DESIGN}, or: {id: \"pcon_9\"}}",
        )
        .await;
        assert_eq!(ids(&found), ["9"]);
    }

    async fn tells_what_is_before_and_behind_a_page(server: Server) {
        fill(&server).await;
        let info = |page: &Value| {
            let info = &page["pageInfo"];
            let edges = page["edges"].as_array().unwrap();
            let cursors: Vec<&Value> = edges.iter().map(|edge| &edge["cursor"]).collect();
            if let [first, .., last] = cursors.as_slice() {
                assert_eq!((*first, *last), (&info["startCursor"], &info["endCursor"]));
            }
            (
                info["hasPreviousPage"].as_bool().unwrap(),
                info["hasNextPage"].as_bool().unwrap(),
            )
        };
        let cursor = |page: &Value, at: &str| page["pageInfo"][at].as_str().unwrap().to_owned();
        let first = list(&server, "", "first: 4").await;
        assert_eq!((ids(&first).len(), info(&first)), (4, (false, true)));
        let after = cursor(&first, "endCursor");
        let last = list(&server, "", &format!("first: 6, after: \"{after}\"")).await;
        assert_eq!((ids(&last).len(), info(&last)), (6, (true, false)));
        // After the end there is nothing yet, but a position to continue from.
        let end = cursor(&last, "endCursor");
        let empty = list(&server, "", &format!("after: \"{end}\"")).await;
        assert_eq!((ids(&empty).len(), info(&empty)), (0, (true, false)));
        assert_eq!(cursor(&empty, "endCursor"), end);
        server.insert(vec![official("new", "日本 2")]).await;
        let later = list(&server, "", &format!("after: \"{end}\"")).await;
        assert_eq!(ids(&later), ["new"]);

        let back = list(&server, "", "last: 2").await;
        assert_eq!(
            (ids(&back), info(&back)),
            (vec!["han", "new"], (true, false))
        );
        let before = cursor(&back, "startCursor");
        let back = list(&server, "", &format!("last: 9, before: \"{before}\"")).await;
        assert_eq!((ids(&back).len(), info(&back)), (9, (false, true)));
        let begin = cursor(&back, "startCursor");
        let empty = list(&server, "", &format!("last: 3, before: \"{begin}\"")).await;
        assert_eq!((ids(&empty).len(), info(&empty)), (0, (false, true)));
        assert_eq!(cursor(&empty, "startCursor"), begin);

        let between = list(
            &server,
            "",
            &format!("first: 50, after: \"{after}\", before: \"{before}\""),
        )
        .await;
        assert_eq!(
            (ids(&between), info(&between)),
            (vec!["hy", "A", "a", "z", "Z"], (true, false))
        );
        let between = list(
            &server,
            "",
            &format!("last: 2, after: \"{after}\", before: \"{before}\""),
        )
        .await;
        assert_eq!(
            (ids(&between), info(&between)),
            (vec!["z", "Z"], (true, true))
        );
        let none = list(&server, "", &format!("first: 0, after: \"{after}\"")).await;
        assert_eq!((ids(&none).len(), info(&none)), (0, (true, true)));
        let nothing = list(&server, "", "filter: {id: []}").await;
        assert_eq!(nothing["pageInfo"]["endCursor"], Value::Null);
        assert_eq!(info(&nothing), (false, false));
        assert_eq!(ids(&list(&server, "", "first: 100").await).len(), 11);
    }

    async fn cursors_fit_filters_that_say_the_same(server: Server) {
        fill(&server).await;
        for (one, same) in [
            (
                "filter: {status: [DEPRECATED, ACTIVE], category: null}",
                "filter: {status: [ACTIVE, DEPRECATED, ACTIVE]}",
            ),
            (
                "filter: {not: {outcome: [TIMEOUT, OPEN]}}",
                "filter: {not: {outcome: [OPEN, TIMEOUT, OPEN]}}",
            ),
            (
                "filter: {not: {toolName: [\"b\", \"a\"]}}",
                "filter: {not: {toolName: [\"a\", \"\", \"b\", \"a\"]}}",
            ),
            (
                "filter: {connectorId: [\"z\", \"a\", \"9\"]}",
                "filter: {connectorId: [\"9\", \"a\", \"z\", \"z\"]}",
            ),
            (
                "filter: {not: {id: [\"pcon_u\", \"pcon_z\"]}}",
                "filter: {not: {id: [\"pcon_z\", \"pcon_u\", \"x\"]}}",
            ),
            (
                "filter: {createdAt: {lt: \"2027-01-01T00:00:00Z\"}}",
                "filter: {createdAt: {lt: \"2027-01-01T01:00:00+01:00\"}}",
            ),
            (
                "filter: {}",
                "filter: null, orderBy: {field: NAME, direction: ASC}, search: \" \"",
            ),
            (
                "filter: {category: DESIGN}, search: \"X\"",
                "filter: {category: [DESIGN]}, search: \"  x\u{301} \", orderBy: {field: RELEVANCE}",
            ),
        ] {
            // A cursor of another list is an error.
            let some = list(&server, "", &format!("first: 1, {one}")).await;
            let cursor = some["pageInfo"]["endCursor"].as_str().unwrap();
            list(&server, "", &format!("{same}, after: \"{cursor}\"")).await;
        }
    }

    async fn refuses_arguments_by_name(server: Server) {
        fill(&server).await;
        let filter = "filter: {status: ACTIVE}";
        let found = list(&server, "", &format!("first: 1, {filter}")).await;
        let cursor = found["pageInfo"]["endCursor"].as_str().unwrap();
        let broken = &cursor[..cursor.len() - 2];
        let of_search = list(&server, "", "first: 1, search: \"a\"").await;
        let of_search = of_search["pageInfo"]["endCursor"].as_str().unwrap();
        let hundred_one = |value: &str| vec![value; 101].join(", ");
        let deep = format!("{}{{}}{}", "{not: ".repeat(6), "}".repeat(6));
        let ranges = vec!["{createdAt: {}, updatedAt: {}}"; 50].join(", ");
        let mut answers = String::new();
        for (what, arguments) in [
            ("first and last", "first: 1, last: 1".to_owned()),
            ("first below 0", "first: -1".to_owned()),
            ("first above 100", "first: 101".to_owned()),
            ("last below 0", "last: -1".to_owned()),
            ("last above 100", "last: 101".to_owned()),
            (
                "RELEVANCE of no search",
                "orderBy: {field: RELEVANCE}".to_owned(),
            ),
            (
                "RELEVANCE of a blank search",
                "search: \" \", orderBy: {field: RELEVANCE}".to_owned(),
            ),
            (
                "RELEVANCE ascending",
                "search: \"a\", orderBy: {field: RELEVANCE, direction: ASC}".to_owned(),
            ),
            (
                "RELEVANCE descending",
                "search: \"a\", orderBy: {field: RELEVANCE, direction: DESC}".to_owned(),
            ),
            ("a long search", format!("search: \"{}\"", "é".repeat(257))),
            ("an empty cursor", "after: \"\"".to_owned()),
            ("no cursor", "last: 1, before: \"pcon_a\"".to_owned()),
            ("a broken cursor", format!("{filter}, after: \"{broken}\"")),
            ("a cursor of another filter", format!("after: \"{cursor}\"")),
            (
                "a cursor of another filter, backwards",
                format!("last: 1, before: \"{cursor}\""),
            ),
            (
                "a cursor of another order",
                format!("{filter}, orderBy: {{field: CREATED_AT}}, after: \"{cursor}\""),
            ),
            (
                "a cursor of another direction",
                format!("{filter}, orderBy: {{field: NAME, direction: DESC}}, after: \"{cursor}\""),
            ),
            (
                "a cursor of no search",
                format!("search: \"a\", {filter}, after: \"{cursor}\""),
            ),
            (
                "a cursor of another search",
                format!("search: \"b\", after: \"{of_search}\""),
            ),
            (
                "101 values",
                format!("filter: {{category: [{}]}}", hundred_one("DESIGN")),
            ),
            (
                "101 ids",
                format!("filter: {{id: [{}]}}", hundred_one("\"pcon_a\"")),
            ),
            (
                "101 filters",
                format!("filter: {{or: [{}]}}", hundred_one("{}")),
            ),
            ("6 levels", format!("filter: {deep}")),
            (
                "102 conditions",
                format!("filter: {{or: [{ranges}], createdAt: {{}}, status: ACTIVE}}"),
            ),
        ] {
            let query = format!("{{ personalConnectors({arguments}) {{ nodes {{ id }} }} }}");
            let message = refusal(&server, &query, json!({})).await;
            writeln!(answers, "{what}: {message}").unwrap();
        }
        let ids = vec!["pcon_a"; 101];
        let message = refusal(
            &server,
            "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
            json!({ "ids": ids }),
        )
        .await;
        writeln!(answers, "101 nodes: {message}").unwrap();
        insta::assert_snapshot!("refusals", answers);

        // The maximum of each is accepted.
        for arguments in [
            format!("search: \"{}\"", "é".repeat(256)),
            format!("filter: {{id: [{}]}}", vec!["\"pcon_a\""; 100].join(", ")),
            format!("filter: {{or: [{}]}}", vec!["{}"; 100].join(", ")),
            format!("filter: {}{{}}{}", "{not: ".repeat(5), "}".repeat(5)),
            format!("filter: {{or: [{ranges}]}}"),
        ] {
            list(&server, "", &arguments).await;
        }
    }
}
