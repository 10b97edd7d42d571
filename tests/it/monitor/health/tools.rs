//! The stored tools, and health in lists.

use crate::{
    on_both,
    support::{checks::offering, connectors::official},
};
use serde_json::{Value, json};

on_both! {
    async fn tools_are_paged_and_searched(server: Server) {
        let row = server.only("a").await;
        let names: Vec<_> = (0..250).map(|n| format!("tool_{n:03}")).collect();
        let mut tools: Vec<_> = names.iter().map(|name| (name.as_str(), "Counts")).collect();
        tools.extend([
            ("Zeta", "Éclair of the day"),
            ("éclair", "Bakes 100%_"),
            ("alpha", ""),
        ]);
        server.record_one(&row.id, offering(&tools)).await;
        let mut sorted: Vec<_> = tools.iter().map(|(name, _)| *name).collect();
        sorted.sort_unstable();
        let ask = "query($first: Int, $after: String, $search: String) { personalConnector(id: \"pcon_a\") {
            tools(first: $first, after: $after, search: $search) {
                nodes { name } edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor \
                endCursor } totalCount
            } } }";
        let page = async |variables: Value| {
            let mut data = server.data("", ask, variables).await;
            data["personalConnector"]["tools"].take()
        };
        let shown = |page: &Value| -> Vec<String> {
            let nodes = page["nodes"].as_array().unwrap().iter();
            nodes
                .map(|node| node["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(shown(&page(json!({})).await), sorted[..20]);
        let (mut walked, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = page(json!({ "first": 100, "after": after })).await;
            assert_eq!(page["totalCount"], 253);
            assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
            assert_eq!(page["edges"][0]["cursor"], page["pageInfo"]["startCursor"]);
            walked.extend(shown(&page));
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(walked, sorted);
        let beyond = page(json!({ "after": after })).await;
        assert_eq!(
            (&beyond["nodes"], &beyond["pageInfo"]["endCursor"]),
            (&json!([]), &after)
        );
        assert_eq!(
            page(json!({ "first": 0 })).await["pageInfo"]["hasNextPage"],
            true
        );
        for (search, expected) in [
            ("ECLA", &["Zeta", "éclair"][..]),
            ("eclair", &["Zeta", "éclair"]),
            ("day eclair", &["Zeta"]),
            ("bakes", &["éclair"]),
            ("ecla day", &[]),
            ("100", &["tool_100", "éclair"]),
            ("%", &[]),
            ("l", &[]),
            ("  ", &[]),
        ] {
            let found = page(json!({ "search": search, "first": 100 })).await;
            if search.trim().is_empty() {
                assert_eq!(found["totalCount"], 253);
            } else {
                assert_eq!(
                    (shown(&found), &found["totalCount"]),
                    (
                        expected.iter().map(ToString::to_string).collect(),
                        &json!(expected.len())
                    ),
                    "{search}"
                );
            }
        }
        let of_search =
            page(json!({ "search": "counts", "first": 1 })).await["pageInfo"]["endCursor"].take();
        assert_eq!(
            shown(&page(json!({ "search": "counts", "first": 1, "after": of_search })).await),
            ["tool_001"]
        );
        let list = server
            .data(
                "",
                "{ personalConnectors { pageInfo { endCursor } } }",
                json!({}),
            )
            .await;
        for (variables, message) in [
            (
                json!({ "after": of_search }),
                "after is a cursor of another search",
            ),
            (
                json!({ "after": list["personalConnectors"]["pageInfo"]["endCursor"] }),
                "after is a cursor of a list of connectors",
            ),
            (json!({ "after": "x" }), "after is not a cursor"),
            (json!({ "first": 101 }), "first must be"),
            (json!({ "search": "x".repeat(257) }), "search must be"),
        ] {
            let answer = server.execute("", ask, variables).await;
            let error = &answer["errors"][0];
            let code = if message.starts_with("after") {
                "CURSOR_INVALID"
            } else {
                "BAD_USER_INPUT"
            };
            assert_eq!(error["extensions"]["code"], code, "{answer}");
            assert!(
                error["message"].as_str().unwrap().starts_with(message),
                "{answer}"
            );
        }
        let after = server
            .execute(
                "",
                "query($after: String) { personalConnectors(after: $after) { totalCount } }",
                json!({ "after": after }),
            )
            .await;
        assert!(
            after["errors"][0]["message"]
                .as_str()
                .unwrap()
                .starts_with("after is a cursor of a connector's tools"),
            "{after}"
        );
    }

    /// Each connector of a list has its own results, whatever is selected.
    async fn lists_tell_each_of_its_own(server: Server) {
        server.clear().await;
        let rows = (0..30).map(|n| official(&format!("c{n:02}"), &format!("C{n:02}")));
        let rows = server.insert(rows.collect()).await;
        let tools: Vec<_> = (0..5).map(|n| format!("t{n}")).collect();
        let checks = rows
            .iter()
            .enumerate()
            .filter(|(n, _)| n % 3 > 0)
            .map(|(n, row)| {
                let tools: Vec<_> = tools[..n % 6]
                    .iter()
                    .map(|name| (name.as_str(), row.name.as_str()))
                    .collect();
                (row.id.clone(), offering(&tools))
            });
        server.record(checks.collect()).await;
        let query = "{ personalConnectors(first: 100) { nodes {
            name health { outcome uptime history { nodes { outcome } } } tools(first: 2) { nodes { name description } \
            totalCount pageInfo { hasNextPage } }
        } } }";
        let data = server.data("", query, json!({})).await;
        for (n, node) in data["personalConnectors"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let name = format!("C{n:02}");
            let (checked, count) = (n % 3 > 0, if n % 3 > 0 { (n % 6).min(5) } else { 0 });
            let health = json!({ "outcome": "OPEN", "uptime": 1.0, "history": { "nodes": [{ "outcome": "OPEN" }] } });
            let nodes: Vec<_> = tools[..count.min(2)]
                .iter()
                .map(|tool| json!({ "name": tool, "description": name }))
                .collect();
            assert_eq!(
                *node,
                json!({
                    "name": name,
                    "health": if checked { health } else { Value::Null },
                    "tools": { "nodes": nodes, "totalCount": count, "pageInfo": { "hasNextPage": count > 2 } },
                })
            );
        }
    }
}
