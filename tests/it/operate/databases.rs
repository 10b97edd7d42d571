//! The database of each command, and the files that it creates or leaves alone.

use std::{fs, path::Path, process::Command, sync::Arc};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::{
    on_both_databases,
    support::{
        checks::offering,
        harness::{Server, TestDatabase, fixed_clock, rows},
        mutations::{CREATE, DELETE, WRITE, draft, text},
        process::{SECRET, Serving, program, program_on, run},
    },
};

/// All commands that use a database, with their arguments.
const COMMANDS: [&[&str]; 8] = [
    &["serve"],
    &["migrate"],
    &["import", "objects.json"],
    &["import", "--dry-run", "objects.json"],
    &["backup", "copy.db"],
    &["export"],
    &["check"],
    &["check-database"],
];

fn command(line: &[&str], folder: &Path, url: &str) -> Command {
    let mut command = program(line);
    command
        .current_dir(folder)
        .env("CONNECTORS_DATABASE_URL", url)
        .env("CONNECTORS_LISTEN", "127.0.0.1:0")
        .env("CONNECTORS_JWT_SECRET", SECRET);
    command
}

/// Runs every command on another program's database, and checks their errors.
fn all_refuse(url: &str, location: &str, found: &str) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("objects.json"), "[]").unwrap();
    for line in COMMANDS {
        if line[0] == "backup" && url.starts_with("postgres") {
            continue;
        }
        let done = run(command(line, folder.path(), url));
        // The service writes the location to its log instead.
        let named = (line != ["serve"]).then_some(location);
        assert_eq!(done.database.as_deref(), named, "{line:?}");
        let told = done.failed(1);
        let error = told.lines().find_map(|line| line.strip_prefix("error: "));
        let error = error.unwrap_or_else(|| panic!("{line:?}: {told}"));
        assert!(error.contains(location), "{line:?}: {error}");
        for part in ["is another program's", "Name an empty", found] {
            assert!(error.contains(part), "{line:?}: {part}: {error}");
        }
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{location}");
}

async fn make(file: &Path, sql: &str) {
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_another_program_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("theirs.db");
    let many = "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE posts (id INTEGER);
        CREATE TABLE likes (id INTEGER); CREATE TABLE tags (id INTEGER); INSERT INTO users DEFAULT VALUES";
    let sea_orm = "CREATE TABLE seaql_migrations (version TEXT, applied_at INTEGER);
        INSERT INTO seaql_migrations VALUES ('m20220101_000001_create_table', 1); CREATE TABLE cake (id INTEGER)";
    // The last process that closes the database deletes its log.
    let wal = "PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER)";
    for (sql, found) in [
        (many, "the tables or views likes, posts, tags and 1 more"),
        (wal, "the table or view users. "),
        ("CREATE VIEW v AS SELECT 1 AS one", "the table or view v. "),
        (
            "CREATE TABLE seaql_migrations (id INTEGER)",
            "the table or view seaql_migrations. ",
        ),
        (sea_orm, "the migration m20220101_000001_create_table"),
    ] {
        make(&file, sql).await;
        let before = fs::read(&file).unwrap();
        let path = file.to_str().unwrap();
        all_refuse(&format!("sqlite://{path}"), path, found);
        assert_eq!(fs::read(&file).unwrap(), before, "the file was changed");
        // No secret is created for it either.
        let mut serve = program(&["serve", "--database-url", &format!("sqlite://{path}")]);
        serve.current_dir(&folder);
        assert!(run(serve).failed(1).contains(found));
        let names: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        fs::remove_file(&file).unwrap();
    }
}

/// A service that cannot start creates no database, and `migrate` leaves one file.
#[test]
fn a_start_that_fails_makes_no_database_and_a_migration_one_file() {
    let folder = TempDir::new().unwrap();
    let names = || {
        let names = fs::read_dir(&folder).unwrap();
        let mut names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for line in [
        &["serve", "--catalog", "none.json"][..],
        &["serve", "--trusted-documents", "none.json"],
        &["import", "none.json"],
    ] {
        let done = run(command(line, folder.path(), "sqlite://new.db"));
        assert!(!done.out.contains("GraphQL at"), "{line:?}");
        done.failed(1);
        assert!(names().is_empty(), "{line:?}: {:?}", names());
    }
    run(command(&["migrate"], folder.path(), "sqlite://new.db")).ok();
    assert_eq!(names(), ["new.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_is_taken_and_an_own_one_may_have_more_tables() {
    let storage = TestDatabase::sqlite();
    let path = storage.url.strip_prefix("sqlite://").unwrap().to_owned();
    fs::write(&path, "").unwrap();
    let done = run(program_on(&storage, &["migrate"]));
    assert_eq!(done.database.as_ref(), Some(&path), "{}", done.err);
    done.ok();
    make(Path::new(&path), "CREATE TABLE notes (id INTEGER)").await;
    Serving::on(&storage).stop().ok();
    run(program_on(&storage, &["export"])).ok();
}

/// Read-only commands create neither files nor folders. Commands that write create them and report it.
#[test]
fn only_commands_that_write_make_a_database() {
    let folder = TempDir::new().unwrap();
    let url = "sqlite://new/typo.db";
    let path = folder.path().join("new/typo.db");
    let shown = path.display().to_string();
    for line in [
        &["export"][..],
        &["check"],
        &["check-database"],
        &["backup", "copy.db"],
        &["import", "--dry-run", "/dev/null"],
        &["serve", "--read-only"],
    ] {
        let done = run(command(line, folder.path(), url));
        let named = (line[0] != "serve").then_some(&shown);
        assert_eq!(done.database.as_ref(), named, "{line:?}");
        let told = done.failed(1);
        for part in [&shown, "Correct the path in --database-url"] {
            assert!(told.contains(part), "{line:?}: {told}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{line:?}");
    }
    for mode in ["rw", "ro"] {
        let url = format!("{url}?mode={mode}");
        let done = run(command(&["migrate"], folder.path(), &url));
        assert_eq!(done.database.as_ref(), Some(&shown), "{mode}");
        assert!(
            done.failed(1)
                .contains("Correct the path in --database-url"),
            "{mode}"
        );
    }
    fs::write(folder.path().join("objects.json"), "[]").unwrap();
    for line in [&["migrate"][..], &["import", "objects.json"]] {
        let done = run(command(line, folder.path(), url));
        let named = format!("{shown} (a new file)");
        assert_eq!(done.database, Some(named), "{line:?}: {}", done.err);
        done.ok();
        assert!(path.exists());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}

/// Read-only commands do not change the schema either, because the running service may be older.
#[tokio::test]
async fn commands_that_read_leave_an_old_schema() {
    let storage = TestDatabase::sqlite();
    let first = migration::names().remove(0);
    run(program_on(&storage, &["migrate", "--to", &first])).ok();
    for line in [
        &["export"][..],
        &["check"],
        &["import", "--dry-run", "/dev/null"],
    ] {
        let told = run(program_on(&storage, line)).failed(1);
        assert!(told.contains("run the command migrate"), "{told}");
    }
    let applied = rows(&storage.url, "SELECT version FROM seaql_migrations").await;
    assert_eq!(applied.trim(), first);
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    connection.execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn a_postgres_of_another_program_stays_as_it_is() {
    let tables = "SELECT string_agg(relname::text, ' ' ORDER BY relname) AS names FROM pg_class
        WHERE relnamespace = 'public'::regnamespace";
    for (sql, found) in [
        (
            "CREATE TABLE users (id integer); CREATE TABLE posts (id integer) PARTITION BY LIST (id)",
            "the tables or views posts, users. ",
        ),
        (
            "CREATE TABLE seaql_migrations (id integer)",
            "the table or view seaql_migrations. ",
        ),
        (
            "CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW w AS SELECT 1 AS one",
            "the tables or views v, w. ",
        ),
        (
            "CREATE TABLE seaql_migrations (version text, applied_at bigint);
                INSERT INTO seaql_migrations VALUES ('m20220101_000001_create_table', 1)",
            "the migration m20220101_000001_create_table",
        ),
    ] {
        let storage = TestDatabase::postgres().await;
        execute(&storage.url, sql).await;
        let before = rows(&storage.url, tables).await;
        let location = storage.url.rsplit_once('@').unwrap().1;
        all_refuse(&storage.url, location, found);
        assert_eq!(rows(&storage.url, tables).await, before);

        // A separate schema is as good as a separate database.
        let own = format!("{}?options=-csearch_path%3Dcatalogue", storage.url);
        let own = TestDatabase::at(own);
        let told = run(program_on(&own, &["migrate"])).failed(1);
        assert!(told.contains("CREATE SCHEMA NAME"), "{told}");
        execute(&storage.url, "CREATE SCHEMA catalogue").await;
        run(program_on(&own, &["migrate"])).ok();
        Serving::on(&own).stop().ok();
        assert_eq!(rows(&storage.url, tables).await, before);
    }
}

/// Tables and views of extensions, and tables of other schemas, do not belong to another program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn what_extensions_make_is_no_other_program() {
    let storage = TestDatabase::postgres().await;
    let sql = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; CREATE TABLE spatial_ref_sys (id integer);
        ALTER EXTENSION pg_stat_statements ADD TABLE spatial_ref_sys; CREATE VIEW geometry_columns AS SELECT 1 AS one;
        ALTER EXTENSION pg_stat_statements ADD VIEW geometry_columns;
        CREATE SCHEMA shop; CREATE TABLE shop.users (id integer)";
    execute(&storage.url, sql).await;
    run(program_on(&storage, &["migrate"])).ok();
    Serving::on(&storage).stop().ok();
}

/// Returns the schema as text: tables and indexes, or constraints and indexes.
async fn schema(url: &str) -> String {
    let sql = if url.starts_with("sqlite") {
        "SELECT name, sql FROM sqlite_schema ORDER BY name"
    } else {
        "SELECT conrelid::regclass::text || '.' || conname::text AS name, pg_get_constraintdef(oid) AS sql FROM \
         pg_constraint
            WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    };
    rows(url, sql).await
}

/// Returns all rows; those of search indexes as words and numbers.
async fn contents(url: &str) -> String {
    let mut text = String::new();
    for (columns, table) in [
        ("*", "personal_connector"),
        ("state, forgotten, forgotten_mark", "catalog_state"),
        ("*", "connector_event"),
        ("*", "idempotency_key"),
        ("*", "connector_health"),
        ("*", "connector_check"),
        ("*", "connector_tool"),
        ("epoch, expires_at, mark", "check_lease"),
    ] {
        text += &rows(url, &format!("SELECT {columns} FROM {table} ORDER BY 1, 2")).await;
    }
    for table in ["connector_search", "connector_tool_search"] {
        let is_sqlite = url.starts_with("sqlite");
        // PostgreSQL has the words of connectors in their rows since 000016.
        if !is_sqlite {
            let exists = format!("SELECT COALESCE(to_regclass('{table}')::text, '')");
            if rows(url, &exists).await.trim().is_empty() {
                continue;
            }
        }
        let sql = if is_sqlite {
            format!(
                "SELECT rowid AS seq FROM {table} WHERE {table} MATCH 'wiki* OR add' ORDER BY 1"
            )
        } else {
            format!("SELECT seq, words::text AS words FROM {table} ORDER BY 1")
        };
        text += &rows(url, &sql).await;
    }
    text
}

/// Health of three connectors in version 000008. The second has no server, and the third was not checked.
const EARLIER_HEALTH: [&str; 4] = [

    "INSERT INTO personal_connector (seq, id, name, name_key, type, connector_id, status, server_url, visibility, \
     created_at, updated_at,
        revision, source)
        SELECT n, 'pcon_' || n, 'N' || n, 'n' || n, 'official', 'c' || n, 'active',
            CASE WHEN n <> 2 THEN 'https://EXAMPLE.com:443/mcp/' END, 'public', 0, 0, 1, 'import'
        FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3) AS numbers",
    "INSERT INTO connector_health (seq, outcome, message, checked_at, failures, next_check_at)
        VALUES (1, 'open', 'x', 40, 0, 50), (3, NULL, NULL, NULL, 0, 50)",
    "INSERT INTO connector_check (seq, checked_at, outcome, message) VALUES (1, 10, 'open', 'x'), (1, 20, 'timeout', \
     'x'),
        (1, 30, 'open', 'x'), (1, 40, 'open', 'x')",
    "INSERT INTO connector_tool (seq, name, words) VALUES (1, 'add', ' add ')",
];

async fn is_refused(url: &str, sql: &str) -> bool {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let change = tokio::spawn(async move { rows(&url, &sql).await });
    change.await.is_err()
}

on_both_databases! {
    async fn what_was_found_of_servers_is_completed(storage: TestDatabase) {
        let url = &storage.url;
        let migrate = |to: &str| run(program_on(&storage, &["migrate", "--to", to]));
        migrate("m20261130_000008_open_enums").ok();
        for sql in EARLIER_HEALTH {
            rows(url, sql).await;
        }
        migrate("m20261130_000010_orders").ok();
        let health = "SELECT seq, id, address, outcome, outcome_since, uptime, tool_count, next_check_at FROM \
                      connector_health ORDER BY 1";
        let found = "1|pcon_1|example.com/mcp|open|30|750000|1|50\n2|pcon_2|||||0|\n3|pcon_3|example.com/mcp||||0|50\n";
        assert_eq!(rows(url, health).await, found);
        // Down and up again.
        migrate("m20261130_000008_open_enums").ok();
        migrate("m20261130_000010_orders").ok();
        assert_eq!(rows(url, health).await, found);
    }

    /// Enums are open to additions: the database lists no values, and the program reports unknown ones.
    async fn lists_of_values_leave_the_schema_and_come_back(storage: TestDatabase) {
        let storage = Arc::new(storage);
        let url = &storage.url;
        let migrate = |to: &str| run(program_on(&storage, &["migrate", "--to", to]));
        let names = migration::names();
        let at = names
            .iter()
            .position(|name| name.ends_with("open_enums"))
            .unwrap();
        let (before, after) = (&names[at - 1], &names[at]);
        migrate(before).ok();
        let listed = schema(url).await;
        assert!(
            listed.contains("personal_connector_category_check"),
            "{listed}"
        );
        run(program_on(&storage, &["migrate"])).ok();
        let open = schema(url).await;

        let server = Box::pin(Server::start(storage.clone(), &[], fixed_clock())).await;
        let ann = server.token("ann@acme", WRITE);
        let keyed = draft(
            "Wiki",
            json!({ "idempotencyKey": "key 1", "category": "DESIGN", "visibility": "ORGANIZATION" }),
        );
        let made = server.change(&ann, CREATE, keyed).await;
        let id = text(&made["id"]).to_owned();
        server
            .record(vec![(id.clone(), offering(&[("add", "Adds.")]))])
            .await;
        let gone = server.create(&ann, "Gone", "PRIVATE").await;
        server.mutate(&ann, DELETE, json!({ "id": gone })).await;
        drop(server);
        // This removes the columns of later migrations.
        migrate(after).ok();
        let kept = contents(url).await;
        assert!(kept.contains("key 1") && kept.contains("deleted"), "{kept}");

        migrate(before).ok();
        assert_eq!(
            (schema(url).await, contents(url).await),
            (listed.clone(), kept.clone())
        );
        let changes = [
            "UPDATE personal_connector SET category = 'gardening' WHERE category = 'design' AND name = 'Wiki'",
            "UPDATE connector_event SET kind = 'moved' WHERE number = 1",
            "UPDATE connector_health SET transport = 'pigeon' WHERE outcome IS NOT NULL",
        ];
        for change in changes {
            assert!(is_refused(url, change).await, "{change}");
        }
        migrate(after).ok();
        assert_eq!(contents(url).await, kept);
        run(program_on(&storage, &["migrate"])).ok();
        assert_eq!(schema(url).await, open);
        for name in [
            "category",
            "type",
            "status",
            "server_type",
            "visibility",
            "source",
        ] {
            assert!(
                !open.contains(&format!("personal_connector_{name}_check")),
                "{name}"
            );
        }
        for name in ["owner", "organization", "replaced_by", "revision"] {
            assert!(
                open.contains(&format!("personal_connector_{name}_check")),
                "{name}"
            );
        }
        run(program_on(&storage, &["check-database"])).ok();

        // A value of a newer version.
        rows(url, changes[0]).await;
        let server = Box::pin(Server::start(storage.clone(), &[], fixed_clock())).await;
        let ann = server.token("ann@acme", WRITE);
        for field in ["category", "category replacedBy { id }"] {
            let query =
                format!("query($id: ID!) {{ personalConnector(id: $id) {{ name {field} }} }}");
            assert_eq!(
                server.error_code(&ann, &query, json!({ "id": id })).await,
                "INTERNAL",
                "{field}"
            );
        }
        let query = "query($id: ID!) { personalConnector(id: $id) { name } }";
        assert_eq!(
            server.data(&ann, query, json!({ "id": id })).await["personalConnector"]["name"],
            "Wiki"
        );
        // Other fields of the response, read in the same snapshot, do not fail.
        let query = "query($id: ID!) { unknown: personalConnector(id: $id) { category replacedBy { id } }
                     another: personalConnector(id: \"pcon_github\") { name } personalConnectorChanges(last: 1) { \
                     nodes { kind } } }";
        let answer = server.execute(&ann, query, json!({ "id": id })).await;
        let codes: Vec<_> = answer["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| &error["extensions"]["code"])
            .collect();
        assert_eq!(codes, ["INTERNAL"], "{answer}");
        assert_eq!(
            (
                &answer["data"]["unknown"],
                &answer["data"]["another"]["name"]
            ),
            (&json!(null), &json!("GitHub")),
            "{answer}"
        );
        let told = run(program_on(&storage, &["export"])).failed(1);
        assert!(told.contains("gardening"), "{told}");
        drop(server);
        let told = migrate(before).failed(1);
        assert!(told.contains("personal_connector_category_check"), "{told}");
        assert!(
            rows(url, "SELECT category FROM personal_connector")
                .await
                .contains("gardening")
        );
    }
}
