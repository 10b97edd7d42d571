//! The counts of lists: computed once for each state, and always right.

use std::time::Duration;

use chrono::{DateTime, Utc};
use entity::{ConnectorVisibility::Private, Outcome};
use personal_connectors::domain::inspection::Inspection;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        checks::{after, found},
        connectors::{custom, official},
        harness::{Server, client},
        mutations::{DELETE, UPDATE, WRITE},
    },
};

const COUNTED: &str = "query($filter: PersonalConnectorFilter) {
    personalConnectors(filter: $filter) { totalCount }
}";
const FACETED: &str = "query($filter: PersonalConnectorFilter) {
    personalConnectors(filter: $filter) { totalCount facets { category { count } } }
}";
const BY_ORGANIZATION: &str = "query($filter: PersonalConnectorFilter) {
    personalConnectors(filter: $filter) { totalCount facets { organizationId { value count } organizationsLeftOut } }
}";

/// The time of [`after`] in a filter.
fn time(seconds: i64) -> String {
    DateTime::<Utc>::from(after(seconds)).to_rfc3339()
}

/// Returns the list's size, and the number of statements that counted it.
async fn count(server: &Server, token: &str, query: &str, filter: Value) -> (u64, usize) {
    server.forget_reads();
    // This bypasses the response cache.
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
            let (none, counted) =
                count(&server, "", query, json!({ "visibility": "PRIVATE" })).await;
            assert_eq!((none, counted), (0, 1));
            let id = query.len();
            server
                .insert(vec![official(&format!("a{id}"), &format!("A {id}"))])
                .await;
            // The change tells what it adds.
            assert_eq!(count(&server, "", query, json!({})).await, (before + 1, 0));
            assert_eq!(count(&server, "", query, json!({})).await, (before + 1, 0));
        }
    }

    async fn a_page_of_nothing_is_not_read(server: Server) {
        for (selection, of_page) in [
            ("__typename", 0),
            ("totalCount nodes { id }", 0),
            ("totalCount nodes { id health { outcome } }", 0),
            ("pageInfo { hasNextPage }", 1),
            ("nodes { id } ... { pageInfo { hasNextPage } }", 1),
        ] {
            server.forget_reads();
            let query = format!("{{ personalConnectors(first: 0) {{ {selection} }} }}");
            let data = server.fresh("", &query, json!({})).await;
            let has_next = &data["personalConnectors"]["pageInfo"]["hasNextPage"];
            assert_eq!(has_next == true, of_page == 1, "{selection}: {data}");
            let reads = server.reads.lock().unwrap();
            let pages = reads.iter().filter(|read| read.sql.contains("ORDER BY"));
            assert_eq!(pages.count(), of_page, "{selection}");
        }
    }

    async fn each_sight_has_its_own(server: Server) {
        let rows = vec![
            custom("p1", "One", "ann@acme", Private),
            custom("p2", "Two", "bob@acme", Private),
        ];
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
                    assert_eq!(
                        count(&server, token, query, filter.clone()).await.0,
                        *expected
                    );
                }
            }
        }
    }

    async fn a_number_of_before_a_backup_was_restored_is_counted_again(server: Server) {
        let before = server.state().await;
        server.insert(vec![official("a", "A")]).await;
        let (total, _) = count(&server, "", COUNTED, json!({})).await;
        count(&server, "", FACETED, json!({})).await;
        // The same state as in the backup, before A.
        server
            .rows(&format!(
                "DELETE FROM connector_event WHERE number > {before}"
            ))
            .await;
        let seq = before + 1;
        if server.storage.url.starts_with("sqlite") {
            server
                .rows(&format!("DELETE FROM connector_search WHERE rowid = {seq}"))
                .await;
        }
        server
            .rows(&format!("DELETE FROM personal_connector WHERE seq = {seq}"))
            .await;
        server
            .rows(&format!("UPDATE catalog_state SET state = {before}"))
            .await;
        let seen = format!("catalogue_state {before}");
        let metrics = async || {
            client()
                .get(format!("{}/metrics", server.url))
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        };
        while !metrics().await.lines().any(|line| line.ends_with(&seen)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // With the number of A, and with a later one.
        server
            .insert(vec![custom("p", "P", "ann@acme", Private)])
            .await;
        assert_eq!(count(&server, "", COUNTED, json!({})).await, (total - 1, 1));
        server
            .insert(vec![custom("q", "Q", "ann@acme", Private)])
            .await;
        assert_eq!(count(&server, "", FACETED, json!({})).await, (total - 1, 1));
        assert_eq!(count(&server, "", COUNTED, json!({})).await, (total - 1, 0));
    }

    /// Cached counts are updated by changes that record the counted values. Others are computed again.
    async fn counts_follow_the_changes(server: Server) {
        let own = server.token("ann@acme", WRITE);
        let admin = server.token("root", &["catalog:admin"]);
        let filters = [
            json!({}),
            json!({ "category": ["CUSTOM", null] }),
            json!({ "status": "ACTIVE" }),
            json!({ "type": "CUSTOM" }),
            json!({ "serverType": ["HTTP", null] }),
            json!({ "visibility": "PRIVATE" }),
            json!({ "createdBy": "ann" }),
            json!({ "and": [{ "not": { "visibility": "PUBLIC" } }, { "name": { "startsWith": "w" } }] }),
        ];
        let counts = async |most: usize| {
            let mut totals = Vec::new();
            for token in ["", &own, &admin] {
                for filter in &filters {
                    for query in [COUNTED, FACETED] {
                        let (total, counted) = count(&server, token, query, filter.clone()).await;
                        assert!(counted <= most, "{counted}: {filter}");
                        totals.push(total);
                    }
                }
            }
            totals
        };
        counts(1).await;
        let before = counts(0).await;
        let wiki = server.create(&own, "Wiki", "PRIVATE").await;
        let created = counts(0).await;
        assert_ne!(before, created);
        server.change(&own, UPDATE, json!({ "id": wiki, "name": "Other", "visibility": "ORGANIZATION",
            "serverUrl": null, "serverType": "STDIO", "category": "DESIGN" })).await;
        assert_ne!(counts(0).await, created);
        server.mutate(&own, DELETE, json!({ "id": wiki })).await;
        assert_eq!(counts(0).await, before);

        // A change of an earlier version records less, which is enough for some counts.
        server.create(&own, "Wiki", "PRIVATE").await;
        server
            .rows("UPDATE connector_event SET record = NULL")
            .await;
        for (filter, counted) in [(&filters[0], 0), (&filters[2], 0), (&filters[4], 1)] {
            assert_eq!(
                count(&server, &own, COUNTED, filter.clone()).await.1,
                counted,
                "{filter}"
            );
        }
        assert_eq!(count(&server, &own, FACETED, json!({})).await.1, 1);
    }

    /// In a large catalogue, a thousand changes are followed. A small list is counted in less time than that.
    async fn more_changes_than_are_worth_it_are_counted_anew(server: Server) {
        let insert = async |name: &str, count: usize| {
            let row = |i| official(&format!("{name}{i}"), &format!("{name} {i}"));
            server.insert((0..count).map(row).collect()).await;
        };
        let one = json!({ "id": ["pcon_jira"] });
        let counts = async || {
            let all = count(&server, "", COUNTED, json!({})).await;
            (all, count(&server, "", COUNTED, one.clone()).await)
        };
        let ((before, _), _) = counts().await;
        insert("small", 500).await;
        assert_eq!(counts().await, ((before + 500, 1), (1, 1)));
        for part in 0..9 {
            insert(&format!("large{part}"), 1000).await;
        }
        counts().await;
        insert("few", 100).await;
        assert_eq!(counts().await, ((before + 9600, 0), (1, 0)), "the first list reads the changes");
        insert("more", 100).await;
        assert_eq!(count(&server, "", COUNTED, one.clone()).await, (1, 1));
        assert_eq!(counts().await, ((before + 9700, 0), (1, 0)));
        insert("many", 1000).await;
        assert_eq!(counts().await, ((before + 10_700, 0), (1, 1)));
        insert("too many", 1001).await;
        assert_eq!(counts().await, ((before + 11_701, 1), (1, 1)));
    }

    /// All lists of a state share the changes since the one before.
    async fn changes_are_read_once_for_all_lists(server: Server) {
        let own = server.token("ann@acme", WRITE);
        let counts = async || {
            let mut reads = 0;
            for token in ["", &own] {
                for filter in [json!({}), json!({ "status": "ACTIVE" }), json!({ "createdBy": "ann" })] {
                    for query in [COUNTED, FACETED, BY_ORGANIZATION] {
                        count(&server, token, query, filter.clone()).await;
                        let statements = server.reads.lock().unwrap();
                        let of_changes = statements.iter().filter(|read| read.sql.contains("category_before"));
                        reads += of_changes.count();
                    }
                }
            }
            reads
        };
        assert_eq!(counts().await, 0);
        let wiki = server.create(&own, "Wiki", "PRIVATE").await;
        server.create(&own, "Notes", "ORGANIZATION").await;
        assert_eq!(counts().await, 1);
        assert_eq!(counts().await, 0);
        server.mutate(&own, DELETE, json!({ "id": wiki })).await;
        assert_eq!(counts().await, 1);
    }

    async fn organizations_follow_the_changes(server: Server) {
        let (own, root) = (server.token("ann@acme", WRITE), server.token("root", &["catalog:admin"]));
        let counts = async |most: usize| {
            let mut facets = Vec::new();
            for token in ["", &own, &root] {
                for filter in [json!({}), json!({ "organizationId": ["acme", null], "type": "CUSTOM" })] {
                    let (_, counted) = count(&server, token, BY_ORGANIZATION, filter.clone()).await;
                    assert!(counted <= most, "{counted}: {filter}");
                    let data = server.fresh(token, BY_ORGANIZATION, json!({ "filter": filter })).await;
                    facets.push(data["personalConnectors"]["facets"].clone());
                }
            }
            facets
        };
        server.insert(vec![custom("p1", "One", "eve@other", Private)]).await;
        let before = counts(2).await;
        assert_eq!(counts(0).await, before);
        let wiki = server.create(&own, "Wiki", "ORGANIZATION").await;
        let created = counts(0).await;
        let other = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        let anew = async |token: &str| {
            let data = other.fresh(token, BY_ORGANIZATION, json!({ "filter": {} })).await;
            data["personalConnectors"]["facets"].clone()
        };
        let counted = [anew("").await, anew(&own).await, anew(&root).await];
        assert_eq!([&created[0], &created[2], &created[4]], counted.each_ref());
        let of = |facets: &Value| facets["organizationId"].clone();
        assert_eq!(of(&created[0]), of(&before[0]), "others do not see the organization");
        assert_eq!(of(&created[2])[0], json!({ "value": "acme", "count": 1 }));
        // Equal groups are ordered by id, and empty ones are gone.
        let names = |facets: &Value| -> Vec<Value> {
            let facets = facets["organizationId"].as_array().unwrap().iter();
            facets.map(|facet| facet["value"].clone()).collect()
        };
        assert_eq!(names(&created[4]), [json!("acme"), json!("other"), Value::Null]);
        server.mutate(&own, DELETE, json!({ "id": wiki })).await;
        assert_eq!(counts(0).await, before);

        // A hundred organizations are counted separately, and no more.
        let rows = (0..100).map(|i| {
            custom(&format!("o{i}"), &format!("O {i}"), &format!("ann@org{i}"), Private)
        });
        server.insert(rows.collect()).await;
        let facets = counts(2).await;
        assert_eq!((&facets[4]["organizationsLeftOut"], facets[4]["organizationId"].as_array().unwrap().len()),
            (&json!(1), 101));
        assert_eq!(facets[4], anew(&root).await);
        server.insert(vec![custom("p2", "Two", "eve@other", Private)]).await;
        assert_eq!(count(&server, &root, BY_ORGANIZATION, json!({})).await.1, 1);
        assert_eq!(counts(2).await[4], anew(&root).await);
    }

    /// A check may change a list by its time alone, without a new state of the catalogue.
    async fn lists_by_the_times_of_checks_are_counted_each_time(server: Server) {
        let row = official("a", "A");
        server.insert(vec![row.clone()]).await;
        let check = async |step| {
            let found = Inspection {
                checked_at: after(step),
                ..found(Outcome::Open)
            };
            server.record(vec![(row.id.clone(), found)]).await;
        };
        check(1).await;
        let filters = [
            json!({ "checkedAt": { "gte": time(2) } }),
            json!({ "not": { "checkedAt": { "lt": time(2) } }, "outcome": "OPEN" }),
            json!({ "or": [{ "and": [{ "checkedAt": { "gte": time(2) } }] }] }),
        ];
        for query in [COUNTED, FACETED] {
            for filter in &filters {
                assert_eq!(
                    count(&server, "", query, filter.clone()).await,
                    (0, 1),
                    "{filter}"
                );
            }
        }
        let before = server.state().await;
        check(3).await;
        assert_eq!(server.state().await, before);
        for query in [COUNTED, FACETED] {
            for filter in &filters {
                assert_eq!(
                    count(&server, "", query, filter.clone()).await,
                    (1, 1),
                    "{filter}"
                );
            }
        }
    }

    async fn a_change_of_another_process_is_counted(server: Server) {
        let other = Server::start(server.storage.clone(), &[], server.clock.clone()).await;
        let (before, _) = count(&server, "", COUNTED, json!({})).await;
        for more in 1..10 {
            other
                .insert(vec![official(&format!("a{more}"), &format!("A {more}"))])
                .await;
            // Without a wait: the state is the snapshot's, not the polled one.
            assert_eq!(
                count(&server, "", COUNTED, json!({})).await,
                (before + more, 0)
            );
        }
    }
}
