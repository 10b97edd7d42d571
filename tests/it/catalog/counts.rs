//! Lists are counted once a state, and never wrongly.

use std::time::Duration;

use entity::ConnectorVisibility::Private;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        connectors::{custom, official},
        harness::{Server, client},
    },
};

const COUNTED: &str = "query($filter: PersonalConnectorFilter) {
    personalConnectors(filter: $filter) { totalCount }
}";
const FACETED: &str = "query($filter: PersonalConnectorFilter) {
    personalConnectors(filter: $filter) { totalCount facets { category { count } } }
}";

/// The list's size, and how many statements counted it.
async fn count(server: &Server, token: &str, query: &str, filter: Value) -> (u64, usize) {
    server.forget_reads();
    // As no cache of answers has it.
    let data = server
        .fresh(token, query, json!({ "filter": filter }))
        .await;
    let total = data["personalConnectors"]["totalCount"].as_u64().unwrap();
    let reads = server.reads.lock().unwrap();
    let counting = reads.iter().filter(|read| read.sql.contains("COUNT(*)"));
    (total, counting.count())
}

on_both! {
    async fn a_list_is_counted_once_a_state(server: Server) {
        for query in [COUNTED, FACETED] {
            let (before, counted) = count(&server, "", query, json!({})).await;
            assert_eq!(counted, 1);
            assert_eq!(count(&server, "", query, json!({})).await, (before, 0));
            // Another list.
            let (none, counted) = count(&server, "", query, json!({ "visibility": "PRIVATE" })).await;
            assert_eq!((none, counted), (0, 1));
            let id = query.len();
            server.insert(vec![official(&format!("a{id}"), &format!("A {id}"))]).await;
            assert_eq!(count(&server, "", query, json!({})).await, (before + 1, 1));
            assert_eq!(count(&server, "", query, json!({})).await, (before + 1, 0));
        }
    }

    async fn each_sight_has_its_own(server: Server) {
        let rows = vec![custom("p1", "One", "ann@acme", Private), custom("p2", "Two", "bob@acme", Private)];
        server.insert(rows).await;
        let token = |who: &str, scopes: &[&str]| server.token(who, scopes);
        let viewers = [
            (String::new(), 0),
            (token("ann@acme", &[]), 1),
            (token("bob@acme", &[]), 1),
            (token("eve@acme", &[]), 0),
            (token("ann@other", &[]), 0),
            (token("eve@acme", &["connectors:admin"]), 2),
            (token("eve@other", &["catalog:admin"]), 2),
        ];
        for _ in 0..2 {
            for (token, expected) in &viewers {
                let filter = json!({ "type": "CUSTOM" });
                for query in [COUNTED, FACETED] {
                    assert_eq!(count(&server, token, query, filter.clone()).await.0, *expected);
                }
            }
        }
    }

    async fn a_number_of_before_a_backup_was_restored_is_counted_again(server: Server) {
        let before = server.state().await;
        server.insert(vec![official("a", "A")]).await;
        let (total, _) = count(&server, "", COUNTED, json!({})).await;
        // As the backup was, before A.
        server.rows(&format!("DELETE FROM connector_event WHERE number > {before}")).await;
        let words = if server.storage.url.starts_with("sqlite") { "rowid" } else { "seq" };
        let seq = before + 1;
        server.rows(&format!("DELETE FROM connector_search WHERE {words} = {seq}")).await;
        server.rows(&format!("DELETE FROM personal_connector WHERE seq = {seq}")).await;
        server.rows(&format!("UPDATE catalog_state SET state = {before}")).await;
        let seen = format!("catalogue_state {before}");
        let metrics = async || client().get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap();
        while !metrics().await.lines().any(|line| line.ends_with(&seen)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.insert(vec![custom("p", "P", "ann@acme", Private)]).await;
        assert_eq!(count(&server, "", COUNTED, json!({})).await, (total - 1, 1));
    }

    async fn a_change_of_another_process_is_counted(server: Server) {
        let other = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        let (before, _) = count(&server, "", COUNTED, json!({})).await;
        for more in 1..10 {
            other.insert(vec![official(&format!("a{more}"), &format!("A {more}"))]).await;
            // At once: the state is the snapshot's, not the one that was polled.
            assert_eq!(count(&server, "", COUNTED, json!({})).await, (before + more, 1));
        }
    }
}
