//! Databases and roles with operators' settings: no important setting is left to a default.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;
use url::Url;

use super::{
    listen,
    pgbouncer::PgBouncer,
    run_in, run_sql, session,
    traffic::{CREATE, LIST},
};
use crate::support::{
    clients::subscribers::CHANGED,
    harness::{TestDatabase, rows},
    objects::objects,
    process::{Serving, program_on, run, run_with, token},
};

/// Settings that made statements of the service fail, or may do so.
const DEFAULTS: [&[(&str, &str)]; 3] = [
    &[
        ("default_transaction_isolation", "'repeatable read'"),
        ("statement_timeout", "'50ms'"),
        ("idle_session_timeout", "'200ms'"),
        ("search_path", "own, public"),
    ],
    &[
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_deferrable", "on"),
        ("lock_timeout", "'10ms'"),
        ("idle_in_transaction_session_timeout", "'100ms'"),
    ],
    &[
        ("standard_conforming_strings", "off"),
        ("default_text_search_config", "'pg_catalog.german'"),
        ("\"TimeZone\"", "'Asia/Kolkata'"),
        ("\"DateStyle\"", "'SQL, DMY'"),
        ("\"IntervalStyle\"", "sql_standard"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-5"),
        ("enable_seqscan", "off"),
        ("plan_cache_mode", "force_custom_plan"),
        ("transform_null_equals", "on"),
    ],
];

async fn alter(storage: &TestDatabase, settings: &[(&str, &str)]) {
    let name = storage.url.rsplit_once('/').unwrap().1;
    // This session began before the settings, so none of them applies to it.
    let mut session = session(&storage.url).await;
    for (setting, value) in settings {
        let sql = format!("ALTER DATABASE {name} SET {setting} = {value}");
        run_in(&mut session, &sql).await;
    }
}

/// Concurrent creates, and reads beside them.
async fn serves(storage: &TestDatabase, direct: &str) {
    const CREATES: usize = 80;
    let flags = ["--max-concurrency", "200", "--database-wait", "10s"];
    let server = Serving::start(program_on(storage, &flags));
    let ann = token("ann@acme", "connectors:write");
    let mut socket = listen(&server, &ann, CHANGED).await;
    let create = async |number: usize| {
        let input =
            json!({ "name": format!("c\\{number}'ö"), "serverUrl": "https://x.example.com" });
        server.ask(&ann, CREATE, json!({ "input": input })).await
    };
    let read = async |number: usize| {
        let from = json!({ "from": format!("1970-01-01T00:00:03.{number:06}Z") });
        server.ask(&ann, LIST, from).await
    };
    let (created, read) = tokio::join!(
        join_all((0..CREATES).map(create)),
        join_all((0..CREATES).map(read))
    );
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    for answer in created.into_iter().chain(read) {
        let answer = answer.unwrap();
        let errors = [&answer["errors"], &answer["data"]["done"]["userErrors"]];
        for error in errors.iter().filter_map(|errors| errors.get(0)) {
            *wrong.entry(error.to_string()).or_default() += 1;
        }
    }
    assert_eq!(wrong, BTreeMap::new());
    for _ in 0..CREATES {
        assert_eq!(socket.change().await["kind"], "CREATED");
    }
    let done = server.stop();
    assert!(!done.err.contains("ERROR"), "{}", done.err);
    run_with(
        program_on(storage, &["import", "--organization", "acme"]),
        &objects(600),
    )
    .ok();
    run(program_on(storage, &["check-database"])).ok();
    let count = "SELECT COUNT(*) AS n FROM personal_connector WHERE type = 'custom'";
    let without_end = format!("{direct}?options=-c%20statement_timeout%3D0");
    assert_eq!(
        rows(&without_end, count).await,
        format!("{}\n", CREATES + 600)
    );
}

async fn with_defaults(settings: &[(&str, &str)]) {
    let storage = TestDatabase::postgres().await;
    run_sql(&storage.url, "CREATE SCHEMA own").await;
    alter(&storage, settings).await;
    serves(&storage, &storage.url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn repeatable_reads_and_short_statements() {
    with_defaults(DEFAULTS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn serializable_and_short_locks() {
    with_defaults(DEFAULTS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn another_country_and_another_planner() {
    with_defaults(DEFAULTS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer (Debian: pgbouncer), and PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn all_behind_a_pooler() {
    let direct = TestDatabase::postgres().await;
    let pooler = PgBouncer::start(&direct, "transaction", 3, "").await;
    let all = DEFAULTS[0][..3]
        .iter()
        .chain(DEFAULTS[1])
        .chain(DEFAULTS[2]);
    alter(&direct, &all.copied().collect::<Vec<_>>()).await;
    serves(&pooler.database(), &direct.url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn an_encoding_that_cannot_hold_every_text_is_refused() {
    let storage = TestDatabase::postgres().await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{encoding}", storage.url.rsplit_once('/').unwrap().1).to_lowercase();
        let create = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        );
        run_sql(&storage.url, &create).await;
        let (server, _) = storage.url.rsplit_once('/').unwrap();
        let refused = TestDatabase::at(format!("{server}/{name}"));
        let told: Vec<_> = ["serve", "migrate", "import"]
            .into_iter()
            .map(|command| run(program_on(&refused, &[command])))
            .collect();
        let tables = "SELECT COUNT(*) AS n FROM pg_tables WHERE schemaname = 'public'";
        let tables = rows(&refused.url, tables).await;
        run_sql(&storage.url, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        for told in told {
            let told = told.failed(1);
            let errors = told.lines().filter(|line| !line.contains(" INFO "));
            assert_eq!(errors.count(), 1, "{told}");
            assert!(told.contains(encoding) && told.contains("UTF8"), "{told}");
        }
        assert_eq!(tables, "0\n");
    }
}

/// A role that may only read and write rows can serve a database that its owner migrated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES, of a role that may create roles"]
async fn a_role_that_owns_nothing() {
    let storage = TestDatabase::postgres().await;
    let mut url = Url::parse(&storage.url).unwrap();
    let role = format!("r{}", storage.url.rsplit_once('_').unwrap().1);
    let password = "a password";
    run_sql(
        &storage.url,
        &format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    )
    .await;
    url.set_username(&role).unwrap();
    url.set_password(Some(password)).unwrap();
    let limited = TestDatabase::at(url.into());
    let served = async {
        let told = run(program_on(&limited, &["serve"])).failed(1);
        assert!(told.contains("migrate"), "{told}");
        run(program_on(&storage, &["migrate"])).ok();
        let grant = format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
            GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"
        );
        run_sql(&storage.url, &grant).await;
        Box::pin(serves(&limited, &storage.url)).await;
    };
    // The role is removed however the test ends.
    let served = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(served)).await;
    run_sql(
        &storage.url,
        &format!("DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
    if let Err(panic) = served {
        std::panic::resume_unwind(panic);
    }
}

/// A role that may only read and write rows can import, and the command says who must gather statistics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES, of a role that may create roles"]
async fn a_role_that_may_not_gather_statistics_imports() {
    let storage = TestDatabase::postgres().await;
    let mut url = Url::parse(&storage.url).unwrap();
    let role = format!("s{}", storage.url.rsplit_once('_').unwrap().1);
    run_sql(
        &storage.url,
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'a password'"),
    )
    .await;
    url.set_username(&role).unwrap();
    url.set_password(Some("a password")).unwrap();
    let limited = TestDatabase::at(url.into());
    let imported = async {
        run(program_on(&storage, &["migrate"])).ok();
        let grant = format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        );
        run_sql(&storage.url, &grant).await;
        let done = run_with(
            program_on(&limited, &["import", "--organization", "acme"]),
            &objects(1000),
        );
        assert!(
            done.err.contains("as the owner of the tables, run ANALYZE")
                && done.err.contains("connector_event"),
            "{}",
            done.err
        );
        assert!(done.ok().starts_with("1000 objects: 1000 created"));
    };
    // The role is removed however the test ends.
    let imported =
        futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(imported)).await;
    run_sql(
        &storage.url,
        &format!("DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
    if let Err(panic) = imported {
        std::panic::resume_unwind(panic);
    }
}
