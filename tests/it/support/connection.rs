//! A second connection to the database, beside the service's.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use crate::support::harness::Server;

/// A connection of another client.
pub enum Other {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Other {
    pub async fn connect(server: &Server) -> Self {
        let url = &server.storage.url;
        if url.starts_with("sqlite") {
            Self::Sqlite(SqliteConnection::connect(url).await.unwrap())
        } else {
            Self::Postgres(PgConnection::connect(url).await.unwrap())
        }
    }

    pub async fn run(&mut self, sqlite: &str, postgres: &str) {
        match self {
            Self::Sqlite(connection) => drop(
                connection
                    .execute(AssertSqlSafe(sqlite.to_owned()))
                    .await
                    .unwrap(),
            ),
            Self::Postgres(connection) => drop(
                connection
                    .execute(AssertSqlSafe(postgres.to_owned()))
                    .await
                    .unwrap(),
            ),
        }
    }

    /// Begins a transaction that keeps all others from writing.
    pub async fn hold_up_writes(&mut self) {
        self.run(
            "BEGIN IMMEDIATE",
            "BEGIN; UPDATE catalog_state SET state = state",
        )
        .await;
    }

    /// Makes every read of connectors hang.
    pub async fn hold_up_reads(&mut self) {
        self.put_before_reads("SELECT i + 1 FROM n", 3600.0).await;
    }

    /// Makes every read of connectors take a large part of a second.
    pub async fn slow_down_reads(&mut self) {
        self.put_before_reads("SELECT i + 1 FROM n LIMIT 2000000", 0.5)
            .await;
    }

    async fn put_before_reads(&mut self, step: &str, seconds: f64) {
        let view = |condition: &str| {
            format!(
                "ALTER TABLE personal_connector RENAME TO connectors;
                 CREATE VIEW personal_connector AS SELECT * FROM connectors WHERE ({condition})"
            )
        };
        let counting = view(&format!(
            "SELECT COUNT(*) > 0 FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL {step}) SELECT i FROM n)"
        ));
        let sleeping = view(&format!("SELECT pg_sleep({seconds}) IS NOT NULL"));
        self.run(&counting, &sleeping).await;
    }

    pub async fn let_reads_go(&mut self) {
        let back =
            "DROP VIEW personal_connector; ALTER TABLE connectors RENAME TO personal_connector";
        self.run(back, back).await;
    }
}
