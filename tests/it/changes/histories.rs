//! Histories with the same numbers: changes lost by a restored backup or a failover must not be confused with others.

use std::time::Duration;

use entity::{ConnectorVisibility::Organization, Timestamp};
use personal_connectors::{
    domain::{
        changes::Filter,
        cursor::{self, LogPosition},
        viewer::Sight,
    },
    error::Code,
    store::{ChangeFollower, ChangeStream, State},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    on_both,
    support::{
        clients::subscribers::{CHANGED, Events, Socket, now, told},
        connectors::custom,
        harness::{NOW, Server, TestDatabase, timestamp},
        mutations::{WRITE, text},
        process::{Serving, program_on, token},
        saved::Saved,
        waiting::within,
    },
};

const CHANGES: &str = "query($after: String) {
    personalConnectorChanges(after: $after) { nodes { kind personalConnector { name } } pageInfo { endCursor } }
}";
const LONG: Duration = Duration::from_secs(20);

/// Returns the names of connectors created after a cursor, or the error's code.
async fn created(server: &Server, after: &str) -> String {
    let ann = server.token("ann@acme", WRITE);
    let answer = server
        .execute(&ann, CHANGES, json!({ "after": after }))
        .await;
    if let Some(error) = answer["errors"].get(0) {
        return text(&error["extensions"]["code"]).to_owned();
    }
    let nodes = &answer["data"]["personalConnectorChanges"]["nodes"];
    let names = nodes.as_array().unwrap().iter().map(told);
    names.map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}

/// Returns the code that ends a subscription over a WebSocket, which is complete afterwards.
async fn ended(socket: &mut Socket) -> String {
    let message = timeout(LONG, socket.next()).await.unwrap();
    assert_eq!(
        socket.next().await,
        json!({ "id": "1", "type": "complete" })
    );
    code(&message["payload"])
}

/// Returns the code that ends an event stream.
async fn ended_stream(events: &mut Events) -> String {
    let (_, data) = timeout(LONG, events.next()).await.unwrap().unwrap();
    let complete = events.next().await;
    assert_eq!(complete, Some(("complete".to_owned(), Value::Null)));
    code(&data)
}

fn code(answer: &Value) -> String {
    let code = &answer["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or(&answer.to_string()).to_owned()
}

/// Returns the numbers of a follower's next changes, or the error's code.
async fn next(follower: &mut ChangeStream) -> Result<Vec<i64>, Code> {
    let changes = timeout(LONG, follower.next()).await.unwrap();
    let changes = changes.map_err(|error| error.code)?;
    Ok(changes
        .iter()
        .map(|change| change.position.number)
        .collect())
}

/// Two histories of one database that diverge after `shared`: `ours` has three changes after it, `theirs` others.
struct Histories {
    shared: String,
    /// The cursors after each change of ours.
    ours: Vec<String>,
    theirs: Saved,
    number: i64,
}

impl Histories {
    /// Creates both histories, and a server that has seen only ours.
    async fn new(server: &Server, changes_of_theirs: usize) -> (Self, Server) {
        let storage = &server.storage;
        let ann = server.token("ann@acme", WRITE);
        server.create(&ann, "Shared", "ORGANIZATION").await;
        let (shared, number) = (now(server, &ann).await, server.state().await);
        let before = Saved::of(storage).await;
        for i in 0..changes_of_theirs {
            let (id, name) = (format!("t{i}"), format!("Theirs{i}"));
            let rows = vec![custom(&id, &name, "ann@acme", Organization)];
            server.insert(rows).await;
        }
        let theirs = Saved::of(storage).await;
        before.restore(storage).await;
        let server = Server::start(storage.clone(), &[], server.clock.clone()).await;
        let mut ours = Vec::new();
        for i in 0..3 {
            let name = format!("Ours{i}");
            server.create(&ann, &name, "ORGANIZATION").await;
            ours.push(now(&server, &ann).await);
        }
        let histories = Self {
            shared,
            ours,
            theirs,
            number,
        };
        (histories, server)
    }

    /// Returns the position of a follower at one of our cursors.
    fn position(text: &str) -> LogPosition {
        cursor::parse_of_changes("after", text).unwrap()
    }
}

on_both! {
    /// The restored history has fewer, equally many or more changes. A running service detects each case by polling.
    async fn what_was_lost_is_told_to_all_who_follow(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        for count in [1, 3, 5] {
            let begun = Saved::of(&server.storage).await;
            let (histories, server) = Histories::new(&server, count).await;
            let Histories {
                shared,
                ours,
                theirs,
                number,
            } = &histories;
            let first = cursor::of_changes(server.position(0).await);
            assert_eq!(created(&server, shared).await, "Ours0 Ours1 Ours2");
            // Subscribers at the head, over both transports, and followers in the middle.
            let mut sockets = Vec::new();
            for after in [shared, &ours[2]] {
                let mut socket = Socket::of(&server, &ann).await;
                socket
                    .subscribe("1", CHANGED, json!({ "after": after }))
                    .await;
                sockets.push(socket);
            }
            for i in 0..3 {
                assert_eq!(
                    told(&sockets[0].change().await),
                    ("CREATED", &*format!("Ours{i}"))
                );
            }
            let mut events = Events::of(&server, &ann, CHANGED, json!({ "after": ours[1] })).await;
            assert_eq!(told(&events.change().await), ("CREATED", "Ours2"));
            let state = State::poll(server.database.clone(), Duration::from_millis(20));
            let follower = ChangeFollower::start(server.database.clone(), &state);
            let follow = |after: &str| {
                follower.follow(
                    Sight::Everything,
                    ("after", Some(Histories::position(after))),
                    Filter::default(),
                )
            };
            let mut at_shared = follow(shared).await.unwrap();
            let mut in_the_middle = follow(&ours[0]).await.unwrap();
            let mut at_head = follow(&ours[2]).await.unwrap();

            theirs.restore(&server.storage).await;
            for socket in &mut sockets {
                assert_eq!(ended(socket).await, "CURSOR_EXPIRED", "{count}");
            }
            assert_eq!(ended_stream(&mut events).await, "CURSOR_EXPIRED", "{count}");
            assert_eq!(next(&mut in_the_middle).await, Err(Code::CursorExpired));
            assert_eq!(next(&mut at_head).await, Err(Code::CursorExpired));
            let end = number + i64::try_from(count).unwrap();
            let numbers: Vec<_> = (number + 1..=end).collect();
            assert_eq!(next(&mut at_shared).await, Ok(numbers), "{count}");
            assert!(follow(&ours[1]).await.is_err());

            let names: Vec<_> = (0..count).map(|i| format!("Theirs{i}")).collect();
            for cursor in ours {
                assert_eq!(created(&server, cursor).await, "CURSOR_EXPIRED", "{count}");
                let mut socket = Socket::of(&server, &ann).await;
                socket
                    .subscribe("1", CHANGED, json!({ "after": cursor }))
                    .await;
                assert_eq!(ended(&mut socket).await, "CURSOR_EXPIRED");
            }
            assert_eq!(created(&server, shared).await, names.join(" "));
            let all = created(&server, &first).await;
            assert!(all.ends_with(&names.join(" ")), "{all}");
            // Subscriptions continue in the restored history.
            let mut socket = Socket::of(&server, &ann).await;
            socket
                .subscribe("1", CHANGED, json!({ "after": shared }))
                .await;
            for name in &names {
                assert_eq!(told(&socket.change().await), ("CREATED", name.as_str()));
            }
            server.create(&ann, "Next", "ORGANIZATION").await;
            assert_eq!(told(&socket.change().await), ("CREATED", "Next"));
            begun.restore(&server.storage).await;
        }
    }

    /// The service's own commit is the first sign of the other history.
    async fn a_commit_after_a_restore_is_not_told_to_those_of_before(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        for count in [1, 2, 3] {
            let before = Saved::of(&server.storage).await;
            let start = now(&server, &ann).await;
            for i in 0..2 {
                server.create(&ann, &format!("Lost{i}"), "PRIVATE").await;
            }
            let after = now(&server, &ann).await;
            let mut socket = Socket::of(&server, &ann).await;
            socket
                .subscribe("1", CHANGED, json!({ "after": start }))
                .await;
            for i in 0..2 {
                assert_eq!(
                    told(&socket.change().await),
                    ("CREATED", &*format!("Lost{i}"))
                );
            }
            before.restore(&server.storage).await;
            let mut names = Vec::new();
            for i in 0..count {
                names.push(format!("Kept{count}{i}"));
                server.create(&ann, &names[i], "PRIVATE").await;
            }
            assert_eq!(ended(&mut socket).await, "CURSOR_EXPIRED", "{count}");
            assert_eq!(created(&server, &after).await, "CURSOR_EXPIRED", "{count}");
            assert_eq!(created(&server, &start).await, names.join(" "));
        }
    }

    /// Earlier responses and counts are not reused in the other history, although its numbers are equal.
    async fn answers_and_counts_are_of_the_history(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let query = "{ personalConnectors(search: \"theirs\") { totalCount nodes { name } changesCursor } }";
        let (Histories { theirs, ours, .. }, server) = Histories::new(&server, 3).await;
        let data = server.data(&ann, query, json!({})).await;
        assert_eq!(data["personalConnectors"]["changesCursor"], json!(ours[2]));
        assert_eq!(data["personalConnectors"]["totalCount"], 0);
        theirs.restore(&server.storage).await;
        // The snapshot has the right state at once, whatever was polled.
        let data = server.fresh(&ann, query, json!({})).await;
        assert_eq!(data["personalConnectors"]["totalCount"], 3);
        within(LONG, "an answer of the other history", async || {
            let data = server.data(&ann, query, json!({})).await;
            data["personalConnectors"]["totalCount"] == 3
                && data["personalConnectors"]["changesCursor"] != json!(ours[2])
        })
        .await;
    }

    /// The position of the last pruned event can still be verified, and so can the one before all changes.
    async fn what_is_forgotten_keeps_its_mark(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let first = cursor::of_changes(server.position(0).await);
        let other = if server.storage.url.starts_with("sqlite") {
            Server::on_sqlite(&[]).await
        } else {
            Server::on_postgres(&[]).await
        };
        assert_ne!(created(&server, &first).await, "CURSOR_EXPIRED");
        assert_eq!(created(&other, &first).await, "CURSOR_EXPIRED");

        let (Histories { theirs, ours, .. }, server) = Histories::new(&server, 3).await;
        let later = Timestamp(timestamp(NOW).0 + 1);
        let forget =
            async || while server.database.forget_events(later, later).await.unwrap() > 0 {};
        forget().await;
        assert_eq!(
            server
                .rows("SELECT COUNT(*) AS n FROM connector_event")
                .await,
            "0\n"
        );
        assert_eq!(created(&server, &ours[2]).await, "");
        assert_eq!(created(&server, &first).await, "CURSOR_EXPIRED");
        assert_eq!(now(&server, &ann).await, ours[2]);
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": ours[2] }))
            .await;
        // The response comes when the subscription has caught up.
        socket.subscribe("q", "{ __typename }", json!({})).await;
        while socket.next().await["type"] != "complete" {}
        let ours_forgotten = Saved::of(&server.storage).await;
        theirs.restore(&server.storage).await;
        forget().await;
        assert_eq!(created(&server, &ours[2]).await, "CURSOR_EXPIRED");
        assert_eq!(ended(&mut socket).await, "CURSOR_EXPIRED");
        ours_forgotten.restore(&server.storage).await;
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": ours[2] }))
            .await;
        server.create(&ann, "Next", "PRIVATE").await;
        assert_eq!(told(&socket.change().await), ("CREATED", "Next"));
    }

    /// A restart, a switch to a replica and a complete backup lose no changes, so cursors stay valid.
    async fn where_nothing_is_lost_nobody_starts_over(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let first = cursor::of_changes(server.position(0).await);
        let (Histories { shared, ours, .. }, server) = Histories::new(&server, 1).await;
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": shared }))
            .await;
        for i in 0..3 {
            assert_eq!(
                told(&socket.change().await),
                ("CREATED", &*format!("Ours{i}"))
            );
        }
        Saved::of(&server.storage)
            .await
            .restore(&server.storage)
            .await;
        let other = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        for after in [&shared, &ours[0], &ours[1], &ours[2], &first] {
            let expected = created(&server, after).await;
            assert_ne!(expected, "CURSOR_EXPIRED");
            assert_eq!(created(&other, after).await, expected);
        }
        other.create(&ann, "Next", "ORGANIZATION").await;
        assert_eq!(told(&socket.change().await), ("CREATED", "Next"));
    }

    /// The cursor is from a version without marks. Its state 5 exists.
    async fn a_cursor_without_a_mark_has_expired(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        assert_eq!(server.state().await, 5);
        let old = "AgAAAAAAAAAFzUofCA";
        let answer = server.execute(&ann, CHANGES, json!({ "after": old })).await;
        assert_eq!(code(&answer), "CURSOR_EXPIRED");
        let message = text(&answer["errors"][0]["message"]);
        assert!(
            message.contains("earlier version")
                && message.contains("Start over: list the connectors"),
            "{message}"
        );
        let mut socket = Socket::of(&server, &ann).await;
        socket
            .subscribe("1", CHANGED, json!({ "after": old }))
            .await;
        assert_eq!(ended(&mut socket).await, "CURSOR_EXPIRED");
    }
}

/// Follows the page about backups. The restored file then gets as many changes as were lost, or one more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_copied_back_while_the_service_was_stopped() {
    let storage = TestDatabase::sqlite();
    let file = storage.url.strip_prefix("sqlite://").unwrap().to_owned();
    let saved = format!("{file}.saved");
    let ann = token("ann@acme", "connectors:write");
    let create = async |server: &Serving, name: &str| {
        let create = "mutation($name: String!) {
            createCustomConnector(input: {name: $name, serverType: STDIO}) { userErrors { message } }
        }";
        server.data(&ann, create, json!({ "name": name })).await;
        let query = "{ personalConnectors(first: 0) { changesCursor } }";
        let data = server.data(&ann, query, json!({})).await;
        data["personalConnectors"]["changesCursor"].clone()
    };
    let server = Serving::on(&storage);
    let shared = create(&server, "Shared").await;
    server.stop();
    std::fs::copy(&file, &saved).unwrap();
    let server = Serving::on(&storage);
    let lost = create(&server, "Lost").await;
    server.stop();
    for more in [0, 1] {
        for part in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{file}{part}"));
        }
        std::fs::copy(&saved, &file).unwrap();
        let server = Serving::start(program_on(&storage, &[]));
        for i in 0..=more {
            create(&server, &format!("Kept{i}")).await;
        }
        let answer = server.ask(&ann, CHANGES, json!({ "after": lost })).await;
        assert_eq!(code(&answer.unwrap()), "CURSOR_EXPIRED", "{more}");
        let page = server.data(&ann, CHANGES, json!({ "after": shared })).await;
        let nodes = page["personalConnectorChanges"]["nodes"].as_array();
        assert_eq!(nodes.unwrap().len(), more + 1);
        server.stop();
    }
}

/// During a rolling upgrade, replicas of the previous version add events without a mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn events_of_the_version_before_have_marks() {
    let server = Server::on_postgres(&[]).await;
    let after = now(&server, "").await;
    let columns = "kind, personal_connector_id, type, changed_fields, revision, occurred_at, visibility_before,
        visibility_after, status_before, status_after";
    let insert = format!(
        "WITH added AS (INSERT INTO connector_event (number, {columns})
            SELECT number + 5, {columns} FROM connector_event WHERE number <= 3 RETURNING number)
        UPDATE catalog_state SET state = (SELECT MAX(number) FROM added)"
    );
    server.rows(&insert).await;
    let marks = "SELECT COUNT(DISTINCT mark) AS n, MAX(number) AS last FROM connector_event";
    assert_eq!(server.rows(marks).await, "8|8\n");
    assert_eq!(created(&server, &after).await.split(' ').count(), 3);
    assert_eq!(created(&server, &now(&server, "").await).await, "");
}
