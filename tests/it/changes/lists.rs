//! Changes of a list: connectors that enter it, leave it, or stay.

use std::{collections::BTreeSet, fs, sync::Mutex};

use entity::Outcome;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::records::{World, a_question, a_write, rows};
use crate::{
    on_both,
    support::{
        checks::{found, offering},
        clients::subscribers::{Events, Socket, now},
        harness::Server,
        model::check,
        mutations::{ADMIN, CREATE, DELETE, UPDATE, WRITE, mutation, text},
    },
};

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

    async fn the_outcome_before_is_shown_to_who_sees_the_connector(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", &[]),
        );
        let begun = now(&server, &ann).await;
        let wiki = server.create(&ann, "Wiki", "PRIVATE").await;
        server
            .record(vec![(wiki.clone(), found(Outcome::Open))])
            .await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": wiki, "visibility": "ORGANIZATION" }),
            )
            .await;
        server
            .record(vec![(wiki.clone(), found(Outcome::Timeout))])
            .await;
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "name": "Book" }))
            .await;
        let outcomes = async |token: &str| {
            let (told, _) = pages(&server, token, 20, &begun, &json!({})).await;
            told.iter()
                .map(|change| change["outcomeBefore"].clone())
                .collect::<Vec<_>>()
        };
        let of_ann = json!([null, null, "OPEN", "OPEN", "TIMEOUT"]);
        assert_eq!(json!(outcomes(&ann).await), of_ann);
        // Bob does not see an outcome from before the connector was visible to him.
        assert_eq!(
            json!(outcomes(&bob).await),
            json!([null, "OPEN", "TIMEOUT"])
        );
        // The connector's history has the same outcomes, latest first. Its fields about a list are null.
        let change = "kind inListBefore inList outcomeBefore";
        let history = format!(
            "query($id: ID!) {{ personalConnector(id: $id) {{ lastChange {{ {change} }} changes {{ nodes {{ {change} \
             }} }} }} }}"
        );
        let data = server.data(&bob, &history, json!({ "id": wiki })).await;
        let read = &data["personalConnector"];
        let nodes: Vec<_> = read["changes"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(flow)
            .collect();
        assert_eq!(
            nodes,
            [
                "UPDATED null null TIMEOUT",
                "UPDATED null null OPEN",
                "CREATED null null"
            ]
        );
        assert_eq!(read["lastChange"], read["changes"]["nodes"][0]);
        // An indicator of failed servers compares `outcomeBefore` with the present outcome.
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe(
                "1",
                LISTED,
                json!({ "after": begun, "list": { "filter": { "outcome": "OPEN" } } }),
            )
            .await;
        let told = [
            socket.change().await,
            socket.change().await,
            socket.change().await,
        ];
        let told = told.each_ref().map(flow);
        assert_eq!(
            told,
            [
                "UPDATED false true",
                "UPDATED true true OPEN",
                "UPDATED true false OPEN"
            ]
        );
        // A connector that became hidden stays hidden.
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "visibility": "PRIVATE" }))
            .await;
        assert_eq!(json!(outcomes(&bob).await), json!([null, null, null, null]));
        // A connector without a server has nothing to check.
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": wiki, "serverType": "STDIO", "serverUrl": null }),
            )
            .await;
        server
            .change(&ann, UPDATE, json!({ "id": wiki, "name": "Tome" }))
            .await;
        let of_ann = json!([
            null,
            null,
            "OPEN",
            "OPEN",
            "TIMEOUT",
            "TIMEOUT",
            "TIMEOUT",
            "NOT_CHECKABLE"
        ]);
        assert_eq!(json!(outcomes(&ann).await), of_ann);
    }

    /// A list does not evaluate a side that its viewer did not see.
    async fn a_list_has_what_its_viewer_saw(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", &[]),
        );
        let search = |search: &str| json!({ "search": search });
        let not_secret = json!({ "filter": { "not": { "name": { "startsWith": "secret" } } } });
        let both = ["CREATED false true", "DELETED true false"];
        let lists = [
            (search("secret"), &[][..]),
            (search("plan"), &both[..]),
            (not_secret, &both[..]),
        ];
        let mut sockets = Vec::new();
        for (list, _) in &lists {
            let mut socket = Socket::of(&server, &bob).await;
            socket.subscribe("1", LISTED, json!({ "list": list })).await;
            socket.send(json!({ "type": "ping" })).await;
            assert_eq!(socket.next().await["type"], "pong");
            sockets.push(socket);
        }
        // Each subscription has begun when it reports this connector.
        let known = server
            .create(
                &server.token("boss@acme", ADMIN),
                "A plan, a secret",
                "PUBLIC",
            )
            .await;
        for socket in &mut sockets {
            assert_eq!(socket.change().await["personalConnectorId"], known);
        }
        let begun = now(&server, &ann).await;
        let plan = server.create(&ann, "Secret idea", "PRIVATE").await;
        server
            .record(vec![(plan.clone(), found(Outcome::Open))])
            .await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": plan, "name": "Open plan", "visibility": "ORGANIZATION" }),
            )
            .await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": plan, "name": "Secret plot", "visibility": "PRIVATE" }),
            )
            .await;
        server
            .change(&ann, UPDATE, json!({ "id": plan, "name": "Open plan too" }))
            .await;
        for ((list, of_bob), socket) in lists.iter().zip(&mut sockets) {
            for expected in *of_bob {
                assert_eq!(flow(&socket.change().await), *expected, "{list}");
            }
            // The connector became hidden, and so did its words.
            let later = flows(&server, &bob, &begun, list.clone()).await;
            assert_eq!(
                later,
                ["CREATED false null", "DELETED null false"],
                "{list}"
            );
        }
        assert_eq!(
            flows(&server, &ann, &begun, search("secret")).await.len(),
            5
        );
        // Owners of other organizations are invisible.
        let boss = server.token("boss@acme", ADMIN);
        let cid = server.token("cid@other", ADMIN);
        let begun = now(&server, &ann).await;
        let shown = server.create(&boss, "Shown", "PUBLIC").await;
        server
            .change(
                &boss,
                UPDATE,
                json!({ "id": shown, "name": "Shown to all" }),
            )
            .await;
        let by_boss = json!({ "createdBy": "boss" });
        let of_list = ["CREATED false true", "UPDATED true true"];
        let lists = [
            json!({ "filter": by_boss }),
            json!({ "filter": { "not": by_boss } }),
        ];
        for (token, flows_of) in [
            (&boss, [&of_list[..], &[]]),
            (&cid, [&[], &of_list[..]]),
            (&String::new(), [&[], &of_list[..]]),
        ] {
            for (list, expected) in lists.iter().zip(flows_of) {
                assert_eq!(
                    flows(&server, token, &begun, list.clone()).await,
                    expected,
                    "{list}"
                );
            }
        }
    }

    /// Like `changes`, a list does not reveal values of a connector that a viewer no longer sees.
    async fn a_list_finds_out_nothing_of_what_is_hidden_since(server: Server) {
        let boss = server.token("boss@acme", ADMIN);
        let after = now(&server, "").await;
        let id = server.create(&boss, "Zebra Payroll", "PUBLIC").await;
        server
            .change(
                &boss,
                UPDATE,
                json!({ "id": id, "name": "Merger Plan", "description": "Of quarters" }),
            )
            .await;
        server
            .change(&boss, UPDATE, json!({ "id": id, "visibility": "PRIVATE" }))
            .await;
        let gone = server.create(&boss, "Quartz", "PUBLIC").await;
        server
            .change(&boss, UPDATE, json!({ "id": gone, "version": "2.0.0" }))
            .await;
        server.mutate(&boss, DELETE, json!({ "id": gone })).await;
        let asks = |letter: &str| {
            [
                json!({ "filter": { "name": { "startsWith": letter } } }),
                json!({ "search": letter }),
                json!({ "filter": { "not": { "name": { "startsWith": letter } } } }),
            ]
        };
        let mut told = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        for letter in ["z", "m", "q", "x"] {
            for (told, list) in told.iter_mut().zip(asks(letter)) {
                let by_page = flows(&server, "", &after, list.clone()).await;
                assert!(
                    !by_page.is_empty() && by_page.iter().all(|flow| !flow.contains("true")),
                    "{by_page:?}"
                );
                let mut socket = Socket::of(&server, "").await;
                socket
                    .subscribe("1", LISTED, json!({ "after": after, "list": list }))
                    .await;
                let mut by_stream = Vec::new();
                for _ in &by_page {
                    by_stream.push(flow(&socket.change().await));
                }
                assert_eq!(by_page, by_stream);
                told.insert(by_page);
            }
        }
        // The result does not depend on the question.
        assert_eq!(told.map(|told| told.len()), [1; 3]);
    }

    async fn refusals_name_the_field_of_the_list(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let many = vec!["pcon_a"; 101];
        let empty = vec![json!({}); 100];
        let (invalid, over) = ("BAD_USER_INPUT", "LIMIT_EXCEEDED");
        let mut socket = Socket::of(&server, &ann).await;
        for (list, code, message) in [
            (
                json!({ "search": "x".repeat(257) }),
                invalid,
                "list.search must be at most 256 characters",
            ),
            (
                json!({ "filter": { "id": many } }),
                invalid,
                "the list id of list.filter must have at most 100 items",
            ),
            (
                json!({ "filter": { "host": "a/b" } }),
                invalid,
                "list.filter.host must be hosts such as",
            ),
            (
                json!({ "filter": { "and": [{ "or": empty }, { "or": empty }, { "or": empty }, { "or": empty }] } }),
                over,
                "list of a subscription must have at most 131072 bytes in memory",
            ),
        ] {
            socket.subscribe("1", LISTED, json!({ "list": list })).await;
            let error = socket.next().await["payload"]["errors"][0].clone();
            assert_eq!(error["extensions"]["code"], code, "{error}");
            assert!(text(&error["message"]).starts_with(message), "{error}");
            assert_eq!(socket.next().await["type"], "complete");
            let answer = server.execute(&ann, PAGE, json!({ "list": list })).await;
            let error = &answer["errors"][0];
            let refused = code == invalid && text(&error["message"]).starts_with(message);
            assert!(refused || (code == over && error.is_null()), "{answer}");
        }
        // The largest filter with one level.
        let begun = now(&server, &ann).await;
        let any = vec![json!({ "status": "ACTIVE", "name": { "startsWith": "w" } }); 50];
        socket
            .subscribe(
                "1",
                LISTED,
                json!({ "after": begun, "list": { "filter": { "or": any } } }),
            )
            .await;
        server.create(&ann, "Book", "PRIVATE").await;
        server.create(&ann, "Wiki", "PRIVATE").await;
        let (wiki, expected) = (socket.change().await, "CREATED false true");
        assert_eq!(flow(&wiki), expected);
        let (told, _) = pages(
            &server,
            &ann,
            5,
            &begun,
            &json!({ "list": { "filter": { "or": any } } }),
        )
        .await;
        assert_eq!(told, [wiki]);
    }

    /// A copy of a list that follows only the list's changes, and queries unknown ones, equals the list. Lists and
    /// changes are random; [`each_flow_is_told_of_the_list_alone`] covers each flow.
    async fn a_copy_that_follows_a_list_is_the_list(server: Server) {
        // Checks change the results of these filters without an event.
        let question = a_question().prop_filter("is told by events", |question| {
            let filter = question.filter.to_string();
            !filter.contains("checkedAt") && !filter.contains("uptime")
        });
        let seen = Mutex::new(BTreeSet::new());
        check(
            32,
            (question, vec(a_write(), 6..16)),
            |(question, writes)| {
                let (server, seen) = (&server, &seen);
                async move {
                    server.clear().await;
                    let token = server.viewer_token(question.viewer);
                    let mut world = World::default();
                    let mut copy = BTreeSet::new();
                    let mut after = now(server, &token).await;
                    let list = json!({ "search": question.search.as_ref().map(|search| &search.text),
                        "filter": question.filter });
                    for write in &writes {
                        world.write(server, write).await;
                        world.rows = rows(server).await;
                        let (told, end) =
                            pages(server, &token, 3, &after, &json!({ "list": list })).await;
                        after = end;
                        let mut unknown = BTreeSet::new();
                        for change in &told {
                            let id = text(&change["personalConnectorId"]).to_owned();
                            let [before, is_in] =
                                ["inListBefore", "inList"].map(|name| change[name].as_bool());
                            seen.lock().unwrap().insert((before, is_in));
                            prop_assert!(
                                before.is_none()
                                    || unknown.contains(&id)
                                    || before == Some(copy.contains(&id)),
                                "{} {:?}",
                                change,
                                write
                            );
                            unknown.remove(&id);
                            match is_in {
                                Some(true) => {
                                    copy.insert(id);
                                }
                                Some(false) => {
                                    copy.remove(&id);
                                }
                                None => {
                                    unknown.insert(id);
                                }
                            }
                        }
                        let present = question.ids(server).await;
                        for id in unknown {
                            if present.contains(&id) {
                                copy.insert(id);
                            } else {
                                copy.remove(&id);
                            }
                        }
                        prop_assert_eq!(&copy, &present, "{:?}", write);
                    }
                    Ok(())
                }
            },
        );
        let seen = seen.into_inner().unwrap();
        assert!(
            !seen.is_empty() && !seen.contains(&(Some(false), Some(false))),
            "{seen:?}"
        );
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
