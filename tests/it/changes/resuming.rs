//! Resuming after a broken connection, and recognizing one's own changes.

use fixtures::published::with;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        clients::subscribers::{CHANGED, Socket, now, told},
        harness::Server,
        mutations::{CREATE, DELETE, STATUS, UPDATE, WRITE, draft, text},
    },
};

const CREATED: &str = "subscription($after: String) { personalConnectorChanged(after: $after) { personalConnector { \
                       name } } }";

impl Server {
    /// Returns the `changesCursor` of a mutation's payload, and the id of its connector.
    async fn cursor_of(&self, token: &str, field: &str, input: Value) -> (Value, Value) {
        let (first, rest) = field.split_at(1);
        let input_type = format!("{}{rest}Input", first.to_uppercase());
        let query = format!(
            "mutation($input: {input_type}!) {{ {field}(input: $input) {{ changesCursor personalConnector {{ id }} }} \
             }}"
        );
        let mut data = self.data(token, &query, json!({ "input": input })).await;
        let payload = &mut data[field];
        (
            payload["changesCursor"].take(),
            payload["personalConnector"]["id"].take(),
        )
    }

    /// Returns the first event of a stream for a client with this last event id.
    async fn first_event(&self, query: &str, variables: Value, last_event_id: &str) -> String {
        let token = self.token("ann@acme", WRITE);
        let body = json!({ "query": query, "variables": variables });
        let request = self.request(&token, body.to_string());
        let request = request
            .header("accept", "text/event-stream")
            .header("last-event-id", last_event_id);
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut events = String::new();
        while !events.contains("\n\n") {
            events += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
        }
        events.split_once("\n\n").unwrap().0.to_owned()
    }
}

on_both! {
    /// The last change of a mutation has the cursor of its payload.
    async fn a_mutation_gives_the_cursor_of_its_change(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": now(&server, &ann).await }))
            .await;
        let (cursor, id) = server
            .cursor_of(
                &ann,
                CREATE,
                draft("Wiki", json!({ "idempotencyKey": "k" })),
            )
            .await;
        assert_eq!(socket.change().await["cursor"], cursor);
        let (_, new) = server
            .cursor_of(&ann, CREATE, draft("New", json!({})))
            .await;
        assert_eq!(socket.change().await["kind"], "CREATED");
        for (field, input) in [
            (UPDATE, json!({ "version": "1.0.0" })),
            (
                STATUS,
                json!({ "status": "DEPRECATED", "replacedById": new }),
            ),
        ] {
            let (cursor, _) = server
                .cursor_of(&ann, field, with(input, json!({ "id": id })))
                .await;
            assert_eq!(socket.change().await["cursor"], cursor, "{field}");
        }
        // These mutations write nothing.
        for (field, input) in [
            (UPDATE, json!({ "id": id, "version": "1.0.0" })),
            (
                UPDATE,
                json!({ "id": id, "version": "2.0.0", "validateOnly": true }),
            ),
            (
                UPDATE,
                json!({ "id": id, "version": "2.0.0", "expectedRevision": 1 }),
            ),
            (CREATE, draft("Wiki", json!({}))),
            (CREATE, draft("Wiki", json!({ "idempotencyKey": "k" }))),
            (DELETE, json!({ "id": "pcon_none" })),
        ] {
            let (cursor, _) = server.cursor_of(&ann, field, input.clone()).await;
            assert_eq!(cursor, Value::Null, "{field} {input}");
        }
        // The connector that it replaced loses its replacement, which is an earlier change.
        let (cursor, _) = server.cursor_of(&ann, DELETE, json!({ "id": new })).await;
        let kinds = [socket.change().await, socket.change().await];
        assert_eq!(
            kinds.each_ref().map(|change| text(&change["kind"])),
            ["UPDATED", "DELETED"]
        );
        assert_ne!(kinds[0]["cursor"], cursor);
        assert_eq!(kinds[1]["cursor"], cursor);
    }

    /// The event has an id even if the cursor is not selected. The header overrides the first `after`, which clients
    /// repeat.
    async fn an_event_has_an_id_to_go_on_after(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let first = now(&server, &ann).await;
        let mut cursors = Vec::new();
        for name in ["A", "B", "C"] {
            cursors.push(
                server
                    .cursor_of(&ann, CREATE, draft(name, json!({})))
                    .await
                    .0,
            );
        }
        for query in [CREATED, CHANGED] {
            for (last_event_id, position) in [
                ("", 0),
                (text(&cursors[0]), 1),
                (text(&cursors[1]), 2),
                (&first, 0),
            ] {
                let event = server
                    .first_event(query, json!({ "after": first }), last_event_id)
                    .await;
                let lines: Vec<_> = event.lines().collect();
                assert_eq!(
                    lines[..2],
                    [&format!("id: {}", text(&cursors[position])), "event: next"]
                );
                let data: Value =
                    serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
                let name = &data["data"]["personalConnectorChanged"]["personalConnector"]["name"];
                assert_eq!(name, ["A", "B", "C"][position], "{last_event_id}");
            }
        }
        // The header works without an `after`, too.
        let event = server
            .first_event(CREATED, json!({}), text(&cursors[1]))
            .await;
        assert!(event.contains("\"C\""), "{event}");
        // A query has no event ids, and reads none.
        let event = server.first_event("{ __typename }", json!({}), "x").await;
        assert_eq!(
            event,
            "event: next\ndata: {\"data\":{\"__typename\":\"Query\"}}"
        );
    }

    async fn an_id_is_a_cursor_of_this_history(server: Server) {
        let long = "A".repeat(5000);
        let other = if server.storage.url.starts_with("sqlite") {
            Server::on_sqlite(&[]).await
        } else {
            Server::on_postgres(&[]).await
        };
        for (id, code, message) in [
            ("5", "CURSOR_INVALID", "Last-Event-ID is not a cursor"),
            (&long, "CURSOR_INVALID", "Last-Event-ID is not a cursor"),
            (
                &now(&other, "").await,
                "CURSOR_EXPIRED",
                "Last-Event-ID is not in the history",
            ),
        ] {
            let event = server
                .first_event(CREATED, json!({ "after": now(&server, "").await }), id)
                .await;
            let data = event.strip_prefix("event: next\ndata: ").unwrap();
            let answer: Value = serde_json::from_str(data).unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
            assert!(
                text(&answer["errors"][0]["message"]).starts_with(message),
                "{answer}"
            );
        }
        // Over a WebSocket only the argument counts, because a handshake has no last event.
        let ann = server.token("ann@acme", WRITE);
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": now(&server, &ann).await }))
            .await;
        server.create(&ann, "Wiki", "PRIVATE").await;
        assert_eq!(told(&socket.change().await), ("CREATED", "Wiki"));
    }
}
