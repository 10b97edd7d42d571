//! The changes of a list, as each viewer sees them.

use super::{LISTED, flow, flows, pages};
use crate::{
    on_both,
    support::{
        checks::found,
        clients::subscribers::{Socket, now},
        mutations::{ADMIN, DELETE, UPDATE, WRITE},
    },
};
use entity::Outcome;
use serde_json::json;
use std::collections::BTreeSet;

on_both! {
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
}
