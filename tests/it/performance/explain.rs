//! Tables of 200,000 rows, and plans of the statements that read them.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sea_orm::{
    Statement,
    sea_query::{PostgresQueryBuilder, QueryBuilder},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::support::harness::Server;

/// Mostly custom connectors of 40 organizations and of none, with ties in names and times, and few in one category. `a`
/// and `b` are almost random, and three rows in a row share `c`. Neighbours differ in organization, which keeps custom
/// names unique.
pub(super) const FILL: &str = "
    INSERT INTO personal_connector (seq, id, name, name_key, type, connector_id, description, category, status,
        server_url, server_type, visibility, organization_id, created_by, created_at, updated_at, revision, source)
    WITH RECURSIVE number (n) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < 200000
    ), drawn AS (
        SELECT n, n % 41 AS organization, (n * 2654435761) % 4294967291 AS a, (n * 2246822519) % 4294967291 AS b,
            ((n / 3) * 3266489917) % 4294967291 AS c
        FROM number
    ), named AS (
        SELECT n, a, b, organization,
            substr('AlphaBravoCloudDeltaEventFrameGraphHotelIndexJoins', CAST(c % 10 AS INTEGER) * 5 + 1, 5)
                || ' ' || (c / 10) AS name,
            CASE WHEN a % 100 < 2 THEN 'official' WHEN a % 100 < 4 THEN 'aitronos_built' ELSE 'custom' END AS type,
            CASE WHEN b % 10 < 5 OR (organization = 0 AND b % 10 < 8) THEN 'private'
                WHEN b % 10 < 8 THEN 'organization' ELSE 'public' END AS visibility
        FROM drawn
    )
    SELECT 1000000 + n, 'pcon_' || b || 'x' || n, name, lower(name), type,
        CASE WHEN type = 'custom' THEN 'custom_mcp' ELSE 'vendor/tool' || n END,
        'Reads and writes ' || name,
        CASE WHEN b / 10 % 20 < 6 THEN 'productivity' WHEN b / 10 % 20 < 12 THEN 'development'
            WHEN b / 10 % 20 < 15 THEN 'communication' WHEN b / 10 % 20 < 17 THEN 'design'
            WHEN b / 10 % 1000 = 999 THEN 'custom' END,
        CASE WHEN a / 100 % 100 < 90 THEN 'active' WHEN a / 100 % 100 < 96 THEN 'maintenance' ELSE 'deprecated' END,
        'https://' || n || '.example.com/mcp',
        CASE WHEN b / 200 % 20 < 16 THEN 'http' WHEN b / 200 % 20 < 17 THEN 'websocket'
            WHEN b / 200 % 20 < 19 THEN 'stdio' END,
        CASE WHEN type = 'custom' THEN visibility ELSE 'public' END,
        CASE WHEN type = 'custom' AND organization > 0 THEN 'organization' || organization END,
        CASE WHEN type = 'custom' THEN 'user' || organization || '_' || (a / 10000 % 50) END,
        1700000000000000 + (n / 7) * 60000000, 1750000000000000 + (b / 4000 % 30000) * 60000000, 1, 'import'
    FROM named";

/// Health of two thirds of them, mostly good, and tools: one that most have, one that some have, and one that few have.
pub(super) const FILL_HEALTH: [&str; 3] = [
    "INSERT INTO connector_health (seq, id, address, outcome, failures, checked_at, latency_ms, uptime, tool_count, \
     next_check_at)
        SELECT seq, id, seq || '.example.com/mcp',
            CASE WHEN seq % 3 = 0 THEN NULL WHEN seq % 100 < 80 THEN 'open' WHEN seq % 100 < 95 THEN 'auth_required' \
            ELSE 'timeout' END, 0,
            CASE WHEN seq % 3 > 0 THEN 1760000000000000 + (seq * 7919 % 200000) * 1000000 END,
            CASE WHEN seq % 3 > 0 AND seq % 100 < 95 THEN seq * 31 % 900 END,
            CASE WHEN seq % 3 > 0 THEN 1000000 - seq * 17 % 40 * 10000 END,
            CASE WHEN seq % 3 = 0 THEN 0 WHEN seq % 50 < 3 THEN 2 ELSE 1 END, 1770000000000000
        FROM personal_connector WHERE seq > 1000000",
    "INSERT INTO connector_tool (seq, name, words)
        SELECT seq, 'search', ' search ' FROM personal_connector WHERE seq > 1000000 AND seq % 3 > 0",
    "INSERT INTO connector_tool (seq, name, words)
        SELECT seq, CASE WHEN seq % 4000 < 3 THEN 'rare' ELSE 'some' END, ' x ' FROM personal_connector WHERE seq > \
        1000000 AND seq % 50 < 3",
];

/// The way a database answers a page.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) text: String,
    /// Rows on PostgreSQL, steps on SQLite.
    pub(super) visited: u64,
}

/// A connection that explains.
pub(super) enum Explainer {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Explainer {
    pub(super) async fn connect(server: &Server) -> Self {
        let url = &server.storage.url;
        if url.starts_with("sqlite") {
            Self::Sqlite(SqliteConnection::connect(url).await.unwrap())
        } else {
            let connection = PgConnection::connect(url).await.unwrap();
            let mut explainer = Self::Postgres(connection);
            explainer.plan_once().await;
            explainer
        }
    }

    /// The settings with which the service has PostgreSQL plan pages and look-ups.
    pub(super) async fn plan_once(&mut self) {
        if let Self::Postgres(connection) = self {
            let set = "SET plan_cache_mode = force_generic_plan";
            connection.execute(set).await.unwrap();
        }
    }

    pub(super) async fn execute(&mut self, sql: impl Into<String>) {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::query(sql).execute(connection).await.map(drop),
        }
        .unwrap();
    }

    /// The settings with which the service has PostgreSQL plan long statements.
    pub(super) async fn plan_for_values(&mut self) {
        if let Self::Postgres(connection) = self {
            let set = "SET plan_cache_mode = auto";
            connection.execute(set).await.unwrap();
        }
    }

    pub(super) async fn explain(&mut self, statement: &Statement) -> Plan {
        match self {
            Self::Sqlite(connection) => explain_sqlite(connection, &statement.to_string()).await,
            Self::Postgres(connection) => explain_postgres(connection, statement).await,
        }
    }
}

async fn explain_sqlite(connection: &mut SqliteConnection, sql: &str) -> Plan {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps = sqlx::query(explain)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
    let counted = Arc::new(AtomicU64::new(0));
    let count = counted.clone();
    let mut handle = connection.lock_handle().await.unwrap();
    handle.set_progress_handler(1, move || {
        count.fetch_add(1, Ordering::Relaxed);
        true
    });
    drop(handle);
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::query(sql).fetch_all(&mut *connection).await.unwrap();
    connection
        .lock_handle()
        .await
        .unwrap()
        .remove_progress_handler();
    Plan {
        text: steps.join("; "),
        visited: counted.load(Ordering::Relaxed),
    }
}

/// Planned without the values of its parameters, as in the service.
async fn explain_postgres(connection: &mut PgConnection, statement: &Statement) -> Plan {
    /// Rows that were read from a table or an index, including those that were discarded there.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "they are counts"
    )]
    fn visited(node: &Value, text: &mut String) -> u64 {
        write!(
            text,
            "{} {}; ",
            node["Node Type"].as_str().unwrap(),
            node["Index Name"].as_str().unwrap_or_default()
        )
        .unwrap();
        let children = node["Plans"].as_array().into_iter().flatten();
        let below: u64 = children.map(|child| visited(child, text)).sum();
        if node["Plans"].is_array() {
            return below;
        }
        let count = |key: &str| node[key].as_f64().unwrap_or(0.0);
        let rows = count("Actual Rows")
            + count("Rows Removed by Filter")
            + count("Rows Removed by Index Recheck");
        (rows * count("Actual Loops")) as u64
    }
    let values = statement.values.iter().flat_map(|values| &values.0);
    let values: Vec<_> = values
        .map(|value| PostgresQueryBuilder.value_to_string(value))
        .collect();
    let values = match values.as_slice() {
        [] => String::new(),
        values => format!("({})", values.join(", ")),
    };
    let prepare = format!("DEALLOCATE ALL; PREPARE page AS {}", statement.sql);
    connection.execute(AssertSqlSafe(prepare)).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page{values}");
    let row = connection.fetch_one(AssertSqlSafe(explain)).await.unwrap();
    let plan: Value = serde_json::from_str(&row.get_unchecked::<String, _>(0)).unwrap();
    let mut text = String::new();
    let visited = visited(&plan[0]["Plan"], &mut text);
    Plan { text, visited }
}
