//! Transactions that fail because of another one run again, unnoticed by clients.

use std::{sync::Arc, time::Duration};

use personal_connectors::{clock::Clock, store::Candidate};
use serde_json::{Value, json};

use super::{run_in, run_sql, session, traffic::CREATE};
use crate::support::{
    clients::writer::{DELETE, SET_STATUS, UPDATE},
    harness::{Server, TestDatabase, fixed_clock, rows},
    invariants::assert_whole,
    objects::objects,
    process::{Serving, program_on, run_with, token},
};

/// Makes changes of connectors fail with a code, depending on the number of changes so far.
fn trigger(code: &str, fails: &str, when: &str) -> String {
    trigger_on("personal_connector", code, fails, when)
}

/// The same for changes of a table's rows.
fn trigger_on(table: &str, code: &str, fails: &str, when: &str) -> String {
    format!(
        "CREATE SEQUENCE changes_tried;
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n bigint := nextval('changes_tried');
        BEGIN IF {fails} THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = '{code}'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE OR DELETE ON {table}
            {when} FOR EACH ROW EXECUTE FUNCTION fail();"
    )
}

/// Checks that clients do not notice when every second statement or COMMIT fails with this code.
async fn is_not_noticed(code: &str, when: &str) {
    let storage = TestDatabase::postgres().await;
    let server = Serving::start(program_on(&storage, &[]));
    run_sql(&storage.url, &trigger(code, "n % 2 = 1", when)).await;
    let ann = token("ann@acme", "connectors:write");
    let ask = async |mutation: &str, input: Value| {
        let data = server.data(&ann, mutation, json!({ "input": input })).await;
        assert_eq!(data["done"]["userErrors"], json!([]), "{data}");
        data["done"]["personalConnector"]["id"].clone()
    };
    let id = ask(
        CREATE,
        json!({ "name": "one", "serverUrl": "https://x.example.com", "idempotencyKey": "k" }),
    )
    .await;
    ask(UPDATE, json!({ "id": id, "name": "two" })).await;
    ask(SET_STATUS, json!({ "id": id, "status": "DEPRECATED" })).await;
    ask(DELETE, json!({ "id": id })).await;
    let tried = rows(&storage.url, "SELECT last_value FROM changes_tried").await;
    assert_eq!(tried, "8\n");
    let events = "SELECT COUNT(*) AS n FROM connector_event WHERE type = 'custom'";
    assert_eq!(rows(&storage.url, events).await, "4\n");
    assert_whole(&storage).await;
    let done = server.stop();
    assert!(!done.err.contains("ERROR"), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn of_a_statement_are_not_noticed() {
    is_not_noticed("40001", "NOT DEFERRABLE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn of_a_commit_are_not_noticed() {
    is_not_noticed("40P01", "DEFERRABLE INITIALLY DEFERRED").await;
}

/// The first change of each mutation of many connectors fails. A retried one counts as one inspection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn of_many_connectors_are_not_noticed() {
    let storage = Arc::new(TestDatabase::postgres().await);
    let server = Server::start(storage.clone(), &["--inspection-rate", "1"], fixed_clock()).await;
    let (ann, root) = (
        server.token("ann@acme", &["connectors:write"]),
        server.token("root", &["connectors:write", "catalog:admin"]),
    );
    let id = server.create(&ann, "Wiki", "PRIVATE").await;
    let mut monitor = Candidate::new(Duration::from_hours(1), Clock::system());
    let lease = server.database.take_lease(&mut monitor).await;
    lease.unwrap().unwrap();
    for (table, mutation, token, input) in [
        (
            "personal_connector",
            "setConnectorStatuses",
            &ann,
            json!({ "ids": id, "status": "MAINTENANCE" }),
        ),
        (
            "personal_connector",
            "updateCatalogConnectors",
            &root,
            json!({ "ids": "pcon_jira", "category": "DESIGN" }),
        ),
        (
            "connector_health",
            "checkConnectors",
            &ann,
            json!({ "ids": id }),
        ),
        (
            "personal_connector",
            "deleteCustomConnectors",
            &ann,
            json!({ "ids": id }),
        ),
    ] {
        let fails = trigger_on(table, "40001", "n = 1", "NOT DEFERRABLE");
        run_sql(&storage.url, &fails).await;
        let (first, rest) = mutation.split_at(1);
        let document = format!(
            "mutation($input: {}{rest}Input!) {{ {mutation}(input: $input) {{ results {{ outcome }} }} }}",
            first.to_uppercase()
        );
        let data = server
            .data(token, &document, json!({ "input": input }))
            .await;
        let done = json!([{ "outcome": "DONE" }]);
        assert_eq!(data[mutation]["results"], done, "{mutation}");
        let tried = rows(&storage.url, "SELECT last_value FROM changes_tried").await;
        assert_ne!(tried, "1\n", "{mutation} failed once");
        let undo = format!(
            "DROP TRIGGER fail ON {table}; DROP FUNCTION fail; DROP SEQUENCE changes_tried"
        );
        run_sql(&storage.url, &undo).await;
    }
    assert_whole(&storage).await;
}

/// Each batch of an import fails once, and its client does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn of_an_import_are_not_noticed() {
    const OBJECTS: usize = 1200;
    let storage = TestDatabase::postgres().await;
    Serving::on(&storage).stop().ok();
    let once = "n IN (100, 700, 1800)";
    run_sql(&storage.url, &trigger("40001", once, "NOT DEFERRABLE")).await;
    let import = program_on(&storage, &["import", "--organization", "acme"]);
    run_with(import, &objects(OBJECTS)).ok();
    let count = "SELECT COUNT(*) AS n FROM personal_connector WHERE source = 'import'";
    assert_eq!(rows(&storage.url, count).await, format!("{OBJECTS}\n"));
    assert_whole(&storage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn that_do_not_end_are_told() {
    let storage = TestDatabase::postgres().await;
    let server = Serving::start(program_on(&storage, &[]));
    run_sql(&storage.url, &trigger("40001", "true", "NOT DEFERRABLE")).await;
    let ann = token("ann@acme", "connectors:write");
    let input = json!({ "name": "one", "serverUrl": "https://x.example.com" });
    let answer = server.ask(&ann, CREATE, json!({ "input": input })).await;
    let error = &answer.unwrap()["errors"][0];
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{error}");
    server.stop().ok();
}

/// Two sessions lock the same rows in different order, and PostgreSQL ends one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn with_an_operators_session_are_not_noticed() {
    let storage = TestDatabase::postgres().await;
    let server = Serving::start(program_on(&storage, &["--database-wait", "10s"]));
    let ann = token("ann@acme", "connectors:write");
    let input = json!({ "name": "one", "serverUrl": "https://x.example.com" });
    let made = server.data(&ann, CREATE, json!({ "input": input })).await;
    let id = made["done"]["personalConnector"]["id"].clone();
    let mut operator = session(&storage.url).await;
    // The operator's session has locked the connector and waits for the state. The service's update has the state and
    // waits for the connector.
    let lock = format!(
        "SET deadlock_timeout = '1min'; BEGIN; SELECT 1 FROM personal_connector WHERE id = '{}' FOR UPDATE",
        id.as_str().unwrap()
    );
    run_in(&mut operator, &lock).await;
    let rename = json!({ "input": { "id": id, "name": "two" } });
    let (renamed, ()) = tokio::join!(server.data(&ann, UPDATE, rename), async {
        let waits = "SELECT COUNT(*) AS n FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let limit = Duration::from_secs(10);
        crate::support::waiting::within(limit, "the update waits", async || {
            rows(&storage.url, waits).await == "1\n"
        })
        .await;
        run_in(
            &mut operator,
            "SELECT 1 FROM catalog_state FOR UPDATE; COMMIT",
        )
        .await;
    });
    assert_eq!(renamed["done"]["userErrors"], json!([]));
    server.stop().ok();
}
