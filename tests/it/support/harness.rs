//! A running server for each test, with a database of its own.

use std::{
    fmt::Write,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use clap::Parser;
use entity::Timestamp;
use personal_connectors::{
    app,
    clock::Clock,
    config::{Cli, DatabaseSettings, KeySource, OutboundRules, Serve},
    domain::viewer::{Profile, User},
    http::{
        auth::mint,
        serve::{Bounds, serve},
    },
    outbound::Outbound,
    store::Database,
};
use reqwest::RequestBuilder;
use sea_orm::Statement;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// The environment variable with the URL of PostgreSQL.
const POSTGRES: &str = "CONNECTORS_TEST_POSTGRES";

/// The environment variable with host and port of a `PgBouncer`, through which services connect if it is set.
const POOLER: &str = "CONNECTORS_TEST_POOLER";

pub const SECRET: &str = "a secret of the tests, of 32 bytes at least";

/// The initial time of a fixed clock.
pub const NOW: &str = "2026-11-22T08:00:00Z";

/// Makes two tests of a [`Server`]: one on SQLite, and one on PostgreSQL, which plain `cargo test` ignores.
///
/// `on_both! { async fn name(server: Server) { … } }` makes `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: Server $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($server: $crate::support::harness::Server) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                test($crate::support::harness::Server::on_sqlite(&[]).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
            async fn postgres() {
                test($crate::support::harness::Server::on_postgres(&[]).await).await;
            }
        }
    )*};
}

/// A database that is deleted with the test.
#[derive(Debug)]
pub struct TestDatabase {
    pub url: String,
    _folder: Option<TempDir>,
    admin: Option<String>,
}

impl TestDatabase {
    pub fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            url: format!("sqlite://{}/connectors.db", folder.path().display()),
            _folder: Some(folder),
            admin: None,
        }
    }

    /// Returns the URL for a service, through the pooler at `CONNECTORS_TEST_POOLER` if there is one.
    pub fn served_url(&self) -> String {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tests have no other configuration"
        )]
        let pooler = std::env::var(POOLER);
        let (Ok(pooler), Some(_)) = (pooler, &self.admin) else {
            return self.url.clone();
        };
        let (start, name) = self.url.rsplit_once('/').unwrap();
        let user = start.rsplit_once('@').unwrap().0;
        format!("{user}@{pooler}/{name}")
    }

    /// The settings with which another process opens the database.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings {
            migrates: true,
            url: self.served_url(),
            connections: 4,
            wait: Duration::from_secs(5),
            pooler: personal_connectors::config::Pooler::Auto,
            read_timeout: None,
            read_only: false,
        }
    }

    /// Uses an existing database, which its creator removes.
    pub fn at(url: String) -> Self {
        Self {
            url,
            _folder: None,
            admin: None,
        }
    }

    /// Creates a database in the PostgreSQL at `CONNECTORS_TEST_POSTGRES`. Panics without it, so that no test passes
    /// without running.
    pub async fn postgres() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tests have no other configuration"
        )]
        let Ok(admin) = std::env::var(POSTGRES) else {
            panic!(
                "this test needs PostgreSQL: set {POSTGRES} to postgres://ROLE@HOST:PORT/DATABASE, of a role that may \
                 create databases, or leave out the tests that need it with --skip postgres"
            );
        };
        let mut connection = PgConnection::connect(&admin).await.unwrap();
        let name = format!("connectors_test_{:032x}", rand_u128());
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .unwrap();
        let (server, _) = admin.rsplit_once('/').unwrap();
        Self {
            url: format!("{server}/{name}"),
            _folder: None,
            admin: Some(admin),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(admin) = self.admin.take() else {
            return;
        };
        let name = self.url.rsplit_once('/').unwrap().1.to_owned();
        let drop = async move {
            let mut connection = PgConnection::connect(&admin).await?;
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DROP DATABASE IF EXISTS {name} WITH (FORCE)"
            )))
            .execute(&mut connection)
            .await
        };
        // The current runtime may be ending, so this needs another one.
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(drop).map(|_| ())
        });
        let _ = dropped.join();
    }
}

fn rand_u128() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    u128::from_be_bytes(bytes)
}

/// A server on a socket. Its clock stands still at [`NOW`] until it is set.
#[derive(Debug)]
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub clock: Clock,
    pub database: Database,
    /// The statements of queries on connectors and their data, since [`Server::forget_reads`].
    pub reads: Arc<Mutex<Vec<Statement>>>,
    config: Serve,
    /// The database, dropped last.
    pub storage: Arc<TestDatabase>,
}

impl Server {
    pub async fn on_sqlite(flags: &[&str]) -> Self {
        let storage = Arc::new(TestDatabase::sqlite());
        Box::pin(Self::start(storage, flags, fixed_clock())).await
    }

    pub async fn on_postgres(flags: &[&str]) -> Self {
        let storage = Arc::new(TestDatabase::postgres().await);
        Box::pin(Self::start(storage, flags, fixed_clock())).await
    }

    /// Starts a server on a database, which other servers may share.
    pub async fn start(storage: Arc<TestDatabase>, flags: &[&str], clock: Clock) -> Self {
        Self::start_with(Bounds::default(), storage, flags, clock).await
    }

    pub async fn start_with(
        bounds: Bounds,
        storage: Arc<TestDatabase>,
        flags: &[&str],
        clock: Clock,
    ) -> Self {
        let url = storage.served_url();
        let mut line = vec!["personal-connectors", "--database-url", &url];
        if !flags.iter().any(|flag| flag.starts_with("--jwks")) {
            line.extend(["--jwt-secret", SECRET]);
        }
        line.extend(flags);
        let config = Cli::try_parse_from(line).unwrap().serve;
        let mut database = app::open(&config.database()).await.unwrap();
        let reads = Arc::new(Mutex::new(Vec::new()));
        let observed = reads.clone();
        database.observe_reads(move |statement| {
            // The state is polled all the time.
            let is_of = |table| statement.sql.contains(table);
            if (is_of("connector") || is_of("user_profile")) && !is_of("catalog_state") {
                observed.lock().unwrap().push(statement.clone());
            }
        });
        let inputs = app::Inputs::read(&config, &clock).await.unwrap();
        let routers = app::routers(&config, inputs, database.clone(), clock.clone(), None)
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, routers.main, routers.stopping, bounds));
        Self {
            url,
            clock,
            database,
            reads,
            config,
            storage,
        }
    }

    /// Returns a token of a user `USER`, or `USER@ORGANIZATION`, with scopes.
    pub fn token(&self, who: &str, scopes: &[&str]) -> String {
        self.short_token(who, scopes, Duration::from_hours(1))
    }

    /// Returns a token with a lifetime.
    pub fn short_token(&self, who: &str, scopes: &[&str], lifetime: Duration) -> String {
        let (id, organization) = match who.split_once('@') {
            Some((id, organization)) => (id, Some(organization.to_owned())),
            None => (who, None),
        };
        let user = User {
            id: id.to_owned(),
            organization,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            profile: Profile::default(),
        };
        self.token_of(&user, lifetime)
    }

    /// Returns a token of a user.
    pub fn token_of(&self, user: &User, lifetime: Duration) -> String {
        let rules = self.config.token_rules().unwrap();
        let KeySource::Secret(secret) = &rules.keys else {
            panic!("no secret to sign with")
        };
        mint(secret, &rules, user, lifetime, &self.clock).unwrap()
    }

    /// Returns the whole response to an operation. An empty token means none.
    pub async fn execute(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let (status, answer) = self.post(token, body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Returns the `data` of an operation without errors.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut answer = self.execute(token, query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].take()
    }

    /// Returns the `data` of an operation without errors, bypassing the cache.
    pub async fn fresh(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = self.request(token, body.to_string());
        let request = request.header("cache-control", "no-cache");
        let response = request.send().await.unwrap();
        let text = response.text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].take()
    }

    /// Returns the code of an operation's only top-level error.
    pub async fn error_code(&self, token: &str, query: &str, variables: Value) -> String {
        let answer = self.execute(token, query, variables).await;
        assert_eq!(
            answer["errors"].as_array().map(Vec::len),
            Some(1),
            "{answer}"
        );
        answer["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Builds a POST request. An empty token means none.
    pub fn request(&self, token: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        post(&format!("{}/graphql", self.url), token, body)
    }

    /// Returns status and JSON body of the response to a raw body.
    pub async fn post(&self, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let (status, text) = self.wire(token, body).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Returns status and raw body of the response to a JSON body.
    pub async fn wire(&self, token: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let response = self.request(token, body).send().await.unwrap();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        check_errors(
            retry_after,
            &serde_json::from_str(&text).unwrap_or_default(),
        );
        (status, text)
    }

    /// Returns the response to an operation as server-sent events, which may still be arriving.
    pub async fn events(&self, token: &str, query: &str, variables: Value) -> reqwest::Response {
        let body = json!({ "query": query, "variables": variables });
        let request = self.request(token, body.to_string());
        let request = request.header("accept", "text/event-stream");
        request.send().await.unwrap()
    }

    pub fn forget_reads(&self) {
        self.reads.lock().unwrap().clear();
    }

    /// Returns the number of the last change.
    pub async fn state(&self) -> i64 {
        let rows = self.rows("SELECT state FROM catalog_state").await;
        rows.trim().parse().unwrap()
    }

    /// Returns the rows of a query on the database as text: columns separated by `|`, nulls empty.
    pub async fn rows(&self, sql: &str) -> String {
        rows(&self.storage.url, sql).await
    }
}

/// Checks the numbers in a response's errors. `retry_after` is the response's header.
pub fn check_errors(retry_after: Option<u64>, answer: &Value) {
    let mut extension = None;
    for error in answer["errors"].as_array().into_iter().flatten() {
        let extensions = &error["extensions"];
        let code = extensions["code"].as_str().unwrap();
        let seconds = extensions["retryAfter"].as_u64();
        let is_temporary = ["RATE_LIMITED", "UNAVAILABLE"].contains(&code);
        assert_eq!(
            seconds.is_some_and(|seconds| seconds > 0),
            is_temporary,
            "{error}"
        );
        let limit = extensions["limit"].as_u64();
        let may_have_limit = ["LIMIT_EXCEEDED", "BAD_USER_INPUT"].contains(&code);
        assert!(limit.is_none() || may_have_limit, "{error}");
        assert!(limit.is_some() || code != "LIMIT_EXCEEDED", "{error}");
        extension = extension.or(seconds);
    }
    assert!(
        retry_after.is_none() || retry_after == extension,
        "{retry_after:?}: {answer}"
    );
}

/// Returns the rows of a query on a database as text: columns separated by `|`, nulls empty. Columns must be text or
/// integers.
pub async fn rows(url: &str, sql: &str) -> String {
    use sqlx::{Column, Row, ValueRef};
    fn cell<'r, R: Row>(row: &'r R, column: &str) -> String
    where
        for<'a> &'a str: sqlx::ColumnIndex<R>,
        String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        Vec<u8>: sqlx::Decode<'r, R::Database>,
    {
        if row.try_get_raw(column).unwrap().is_null() {
            return String::new();
        }
        row.try_get::<i64, _>(column)
            .map(|number| number.to_string())
            .or_else(|_| row.try_get::<String, _>(column))
            .or_else(|_| {
                // A `tsvector`.
                let bytes = row.try_get_unchecked::<Vec<u8>, _>(column);
                bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            })
            .unwrap_or_else(|error| panic!("{column}: {error}"))
    }
    let mut text = String::new();
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        for row in sqlx::query(sql).fetch_all(&mut connection).await.unwrap() {
            let cells: Vec<_> = row
                .columns()
                .iter()
                .map(|column| cell(&row, column.name()))
                .collect();
            writeln!(text, "{}", cells.join("|")).unwrap();
        }
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        for row in sqlx::query(sql).fetch_all(&mut connection).await.unwrap() {
            let cells: Vec<_> = row
                .columns()
                .iter()
                .map(|column| cell(&row, column.name()))
                .collect();
            writeln!(text, "{}", cells.join("|")).unwrap();
        }
    }
    text
}

pub fn fixed_clock() -> Clock {
    Clock::fixed(timestamp(NOW))
}

pub fn timestamp(rfc3339: &str) -> Timestamp {
    chrono::DateTime::parse_from_rfc3339(rfc3339)
        .unwrap()
        .to_utc()
        .into()
}

/// Direct connections that trust the built-in authorities.
pub fn direct() -> Outbound {
    Outbound::new(&OutboundRules::default()).unwrap()
}

/// Returns a client for all tests of the process.
pub fn client() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        // A pooled connection would outlive the runtime of the test that opened it.
        reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    });
    &CLIENT
}

/// Builds a POST request with a JSON body. An empty token means none.
pub fn post(url: &str, token: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = client()
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    if token.is_empty() {
        request
    } else {
        request.bearer_auth(token)
    }
}
