//! Followers of few changes get positions without a change, so that they do not read the others again.

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        clients::subscribers::{CHANGED, Events, Socket, now, told},
        harness::Server,
        mutations::{CREATE, WRITE, draft, text},
    },
};

const LISTED: &str = "subscription($after: String, $list: PersonalConnectorListInput) {
    personalConnectorChanged(after: $after, list: $list) { cursor kind personalConnector { name } }
}";

const PAGE: &str = "query($after: String, $last: Int, $list: PersonalConnectorListInput) {
    personalConnectorChanges(after: $after, last: $last, list: $list) {
        nodes { kind personalConnector { name } }
        pageInfo { hasNextPage hasPreviousPage endCursor }
    }
}";

async fn create(server: &Server, token: &str, name: &str, category: &str) {
    let input = draft(name, json!({ "category": category }));
    server.change(token, CREATE, input).await;
}

on_both! {
    async fn a_follower_without_changes_is_told_how_far_it_is(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let first = now(&server, &ann).await;
        let filter = json!({ "category": "DESIGN" });
        let listed = json!({ "after": first, "list": { "filter": filter } });
        let filtered = json!({ "after": first, "filter": filter });
        let mut events = Events::of(&server, &ann, LISTED, listed.clone()).await;
        let mut socket = Socket::of(&server, &ann).await;
        socket.subscribe("s", CHANGED, filtered).await;

        create(&server, &ann, "A", "CUSTOM").await;
        create(&server, &ann, "B", "DESIGN").await;
        let of_b = now(&server, &ann).await;
        create(&server, &ann, "C", "CUSTOM").await;
        let after_c = now(&server, &ann).await;
        assert_eq!(told(&events.change().await), ("CREATED", "B"));
        assert_eq!(told(&socket.change().await), ("CREATED", "B"));
        // Another follower passes them in the log, and not while they happen.
        let mut late = Events::of(&server, &ann, LISTED, json!({ "after": of_b, "list": listed["list"] })).await;
        let position = json!({ "type": "ping", "payload": { "id": "s", "cursor": after_c } });
        let keep_alive = format!(":\nid: {after_c}");
        assert_eq!(events.block().await.unwrap(), keep_alive);
        assert_eq!(late.block().await.unwrap(), keep_alive);
        assert_eq!(socket.message().await, position);
        socket.send(json!({ "type": "pong", "payload": position["payload"] })).await;

        // A follower who continues there gets what follows, once.
        create(&server, &ann, "D", "DESIGN").await;
        create(&server, &ann, "E", "CUSTOM").await;
        for follower in [&mut events, &mut late] {
            assert_eq!(told(&follower.change().await), ("CREATED", "D"));
        }
        assert_eq!(told(&socket.change().await), ("CREATED", "D"));
        let variables = json!({ "after": after_c, "list": listed["list"] });
        let mut again = Events::of(&server, &ann, LISTED, variables).await;
        assert_eq!(told(&again.change().await), ("CREATED", "D"));
        let after_e = now(&server, &ann).await;
        assert_eq!(again.block().await.unwrap(), format!(":\nid: {after_e}"));
    }

    /// The category is in the log's own columns, so that other changes do not count for the page.
    async fn a_page_of_a_narrow_list_passes_other_changes(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let first = now(&server, &ann).await;
        create(&server, &ann, "First", "DESIGN").await;
        let row = |i| crate::support::connectors::official(&format!("o{i}"), &format!("O {i}"));
        server.insert((0..250).map(row).collect()).await;
        create(&server, &ann, "Last", "DESIGN").await;
        let names = |page: &Value| -> Vec<String> {
            let nodes = page["nodes"].as_array().unwrap().iter();
            nodes.map(|node| text(&node["personalConnector"]["name"]).to_owned()).collect()
        };
        for filter in [
            json!({ "category": "DESIGN" }),
            json!({ "type": "CUSTOM" }),
            json!({ "visibility": ["PRIVATE", "ORGANIZATION"] }),
            json!({ "createdBy": "ann" }),
            json!({ "category": ["DESIGN", "PRODUCTIVITY"], "status": "ACTIVE", "type": ["CUSTOM"] }),
        ] {
            let list = json!({ "filter": filter });
            let mut variables = json!({ "after": first, "list": list });
            let data = server.data(&ann, PAGE, variables.clone()).await;
            let page = &data["personalConnectorChanges"];
            assert_eq!(names(page), ["First", "Last"], "{filter}");
            assert_eq!(page["pageInfo"]["hasNextPage"], false, "{filter}");
            assert_eq!(text(&page["pageInfo"]["endCursor"]), now(&server, &ann).await);
            variables["last"] = json!(10);
            let data = server.data(&ann, PAGE, variables).await;
            let page = &data["personalConnectorChanges"];
            assert_eq!(names(page), ["First", "Last"], "{filter}");
            assert_eq!(page["pageInfo"]["hasPreviousPage"], false, "{filter}");
        }
    }

    /// Null stands for connectors without a category, as in the filter of a list.
    async fn no_category_is_a_value_of_a_filter_of_changes(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let first = now(&server, &ann).await;
        create(&server, &ann, "Design", "DESIGN").await;
        server.change(&ann, CREATE, draft("None", json!({ "category": null }))).await;
        create(&server, &ann, "Custom", "CUSTOM").await;
        let document = "query($after: String, $category: [ConnectorCategory]) {
            personalConnectors(filter: { type: CUSTOM, category: $category }) { nodes { name } }
            personalConnectorChanges(after: $after, filter: { category: $category }) {
                nodes { personalConnector { name } }
            }
            listed: personalConnectorChanges(after: $after, list: { filter: { category: $category } }) {
                nodes { personalConnector { name } }
            }
        }";
        for (category, expected) in [
            (json!([null]), vec!["None"]),
            (json!([null, "DESIGN"]), vec!["Design", "None"]),
            (json!("DESIGN"), vec!["Design"]),
            (json!([]), vec![]),
            (Value::Null, vec!["Custom", "Design", "None"]),
        ] {
            let variables = json!({ "after": first, "category": category });
            let data = server.data(&ann, document, variables.clone()).await;
            let names = |nodes: &Value, of: fn(&Value) -> &Value| -> Vec<String> {
                let nodes = nodes["nodes"].as_array().unwrap().iter();
                let mut names: Vec<_> = nodes.map(|node| text(of(node)).to_owned()).collect();
                names.sort();
                names
            };
            assert_eq!(names(&data["personalConnectors"], |node| &node["name"]), expected);
            let of_change = |node: &'static str| names(&data[node], |node| &node["personalConnector"]["name"]);
            assert_eq!(of_change("personalConnectorChanges"), expected, "{category}");
            assert_eq!(of_change("listed"), expected, "{category}");

            // The subscription's filter is the same.
            let mut socket = Socket::of(&server, &ann).await;
            let changed = CHANGED.replace("$filter: PersonalConnectorChangeFilter", "$category: [ConnectorCategory]")
                .replace("filter: $filter", "filter: {category: $category}");
            socket.subscribe("s", &changed, variables).await;
            let mut seen = Vec::new();
            for _ in &expected {
                seen.push(told(&socket.change().await).1.to_owned());
            }
            seen.sort();
            assert_eq!(seen, expected, "{category}");
        }
    }
}
