//! A saved database that replaces the present one under a running service, like a restored backup or a failover to a
//! standby that lacked the last commits.

use std::{fmt::Write, time::Duration};

use personal_connectors::domain::cursor::LogPosition;
use rusqlite::{Connection, backup::Backup};
use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection};
use tempfile::TempDir;

use crate::support::harness::{Server, TestDatabase};

/// All tables that changes of the catalogue write, referenced ones first. The state's row stays, and is set.
const TABLES: [&str; 8] = [
    "personal_connector",
    "connector_event",
    "connector_health",
    "connector_check",
    "connector_tool",
    "connector_tool_search",
    "idempotency_key",
    "search_word",
];

pub enum Saved {
    /// A file in a folder.
    Sqlite(TempDir),
    /// Tables in a schema.
    Postgres(String),
}

impl Saved {
    pub async fn of(storage: &TestDatabase) -> Self {
        if let Some(file) = storage.url.strip_prefix("sqlite://") {
            let folder = TempDir::new().unwrap();
            copy(file, folder.path().join("saved.db").to_str().unwrap());
            return Self::Sqlite(folder);
        }
        let mut connection = PgConnection::connect(&storage.url).await.unwrap();
        let schema = "SELECT 'saved_' || COUNT(*) FROM pg_namespace";
        let schema: String = sqlx::query_scalar(schema)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let mut sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE SCHEMA {schema};");
        for table in TABLES.iter().chain(&["catalog_state"]) {
            write!(
                sql,
                "CREATE TABLE {schema}.{table} AS TABLE public.{table};"
            )
            .unwrap();
        }
        execute(&mut connection, sql + "COMMIT").await;
        Self::Postgres(schema)
    }

    /// Restores all tables in one transaction.
    pub async fn restore(&self, storage: &TestDatabase) {
        let schema = match self {
            Self::Sqlite(folder) => {
                let file = storage.url.strip_prefix("sqlite://").unwrap();
                return copy(folder.path().join("saved.db").to_str().unwrap(), file);
            }
            Self::Postgres(schema) => schema,
        };
        let state = "state, forgotten, forgotten_mark";
        let mut sql = format!(
            "BEGIN; UPDATE catalog_state SET ({state}) = (SELECT {state} FROM {schema}.catalog_state);"
        );
        for table in TABLES.iter().rev() {
            write!(sql, "DELETE FROM {table};").unwrap();
        }
        for table in TABLES {
            write!(sql, "INSERT INTO {table} SELECT * FROM {schema}.{table};").unwrap();
        }
        let mut connection = PgConnection::connect(&storage.url).await.unwrap();
        execute(&mut connection, sql + "COMMIT").await;
    }
}

async fn execute(connection: &mut PgConnection, sql: String) {
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// Writes an SQLite database over another one, in one transaction of the latter.
fn copy(from: &str, to: &str) {
    let from = Connection::open(from).unwrap();
    let mut to = Connection::open(to).unwrap();
    let backup = Backup::new(&from, &mut to).unwrap();
    let pause = Duration::from_millis(5);
    backup.run_to_completion(i32::MAX, pause, None).unwrap();
}

impl Server {
    /// Returns the position with a number: of a stored event, or of the last pruned one.
    pub async fn position(&self, number: i64) -> LogPosition {
        let mark = format!(
            "SELECT mark FROM connector_event WHERE number = {number}
            UNION ALL SELECT forgotten_mark FROM catalog_state WHERE forgotten = {number}"
        );
        let mark = self.rows(&mark).await.trim().parse().unwrap();
        LogPosition { number, mark }
    }
}
