//! Changes of a list: connectors that enter it, leave it, or stay.

mod arguments;
mod copy;
mod sight;

use crate::{
    on_both,
    support::{
        checks::offering,
        clients::subscribers::{Events, Socket, now},
        harness::Server,
        mutations::{CREATE, DELETE, UPDATE, WRITE, mutation, text},
    },
};
use serde_json::{Value, json};
use std::fs;

const LISTED: &str = "subscription($after: String, $filter: PersonalConnectorChangeFilter, $list: \
    PersonalConnectorListInput) {
    personalConnectorChanged(after: $after, filter: $filter, list: $list) {
        cursor kind personalConnectorId inListBefore inList outcomeBefore
    }
}";

const PAGE: &str = "query($first: Int, $after: String, $last: Int, $before: String, $filter: \
    PersonalConnectorChangeFilter,
    $list: PersonalConnectorListInput) {
    personalConnectorChanges(first: $first, after: $after, last: $last, before: $before, filter: $filter, list: $list) {
        nodes { cursor kind personalConnectorId inListBefore inList outcomeBefore }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

/// Returns a change as `UPDATED true false`, with the outcome before if there is one.
fn flow(change: &Value) -> String {
    let parts = ["kind", "inListBefore", "inList", "outcomeBefore"].map(|name| &change[name]);
    let outcome = Some(parts[3]).filter(|outcome| !outcome.is_null());
    let parts = parts[..3].iter().copied().chain(outcome);
    let texts = parts.map(|part| part.as_str().map_or(part.to_string(), ToOwned::to_owned));
    texts.collect::<Vec<_>>().join(" ")
}

/// Returns the changes after a cursor for the given variables, read in pages, and the last cursor.
async fn pages(
    server: &Server,
    token: &str,
    first: u64,
    after: &str,
    variables: &Value,
) -> (Vec<Value>, String) {
    let (mut told, mut after) = (Vec::new(), after.to_owned());
    loop {
        let mut variables = variables.clone();
        variables["first"] = json!(first);
        variables["after"] = json!(after);
        let data = server.data(token, PAGE, variables).await;
        let page = &data["personalConnectorChanges"];
        told.extend(page["nodes"].as_array().unwrap().clone());
        text(&page["pageInfo"]["endCursor"]).clone_into(&mut after);
        if page["pageInfo"]["hasNextPage"] == false {
            return (told, after);
        }
    }
}

async fn flows(server: &Server, token: &str, after: &str, list: Value) -> Vec<String> {
    let (told, _) = pages(server, token, 2, after, &json!({ "list": list })).await;
    told.iter().map(flow).collect()
}

on_both! {
    async fn each_flow_is_told_of_the_list_alone(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let begun = now(&server, &ann).await;
        let list = json!({ "search": "wiki", "filter": { "status": "ACTIVE" } });
        let variables = json!({ "after": begun, "list": list });
        let mut socket = Socket::of(&server, &ann).await;
        socket.subscribe("1", LISTED, variables.clone()).await;
        let mut events = Events::of(&server, &ann, LISTED, variables.clone()).await;

        let other = server.create(&ann, "Other", "PRIVATE").await;
        let wiki = server.create(&ann, "The wiki", "PRIVATE").await;
        for (id, change) in [
            (&other, json!({ "name": "Another" })),
            (&wiki, json!({ "description": "Pages" })),
            (&wiki, json!({ "name": "The book" })),
            (&wiki, json!({ "description": null })),
            (&other, json!({ "description": "Of the Wiki" })),
            (
                &other,
                json!({ "description": "Of the Wiki", "category": "DESIGN" }),
            ),
        ] {
            let mut input = change;
            input["id"] = json!(id);
            server.change(&ann, UPDATE, input).await;
        }
        let expected = [
            (&wiki, "CREATED false true"),
            (&wiki, "UPDATED true true"),
            (&wiki, "UPDATED true false"),
            (&other, "UPDATED false true"),
            (&other, "UPDATED true true"),
        ];
        let (told, _) = pages(&server, &ann, 1, &begun, &variables).await;
        let (at_once, _) = pages(&server, &ann, 100, &begun, &variables).await;
        assert_eq!(told, at_once);
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for ((id, expected), change) in expected.into_iter().zip(&told) {
            assert_eq!(
                (&change["personalConnectorId"], flow(change).as_str()),
                (&json!(id), expected)
            );
            assert_eq!(
                (&socket.change().await, &events.change().await),
                (change, change)
            );
        }
        // Pages from the latest on work too.
        let latest = json!({ "last": 2, "list": list });
        let data = server.data(&ann, PAGE, latest).await;
        assert_eq!(data["personalConnectorChanges"]["nodes"], json!(told[3..]));
        // Each cursor is valid to continue with the same list.
        for (index, change) in told.iter().enumerate() {
            let id = format!("from {index}");
            let variables = json!({ "after": change["cursor"], "list": list });
            socket.subscribe(&id, LISTED, variables).await;
            for next in &told[index + 1..] {
                let message = socket.next().await;
                assert_eq!(
                    (
                        &message["id"],
                        &message["payload"]["data"]["personalConnectorChanged"]
                    ),
                    (&json!(id), next)
                );
            }
            socket.send(json!({ "id": id, "type": "complete" })).await;
        }
        // Without a list, the fields about a list are null.
        let (all, _) = pages(&server, &ann, 100, &begun, &json!({})).await;
        assert!(
            all.len() == 8
                && all
                    .iter()
                    .all(|change| flow(change).ends_with(" null null")),
            "{all:?}"
        );
        assert_eq!(flows(&server, &ann, &begun, json!({})).await.len(), 8);
        // A deletion tells followers what left the list. Later readers do not see it, because the connector is gone.
        server.change(&ann, DELETE, json!({ "id": wiki })).await;
        server.change(&ann, DELETE, json!({ "id": other })).await;
        let (change, event) = (socket.change().await, events.change().await);
        assert_eq!(
            (flow(&change).as_str(), &change["personalConnectorId"]),
            ("DELETED true false", &json!(other))
        );
        assert_eq!(change, event);
        let later = flows(&server, &ann, &begun, list).await;
        assert_eq!(
            later
                .iter()
                .filter(|flow| flow.starts_with("DELETED null false"))
                .count(),
            2,
            "{later:?}"
        );
    }

    /// A change that may concern the list is sent, and others are not.
    async fn what_the_log_does_not_have_is_unknown(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let begun = now(&server, &ann).await;
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "category": "DESIGN" }))
            .await;
        server
            .record(vec![(
                wiki.clone(),
                offering(&[("add_page", "Adds a page")]),
            )])
            .await;
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "category": "CUSTOM" }))
            .await;
        let uptime = json!({ "uptime": { "gte": 0.5 } });
        let design_or_up = json!({ "or": [{ "category": "DESIGN" }, uptime] });
        for (list, expected) in [
            (
                json!({ "filter": uptime }),
                [
                    "CREATED false null",
                    "UPDATED null null",
                    "UPDATED null null",
                    "UPDATED null null OPEN",
                ],
            ),
            (
                json!({ "filter": design_or_up }),
                [
                    "CREATED false null",
                    "UPDATED null true",
                    "UPDATED true true",
                    "UPDATED true null OPEN",
                ],
            ),
            (
                json!({ "filter": { "toolName": "add_page" } }),
                ["UPDATED false null", "UPDATED null null OPEN", "", ""],
            ),
            (
                json!({ "search": "page" }),
                ["UPDATED false null", "UPDATED null null OPEN", "", ""],
            ),
            (
                json!({ "search": "page", "filter": { "category": "CUSTOM" } }),
                ["UPDATED false null OPEN", "", "", ""],
            ),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .filter(|flow| !flow.is_empty())
                .collect();
            assert_eq!(
                flows(&server, &ann, &begun, list.clone()).await,
                expected,
                "{list}"
            );
        }
        // Events of an earlier version have only the state in their columns.
        server
            .rows("UPDATE connector_event SET record = NULL")
            .await;
        assert_eq!(
            flows(&server, &ann, &begun, json!({ "search": "other" }))
                .await
                .len(),
            4
        );
        let design = flows(
            &server,
            &ann,
            &begun,
            json!({ "filter": { "category": "DESIGN" } }),
        )
        .await;
        assert_eq!(
            design,
            [
                "UPDATED false true",
                "UPDATED true true",
                "UPDATED true false"
            ]
        );
    }

    async fn a_filter_of_changes_must_hold_too(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let begun = now(&server, &ann).await;
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        for change in [
            json!({ "category": "DESIGN" }),
            json!({ "name": "Book" }),
            json!({ "name": "Tome" }),
        ] {
            let mut input = change;
            input["id"] = json!(wiki);
            server.change(&ann, UPDATE, input).await;
        }
        let variables = json!({ "after": begun, "filter": { "category": "DESIGN" }, "list": { "search": "wiki" } });
        let (told, _) = pages(&server, &ann, 20, &begun, &variables).await;
        let told: Vec<_> = told.iter().map(flow).collect();
        assert_eq!(told, ["UPDATED true true", "UPDATED true false"]);
        let mut socket = Socket::of(&server, &ann).await;
        socket.subscribe("1", LISTED, variables).await;
        for expected in told {
            assert_eq!(flow(&socket.change().await), expected);
        }
    }
}

/// A trusted subscription takes a list in its variables.
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_document_follows_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documents.json");
    let cursor = "{ personalConnectors(first: 0) { changesCursor } }";
    let documents = json!({ "listed": LISTED, "cursor": cursor, "create": mutation(CREATE) });
    fs::write(&file, documents.to_string()).unwrap();
    let server = Server::on_sqlite(&["--trusted-documents", file.to_str().unwrap()]).await;
    let ann = server.token("ann@acme", WRITE);
    let mut socket = Socket::of(&server, &ann).await;
    let variables = json!({ "after": now(&server, &ann).await, "list": { "search": "wiki" } });
    let payload = json!({ "documentId": "listed", "variables": variables });
    socket
        .send(json!({ "id": "1", "type": "subscribe", "payload": payload }))
        .await;
    for name in ["Other", "Wiki"] {
        server.create(&ann, name, "PRIVATE").await;
    }
    assert_eq!(flow(&socket.change().await), "CREATED false true");
}
