//! Concurrent mutations.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    on_both,
    support::{
        harness::Server,
        mutations::{ADMIN, CREATE, DELETE, STATUS, UPDATE, WRITE, draft, errors, mutation},
    },
};

/// Runs mutations concurrently, and returns their payloads in order.
async fn all_at_once(
    server: &Arc<Server>,
    token: &str,
    mutations: impl IntoIterator<Item = (&'static str, Value)>,
) -> Vec<Value> {
    let mut running = JoinSet::new();
    for (number, (field, input)) in mutations.into_iter().enumerate() {
        let (server, token) = (server.clone(), token.to_owned());
        running.spawn(async move { (number, server.mutate(&token, field, input).await) });
    }
    let mut payloads = running.join_all().await;
    payloads.sort_by_key(|(number, _)| *number);
    payloads.into_iter().map(|(_, payload)| payload).collect()
}

fn succeeded(payloads: &[Value]) -> usize {
    payloads
        .iter()
        .filter(|payload| errors(payload).is_empty())
        .count()
}

on_both! {
    async fn creates_never_pass_the_quota(server: Server) {
        let flags = ["--max-per-user", "5"];
        let server =
            Arc::new(Server::start(server.storage.clone(), &flags, server.clock.clone()).await);
        let ann = server.token("ann@acme", WRITE);
        let creates = (0..20).map(|number| (CREATE, draft(&format!("Wiki {number}"), json!({}))));
        let payloads = all_at_once(&server, &ann, creates).await;
        assert_eq!(succeeded(&payloads), 5);
        assert!(
            payloads
                .iter()
                .all(|payload| matches!(errors(payload).as_slice(), [] | [_]))
        );
        assert_eq!(
            server
                .rows("SELECT COUNT(*) FROM personal_connector WHERE created_by = 'ann'")
                .await,
            "5\n"
        );
    }

    async fn one_of_those_who_want_a_name_gets_it(server: Server) {
        let (ann, server) = (server.token("ann@acme", WRITE), Arc::new(server));
        let creates = (0..10).map(|_| {
            (
                CREATE,
                draft("Wiki", json!({ "visibility": "ORGANIZATION" })),
            )
        });
        let payloads = all_at_once(&server, &ann, creates).await;
        assert_eq!(succeeded(&payloads), 1);
        assert_eq!(
            payloads
                .iter()
                .filter(|payload| errors(payload) == ["TAKEN input.name"])
                .count(),
            9
        );
    }

    async fn replacements_never_close_to_a_circle(server: Server) {
        let (ann, server) = (server.token("ann@acme", WRITE), Arc::new(server));
        for size in [2, 3, 5] {
            let mut ids = Vec::new();
            for number in 0..size {
                ids.push(
                    server
                        .create(&ann, &format!("{size} {number}"), "PRIVATE")
                        .await,
                );
            }
            let circle = (0..size).map(|number| {
                (STATUS, json!({ "id": ids[number], "status": "DEPRECATED", "replacedById": ids[(number + 1) % size] }))
            });
            let payloads = all_at_once(&server, &ann, circle).await;
            assert_eq!(
                succeeded(&payloads),
                size - 1,
                "all but the change that would complete the cycle"
            );
            let refused = payloads
                .iter()
                .find(|payload| !errors(payload).is_empty())
                .unwrap();
            assert_eq!(errors(refused), ["INVALID input.replacedById"]);
        }
    }

    async fn one_of_those_who_expect_a_revision_wins(server: Server) {
        let (ann, server) = (server.token("ann@acme", WRITE), Arc::new(server));
        let id = server.create(&ann, "Wiki", "PRIVATE").await;
        let updates = (0..10).map(|number| {
            (
                UPDATE,
                json!({ "id": id, "description": number.to_string(), "expectedRevision": 1 }),
            )
        });
        let payloads = all_at_once(&server, &ann, updates).await;
        let won = payloads
            .iter()
            .position(|payload| errors(payload).is_empty())
            .unwrap();
        assert_eq!(succeeded(&payloads), 1);
        for payload in &payloads {
            // The others get the winner's result.
            assert_eq!(
                (
                    &payload["personalConnector"]["description"],
                    &payload["personalConnector"]["revision"]
                ),
                (&json!(won.to_string()), &json!(2))
            );
        }
        // A deletion and a change with the same expected revision: only one succeeds.
        let both = [
            (DELETE, json!({ "id": id, "expectedRevision": 2 })),
            (
                STATUS,
                json!({ "id": id, "status": "MAINTENANCE", "expectedRevision": 2 }),
            ),
        ];
        let payloads = all_at_once(&server, &ann, both).await;
        assert_eq!(succeeded(&payloads), 1, "{payloads:?}");
    }

    async fn a_hundred_random_changes_leave_a_whole_log(server: Server) {
        // The limit allows all of them, however long they take.
        let server = Server::start(
            server.storage.clone(),
            &["--max-concurrency", "100"],
            server.clock.clone(),
        )
        .await;
        let (boss, server) = (server.token("boss@acme", ADMIN), Arc::new(server));
        let mut ids = Vec::new();
        for number in 0..12 {
            let visibility = ["PRIVATE", "ORGANIZATION", "PUBLIC"][number % 3];
            ids.push(
                server
                    .create(&boss, &format!("C{number}"), visibility)
                    .await,
            );
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        let mut random = u64::from_le_bytes(seed) | 1;
        println!("seed {random}");
        // xorshift64
        let mut below = |n: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % n as u64).unwrap()
        };
        let mutations: Vec<_> = (0..100).map(|number| {
            let (id, other) = (ids[below(12)].clone(), ids[below(12)].clone());
            let visibility = ["PRIVATE", "ORGANIZATION", "PUBLIC"][below(3)];
            match below(8) {
                0 => (CREATE, draft(&format!("New {}", below(20)), json!({ "visibility": visibility }))),
                1 => (DELETE, json!({ "id": id })),
                2..=3 => (STATUS, json!({ "id": id, "status": "DEPRECATED", "replacedById": other })),
                4 => (STATUS, json!({ "id": id, "status": "ACTIVE" })),
                5 => (UPDATE, json!({ "id": id, "name": format!("C{}", below(20)) })),
                6 => (UPDATE, json!({ "id": id, "visibility": visibility, "description": number.to_string() })),
                _ => (UPDATE, json!({ "id": id, "visibility": visibility })),
            }
        }).collect();
        let payloads = all_at_once(&server, &boss, mutations).await;
        assert!(succeeded(&payloads) > 20, "most have something to change");

        let log = server.rows(
            "SELECT number, kind, personal_connector_id, revision, visibility_before, visibility_after FROM \
             connector_event ORDER BY number"
        ).await;
        let mut replayed = BTreeMap::new();
        for (line, number) in log.lines().zip(1..) {
            let [event, kind, id, revision, before, after] =
                line.split('|').collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(event, number.to_string(), "no gaps");
            let revision: i64 = revision.parse().unwrap();
            let present: Option<(i64, &str)> = replayed.remove(id);
            assert_eq!(
                present.map_or("", |(_, visibility)| visibility),
                before,
                "{line}"
            );
            match kind {
                "created" => assert_eq!((present, revision), (None, 1), "{line}"),
                "updated" => assert_eq!(
                    present.map(|(revision, _)| revision + 1),
                    Some(revision),
                    "{line}"
                ),
                _ => assert_eq!(
                    (present.map(|(revision, _)| revision), after),
                    (Some(revision), ""),
                    "{line}"
                ),
            }
            if kind != "deleted" {
                replayed.insert(id, (revision, after));
            }
        }
        assert_eq!(
            i64::try_from(log.lines().count()).unwrap(),
            server.state().await
        );
        let rows = server
            .rows("SELECT id, revision, visibility FROM personal_connector ORDER BY id")
            .await;
        let replayed: Vec<_> = replayed
            .iter()
            .map(|(id, (revision, visibility))| format!("{id}|{revision}|{visibility}\n"))
            .collect();
        assert_eq!(rows, replayed.concat());
        // No replacement refers to a deleted connector.
        let dangling = "SELECT COUNT(*) FROM personal_connector WHERE replaced_by_id NOT IN (SELECT id FROM \
                        personal_connector)";
        assert_eq!(server.rows(dangling).await, "0\n");
    }

    async fn a_hung_up_client_stops_no_change_half_way(server: Server) {
        let ann = server.token("ann@acme", WRITE);
        let made = server.change(&ann, CREATE, draft("Wiki", json!({}))).await;
        for number in 0..10 {
            let variables =
                json!({ "input": { "id": made["id"], "description": number.to_string() } });
            let body = json!({ "query": mutation(UPDATE), "variables": variables }).to_string();
            let given_up = tokio::time::timeout(
                std::time::Duration::from_millis(number),
                server.wire(&ann, body),
            );
            let _ = given_up.await;
        }
        // Each change is complete, and the lock is free; some requests may still wait for it.
        server
            .change(
                &ann,
                UPDATE,
                json!({ "id": made["id"], "description": "last" }),
            )
            .await;
        let halves = server
            .rows(
                "SELECT MAX(revision) - COUNT(*), MAX(number) - (SELECT state FROM catalog_state),
                MAX(revision) - (SELECT revision FROM personal_connector WHERE type = 'custom')
             FROM connector_event WHERE type = 'custom'",
            )
            .await;
        assert_eq!(halves, "0|0|0\n");
    }
}
