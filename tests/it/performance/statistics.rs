//! Imports and migrations that write much gather statistics before they end.

use serde_json::json;

use crate::{
    on_both,
    support::{
        harness::{Server, TestDatabase, fixed_clock},
        mutations::CATALOG,
        objects::objects,
        process::{program_on, run, run_with},
    },
};

/// The tables with statistics. PostgreSQL is prevented from gathering any by itself.
async fn analyzed(server: &Server) -> String {
    if server.storage.url.starts_with("postgres") {
        let tables = "SELECT DISTINCT tablename::text AS name FROM pg_stats WHERE schemaname = current_schema() ORDER \
                      BY name";
        return server.rows(tables).await;
    }
    let has_any = "SELECT COUNT(*) AS n FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    if server.rows(has_any).await == "0\n" {
        return String::new();
    }
    server
        .rows("SELECT DISTINCT tbl AS name FROM sqlite_stat1 ORDER BY name")
        .await
}

/// Prevents PostgreSQL from gathering statistics by itself: of every table, because any may have changed much.
async fn keep_from_autovacuum(server: &Server) {
    if server.storage.url.starts_with("postgres") {
        let all = "DO $$ DECLARE name text; BEGIN
                FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
                    EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = false)', name);
                END LOOP;
            END $$";
        server.rows(all).await;
    }
}

fn import(storage: &TestDatabase, flags: &[&str], objects: &str) -> String {
    let mut import = program_on(storage, &["import", "--organization", "acme"]);
    import.args(flags);
    run_with(import, objects).ok()
}

fn has(found: &str) -> bool {
    ["personal_connector", "connector_event", "connector_health"]
        .iter()
        .all(|table| found.lines().any(|line| line == *table))
}

on_both! {
    async fn an_import_of_many_gathers_statistics_and_one_of_few_does_not(server: Server) {
        keep_from_autovacuum(&server).await;
        import(&server.storage, &[], &objects(999));
        import(&server.storage, &["--dry-run"], &objects(3000));
        assert_eq!(analyzed(&server).await, "");
        import(&server.storage, &[], &objects(1998));
        assert_eq!(analyzed(&server).await, "");
        import(&server.storage, &[], &objects(2998));
        let found = analyzed(&server).await;
        assert!(has(&found), "{found}");
        run(program_on(&server.storage, &["check-database"])).ok();
        // Open readers continue, and so does a start.
        let list = "{ personalConnectors(filter: {status: ACTIVE}, orderBy: {field: CREATED_AT, direction: DESC}, \
                    first: 2) { nodes { id } } }";
        let before = server.data("", list, json!({})).await;
        let again = Server::start(server.storage.clone(), &[], fixed_clock()).await;
        assert_eq!(again.data("", list, json!({})).await, before);
    }

    async fn a_mutation_that_imports_many_gathers_statistics(server: Server) {
        keep_from_autovacuum(&server).await;
        let root = server.token("root@acme", CATALOG);
        let document = "mutation($content: String!) { importConnectors(input: {content: $content, organizationId: \
            \"acme\", visibility: ORGANIZATION}) {
            report { created lines } userErrors { message } } }";
        let data = server
            .data(&root, document, json!({ "content": objects(1000) }))
            .await;
        assert_eq!(
            data["importConnectors"]["report"]["created"], 1000,
            "{data}"
        );
        let found = analyzed(&server).await;
        assert!(has(&found), "{found}");
    }

    async fn a_migration_and_a_first_catalogue_of_many_gather_statistics(server: Server) {
        let storage = server.storage.clone();
        keep_from_autovacuum(&server).await;
        import(&storage, &[], &objects(999));
        let names = migration::names();
        let down = ["migrate", "--to", &names[names.len() - 2]];
        run(program_on(&storage, &down)).ok();
        run(program_on(&storage, &["migrate"])).ok();
        // With the built-in entries there are a thousand.
        let found = analyzed(&server).await;
        assert!(has(&found), "{found}");

        let fresh = if storage.url.starts_with("postgres") {
            TestDatabase::postgres().await
        } else {
            TestDatabase::sqlite()
        };
        run(program_on(&fresh, &["migrate"])).ok();
        let catalogue: Vec<_> = (0..1000)
            .map(|n| json!({ "id": format!("pcon_{n}"), "object": "personal_connector", "name": format!("Tool {n}"),
                "type": "official", "connectorId": format!("tool{n}"), "status": "active" }))
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!(catalogue).to_string()).unwrap();
        let started = Server::start(
            fresh.into(),
            &["--catalog", file.path().to_str().unwrap()],
            fixed_clock(),
        )
        .await;
        let found = analyzed(&started).await;
        assert!(has(&found), "{found}");
    }
}
