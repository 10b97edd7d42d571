//! The number of statements of a response.

use entity::{ConnectorStatus, personal_connector::Model};
use serde_json::json;

use crate::{
    on_both,
    support::{
        checks::offering,
        connectors::{ids, official},
        harness::Server,
    },
};

/// Operations, and the number of statements that read for them.
const COUNTS: &[(&str, usize)] = &[
    ("{ viewer { userId } }", 0),
    (
        "{ personalConnectors { nodes { id createdBy viewerCanUpdate } edges { cursor node { name } \
         } pageInfo { hasNextPage } } }",
        1,
    ),
    // A search of the fields and of the tools.
    (
        "{ personalConnectors(search: \"a\", orderBy: {field: NAME}, filter: {status: ACTIVE}, last: 3) { nodes { id } \
         } }",
        2,
    ),
    ("{ personalConnectors { totalCount } }", 1),
    (
        "{ personalConnectors { nodes { id } facets { category { count } } } }",
        2,
    ),
    (
        "{ personalConnectors { totalCount facets { type { count } status { count } } nodes { id } } }",
        2,
    ),
    (
        "{ personalConnectors { facets { type { count } } again: facets { status { count } } totalCount } }",
        1,
    ),
    // Organizations have their own count, only if they are selected.
    (
        "{ personalConnectors { nodes { id } facets { organizationId { count } } } }",
        2,
    ),
    (
        "{ personalConnectors { nodes { id } facets { ...F } } } fragment F on PersonalConnectorFacets { \
         organizationsLeftOut }",
        2,
    ),
    (
        "{ personalConnectors { totalCount facets { organizationId { count } organizationsLeftOut again: \
         organizationId { value } } } }",
        2,
    ),
    (
        "{ personalConnectors { totalCount facets { type { count } organizationId { count } outcome { count } } } }",
        2,
    ),
    (
        "{ personalConnectors { facets { type { count } } by: facets { organizationId { count } } again: facets { \
         organizationsLeftOut } } }",
        2,
    ),
    (
        "{ personalConnectors(search: \"a\", orderBy: {field: NAME}) { facets { organizationId { count } } } }",
        2,
    ),
    ("{ personalConnectors { facets { __typename } } }", 0),
    // Facets in a fragment are detected.
    (
        "{ personalConnectors { totalCount ...Facets } } fragment Facets on \
         PersonalConnectorConnection { facets { type { count } } }",
        1,
    ),
    (
        "{ personalConnectors { totalCount ... on PersonalConnectorConnection { facets { type { count } } } } }",
        1,
    ),
    (
        "{ personalConnectors { totalCount facets @skip(if: true) { type { count } } } }",
        1,
    ),
    // One for each level, for any number of connectors.
    ("{ personalConnectors { nodes { replacedBy { id } } } }", 2),
    (
        "{ personalConnectors { nodes { replacedBy { name replacedBy { id } } } } }",
        3,
    ),
    (
        "{ personalConnectors { nodes { replacedBy { name replacedBy { replacedBy { id } } } } } }",
        4,
    ),
    (
        "{ personalConnectors { nodes { a: replacedBy { id } b: replacedBy { name } } edges { node \
         { replacedBy { id } } } } }",
        2,
    ),
    (
        "{ personalConnectors { totalCount facets { type { count } } nodes { replacedBy { id } } } }",
        3,
    ),
    // The last of the chain has no replacement, which needs no statement.
    (
        "{ personalConnectors(filter: {status: ACTIVE}) { nodes { replacedBy { id } } } }",
        1,
    ),
    // Health takes one statement, and so does each page of tools, each history and each window.
    (
        "{ personalConnectors { nodes { health { outcome message serverInfo { name } } } } }",
        2,
    ),
    (
        "{ personalConnectors { nodes { a: health { outcome } b: health { uptime again: uptime(hours: 24) } } } }",
        3,
    ),
    (
        "{ personalConnectors { nodes { health { uptime day: uptime(hours: 25) history { nodes { outcome } } a: \
         history(first: 20) { nodes { message } } b: history(first: 1) { nodes { message } } } } } }",
        6,
    ),
    (
        "{ personalConnectors { nodes { health { uptime uptimeHours since buckets { checks } day: buckets(hours: 24, \
         count: 24) { from } few: buckets(count: 2) { working } history(range: {lt: \"2030-01-01T00:00:00Z\"}) { nodes \
         { outcome } } } } } }",
        6,
    ),
    (
        "{ personalConnectors { nodes { tools { nodes { name } } a: tools(first: 20) { edges { cursor } } b: \
         tools(search: \"x\") { nodes { name } totalCount } c: tools { totalCount } } } }",
        5,
    ),
    (
        "{ personalConnectors { nodes { replacedBy { health { outcome } } health { outcome } } } }",
        4,
    ),
    (
        "{ nodes(ids: [\"pcon_a1\", \"pcon_b1\"]) { ... on PersonalConnector { health { outcome } tools { nodes { name \
         } } } } }",
        3,
    ),
    // The state of a cursor is not counted.
    ("{ personalConnectors { nodes { id } changesCursor } }", 1),
    (
        "{ personalConnectorChanges { edges { cursor node { kind actor } } pageInfo { endCursor } } }",
        1,
    ),
    (
        "{ personalConnectorChanges { edges { node { personalConnector { id } } } nodes { \
         personalConnector { name } } } }",
        2,
    ),
    (
        "{ personalConnectorChanges { nodes { personalConnector { replacedBy { id } } } } }",
        3,
    ),
    // A page without changes reads no connectors.
    (
        "{ personalConnectorChanges(first: 0) { nodes { personalConnector { id } } } }",
        1,
    ),
    // The newest ones are read by the index of connectors, for a whole list at once.
    (
        "{ personalConnectors { nodes { lastChange { kind actor changes { field before after } personalConnector { \
         name } } } } }",
        2,
    ),
    (
        "{ personalConnectors { nodes { changes { nodes { kind changes { before } } } a: changes(first: 20) { edges { \
         cursor } } b: changes(last: 1) { nodes { kind } } } } }",
        3,
    ),
    (
        "{ personalConnectorChanges(last: 3) { nodes { kind } } }",
        1,
    ),
    ("{ node(id: \"pcon_a1\") { id } }", 1),
    ("{ node(id: \"not an id\") { id } }", 0),
    (
        "{ personalConnector(id: \"pcon_a1\") { replacedBy { id } } }",
        2,
    ),
    (
        "{ nodes(ids: [\"pcon_a1\", \"pcon_b1\", \"pcon_a1\", \"pcon_none\", \"x\"]) { id } }",
        1,
    ),
    (
        "{ nodes(ids: [\"pcon_a1\", \"pcon_b1\", \"pcon_a2\"]) { ... on PersonalConnector { \
         replacedBy { replacedBy { id } } } } }",
        3,
    ),
    ("{ nodes(ids: []) { id } }", 0),
    (
        "{ a: personalConnectors { nodes { id } } b: personalConnectors(first: 1) { nodes { id } } \
         node(id: \"pcon_a1\") { id } }",
        3,
    ),
];

/// Changes the catalogue twice and prunes the first change, so that each count is computed again.
async fn change_untold(server: &Server, n: usize, replacement: Option<&str>) {
    let row = |id: String| Model {
        status: replacement.map_or(ConnectorStatus::Active, |_| ConnectorStatus::Deprecated),
        replaced_by_id: replacement.map(str::to_owned),
        ..official(&id, "z")
    };
    server.insert(vec![row(format!("y{n}"))]).await;
    let forgets = "UPDATE catalog_state SET forgotten = state, forgotten_mark = \
                   (SELECT mark FROM connector_event WHERE number = state)";
    server.rows(forgets).await;
    server.rows("DELETE FROM connector_event").await;
    server.insert(vec![row(format!("z{n}"))]).await;
    server.forget_reads();
}

on_both! {
    async fn an_answer_makes_one_statement_and_one_for_each_part_of_it(server: Server) {
        server.clear().await;
        let by = |id: &str, replacement: &str| Model {
            status: ConnectorStatus::Deprecated,
            replaced_by_id: Some(format!("pcon_{replacement}")),
            ..official(id, id)
        };
        // Three chains of four: a1 → a2 → a3 → a4.
        let mut rows = Vec::new();
        for chain in ["a", "b", "c"] {
            rows.push(official(&format!("{chain}4"), chain));
            rows.extend((1..4).map(|i| by(&format!("{chain}{i}"), &format!("{chain}{}", i + 1))));
        }
        let rows = server.insert(rows).await;
        let checks = rows
            .into_iter()
            .map(|row| (row.id, offering(&[("add", "Adds.")])));
        server.record(checks.collect()).await;
        for (n, (query, count)) in COUNTS.iter().enumerate() {
            change_untold(&server, n, Some("pcon_a4")).await;
            server.data("", query, json!({})).await;
            let reads = server.reads.lock().unwrap().clone();
            assert_eq!(reads.len(), *count, "{query}\n{reads:#?}");
        }
    }

    /// SQLite's index finds each tier separately, PostgreSQL's all of them except the tools'.
    async fn a_search_is_read_as_far_as_the_page_goes(server: Server) {
        server.clear().await;
        let says = |id: &str| Model {
            description: Some("calls".to_owned()),
            ..official(id, id)
        };
        let calls = |id: &str| official(id, "For two calls");
        server
            .insert(vec![
                official("a", "Calls"),
                calls("b"),
                calls("c"),
                says("d"),
                says("e"),
            ])
            .await;
        let is_sqlite = server.storage.url.starts_with("sqlite");
        for (page, found, sqlite, postgres) in [
            ("first: 1", &["a"][..], 2, 1),
            ("first: 2", &["a", "b"], 2, 1),
            ("first: 3", &["a", "b", "c"], 4, 1),
            ("first: 9", &["a", "b", "c", "d", "e"], 5, 2),
            ("last: 1", &["e"], 2, 2),
            ("last: 2", &["d", "e"], 4, 2),
        ] {
            server.forget_reads();
            let query =
                format!("{{ personalConnectors(search: \"calls\", {page}) {{ nodes {{ id }} }} }}");
            let data = server.data("", &query, json!({})).await;
            assert_eq!(ids(&data["personalConnectors"]), found, "{page}");
            let reads = server.reads.lock().unwrap().len();
            assert_eq!(reads, if is_sqlite { sqlite } else { postgres }, "{page}");
        }
    }

    /// It is in another table, which lists without such fields do not read.
    async fn outcomes_are_looked_up_where_they_are_asked_for(server: Server) {
        let asked = [
            (
                "{ personalConnectors { totalCount facets { type { count } } } }",
                false,
            ),
            (
                "{ personalConnectors(filter: {toolName: \"add\"}) { totalCount facets { type { count } } } }",
                false,
            ),
            (
                "{ personalConnectors { totalCount facets { outcome { count } } } }",
                true,
            ),
            (
                "{ personalConnectors { facets { ... @skip(if: false) { o: outcome { count } } } } }",
                true,
            ),
            (
                "{ personalConnectors { ...F } } fragment F on PersonalConnectorConnection { facets { outcome { value \
                 } } }",
                true,
            ),
            (
                "{ personalConnectors(filter: {outcome: OPEN}) { totalCount facets { type { count } } } }",
                true,
            ),
            (
                "{ personalConnectors(filter: {outcome: OPEN}, first: 0) { totalCount } }",
                true,
            ),
        ];
        for (n, (query, expected)) in asked.into_iter().enumerate() {
            change_untold(&server, n, None).await;
            server.data("", query, json!({})).await;
            let reads = server.reads.lock().unwrap().clone();
            let counting = reads
                .iter()
                .find(|read| read.sql.contains("COUNT(*)"))
                .unwrap();
            assert_eq!(
                counting.sql.contains("connector_health"),
                expected,
                "{query}\n{counting}"
            );
        }
    }

    async fn a_chain_is_followed_to_its_end(server: Server) {
        server.clear().await;
        let deprecated = |id: &str, by: &str| Model {
            status: ConnectorStatus::Deprecated,
            replaced_by_id: Some(format!("pcon_{by}")),
            ..official(id, id)
        };
        server
            .insert(vec![
                deprecated("a", "b"),
                deprecated("b", "c"),
                official("c", "c"),
            ])
            .await;
        let query = "{ personalConnectors { nodes { id replacedBy { id replacedBy { id replacedBy { id } } } } } }";
        let data = server.data("", query, json!({})).await;
        let c = json!({ "id": "pcon_c", "replacedBy": null });
        let b = json!({ "id": "pcon_b", "replacedBy": c });
        assert_eq!(data["personalConnectors"]["nodes"][0]["replacedBy"], b);
        assert_eq!(
            data["personalConnectors"]["nodes"][1]["replacedBy"]["id"],
            "pcon_c"
        );
        assert_eq!(
            data["personalConnectors"]["nodes"][2]["replacedBy"],
            json!(null)
        );
    }
}
