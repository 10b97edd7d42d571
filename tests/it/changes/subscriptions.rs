//! Subscriptions over WebSockets and as server-sent events.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    on_both,
    support::{
        clients::subscribers::{CHANGED, Events, Socket, now, told},
        harness::Server,
        mutations::{CREATE, DELETE, UPDATE, WRITE, draft, mutation, text},
    },
};

on_both! {
    async fn what_was_missed_and_what_happens(server: Server) {
        let (ann, bob) = (
            server.token("ann@acme", WRITE),
            server.token("bob@acme", &[]),
        );
        let after = now(&server, &ann).await;
        let missed = server.create(&ann, "Missed", "ORGANIZATION").await;
        server.create(&ann, "Mine", "PRIVATE").await;

        let mut socket = Socket::of(&server, &bob).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": after }))
            .await;
        let change = socket.change().await;
        assert_eq!(told(&change), ("CREATED", "Missed"));
        assert_eq!(
            (
                change["personalConnectorId"].as_str(),
                change["actor"].as_str()
            ),
            (Some(&*missed), Some("ann"))
        );
        let mut events =
            Events::of(&server, &bob, CHANGED, json!({ "after": change["cursor"] })).await;

        // A change that bob does not see is not sent to him, and leaves no gap.
        server
            .change(&ann, UPDATE, json!({ "id": missed, "name": "Renamed" }))
            .await;
        server.create(&ann, "Mine too", "PRIVATE").await;
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": missed, "visibility": "PRIVATE" }),
            )
            .await;
        let created = server.create(&ann, "Another", "ORGANIZATION").await;
        server.change(&ann, DELETE, json!({ "id": created })).await;
        let expected = ["UPDATED", "DELETED", "CREATED", "DELETED"];
        let mut cursors = Vec::new();
        for kind in expected {
            let (by_socket, by_events) = (socket.change().await, events.change().await);
            assert_eq!(
                (text(&by_socket["kind"]), text(&by_events["kind"])),
                (kind, kind)
            );
            assert_eq!(by_socket["cursor"], by_events["cursor"]);
            cursors.push(by_socket["cursor"].clone());
        }

        // Each of these is a valid cursor to continue from.
        for (i, cursor) in cursors.iter().enumerate() {
            let id = format!("from {i}");
            socket
                .subscribe(&id, CHANGED, json!({ "after": cursor }))
                .await;
            for kind in &expected[i + 1..] {
                let message = socket.next().await;
                assert_eq!(message["id"], id.as_str());
                assert_eq!(
                    message["payload"]["data"]["personalConnectorChanged"]["kind"],
                    *kind
                );
            }
            socket.send(json!({ "id": id, "type": "complete" })).await;
        }
    }

    async fn from_now_on_and_by_the_filter(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Before", "PRIVATE").await;
        let mut socket = Socket::of(&server, &ann).await;
        socket.subscribe("all", CHANGED, json!({})).await;
        socket
            .subscribe(
                "design",
                CHANGED,
                json!({ "filter": { "category": "DESIGN" } }),
            )
            .await;
        // A subscription has begun when it reports a new event.
        let mut begun = BTreeSet::new();
        for i in 0.. {
            let input = draft(&format!("Now {i}"), json!({ "category": "DESIGN" }));
            server.change(&ann, CREATE, input).await;
            while let Ok(message) = timeout(Duration::from_millis(300), socket.next()).await {
                assert!(message.to_string().contains("Now "), "{message}");
                begun.insert(text(&message["id"]).to_owned());
            }
            if begun.len() == 2 {
                break;
            }
        }

        let id = server.create(&ann, "A", "PRIVATE").await;
        server
            .change(&ann, UPDATE, json!({ "id": id, "category": "DESIGN" }))
            .await;
        server
            .change(&ann, UPDATE, json!({ "id": id, "name": "B" }))
            .await;
        let mut got = Vec::new();
        while got.len() < 5 {
            let message = socket.next().await;
            let change = &message["payload"]["data"]["personalConnectorChanged"];
            if change["personalConnectorId"] == *id {
                got.push(format!(
                    "{} {} {}",
                    text(&message["id"]),
                    text(&change["kind"]),
                    change["revision"]
                ));
            }
        }
        got.sort_unstable();
        assert_eq!(
            got,
            [
                "all CREATED 1",
                "all UPDATED 2",
                "all UPDATED 3",
                "design UPDATED 2",
                "design UPDATED 3"
            ]
        );
    }

    async fn queries_and_mutations_over_both(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe(
                "m",
                &mutation(CREATE),
                json!({ "input": draft("BackupReport", json!({})) }),
            )
            .await;
        let message = socket.next().await;
        assert_eq!(
            message["payload"]["data"][CREATE]["personalConnector"]["name"],
            "BackupReport"
        );
        assert_eq!(
            socket.next().await,
            json!({ "id": "m", "type": "complete" })
        );
        let mut events = Events::of(
            &server,
            &ann,
            &mutation(CREATE),
            json!({ "input": draft("BackupReport too", json!({})) }),
        )
        .await;
        let (event, data) = events.next().await.unwrap();
        assert_eq!(
            (
                event.as_str(),
                &data["data"][CREATE]["personalConnector"]["name"]
            ),
            ("next", &json!("BackupReport too"))
        );
        assert_eq!(
            events.next().await,
            Some(("complete".to_owned(), Value::Null))
        );
        assert_eq!(events.next().await, None);

        let code = |errors: &Value| text(&errors[0]["extensions"]["code"]).to_owned();
        for (query, variables, expected) in [
            ("{", json!({}), "GRAPHQL_PARSE_FAILED"),
            ("{ nothing }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            (
                "subscription { nothing }",
                json!({}),
                "GRAPHQL_VALIDATION_FAILED",
            ),
            (
                "subscription { personalConnectorChanged { nothing } }",
                json!({}),
                "GRAPHQL_VALIDATION_FAILED",
            ),
            (
                "subscription { __typename }",
                json!({}),
                "GRAPHQL_VALIDATION_FAILED",
            ),
            (
                "subscription { a: personalConnectorChanged { kind } b: personalConnectorChanged { kind } }",
                json!({}),
                "GRAPHQL_VALIDATION_FAILED",
            ),
            (
                "subscription { ...F a: personalConnectorChanged { kind } } fragment F on Subscription { \
                 personalConnectorChanged { kind } }",
                json!({}),
                "GRAPHQL_VALIDATION_FAILED",
            ),
            (
                "subscription($b: Boolean! = false) { personalConnectorChanged @include(if: $b) { kind } }",
                json!({}),
                "GRAPHQL_VALIDATION_FAILED",
            ),
            (CHANGED, json!({ "after": 1 }), "GRAPHQL_VALIDATION_FAILED"),
            (
                "query($n: Int) { personalConnectors(first: $n) { nodes { id } } }",
                json!({ "n": 1_000_000 }),
                "LIMIT_EXCEEDED",
            ),
        ] {
            socket.subscribe("e", query, variables.clone()).await;
            let message = socket.next().await;
            assert_eq!(message["type"], "error", "{query}: {message}");
            assert_eq!(code(&message["payload"]), expected, "{query}: {message}");
            let mut events = Events::of(&server, &ann, query, variables).await;
            let (event, data) = events.next().await.unwrap();
            assert_eq!(
                (event.as_str(), data.get("data")),
                ("next", None),
                "{query}"
            );
            assert_eq!(code(&data["errors"]), expected, "{query}: {data}");
            assert_eq!(
                events.next().await,
                Some(("complete".to_owned(), Value::Null))
            );
        }
        // An error that only the event source finds ends the stream as a result with errors.
        for (after, expected) in [
            ("AAAA", "CURSOR_INVALID"),
            ("AgAAAAAAD0JAYc5c9A", "CURSOR_INVALID"),
        ] {
            socket
                .subscribe("c", CHANGED, json!({ "after": after }))
                .await;
            let message = socket.next().await;
            assert_eq!(message["type"], "next", "{message}");
            assert_eq!(code(&message["payload"]["errors"]), expected, "{message}");
            assert_eq!(
                socket.next().await,
                json!({ "id": "c", "type": "complete" })
            );
        }
    }

    async fn fragments_bring_the_root_field(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let after = now(&server, &ann).await;
        server.create(&ann, "A", "PRIVATE").await;
        let mut socket = Socket::of(&server, &ann).await;
        let query = "subscription($a: String) {
            ...F
            ... on Subscription { personalConnectorChanged(after: $a) { revision } }
        }
        fragment F on Subscription { personalConnectorChanged(after: $a) { kind ...G } }
        fragment G on PersonalConnectorChange { personalConnector { name } }";
        socket.subscribe("1", query, json!({ "a": after })).await;
        // Each field appears once, in the order of the selection.
        let change = socket.change().await;
        assert_eq!(
            change.to_string(),
            r#"{"kind":"CREATED","personalConnector":{"name":"A"},"revision":1}"#
        );
        server.create(&ann, "B", "PRIVATE").await;
        assert_eq!(socket.change().await["personalConnector"]["name"], "B");
    }

    async fn a_replica_tells_of_the_others_changes(server: Server) {
        let other = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        let ann = server.token("ann@acme", WRITE);
        let after = now(&server, &ann).await;
        let mut sockets = [
            Socket::of(&server, &ann).await,
            Socket::of(&other, &ann).await,
        ];
        for socket in &mut sockets {
            socket
                .subscribe("1", CHANGED, json!({ "after": after }))
                .await;
        }
        for i in 0..20 {
            let through = if i % 2 == 0 { &server } else { &other };
            through.create(&ann, &format!("N{i}"), "PRIVATE").await;
        }
        for socket in &mut sockets {
            for i in 0..20 {
                assert_eq!(told(&socket.change().await), ("CREATED", &*format!("N{i}")));
            }
        }
    }
}
