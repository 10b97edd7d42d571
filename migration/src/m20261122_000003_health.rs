//! Adds the results of checks: health, tools and their words, the history, and the lease of the process that checks.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (key, integer, search) = match manager.get_database_backend() {
            DbBackend::Postgres => (r#"TEXT COLLATE "C""#, "BIGINT", POSTGRES_SEARCH),
            _ => ("TEXT", "INTEGER", SQLITE_SEARCH),
        };
        let connection = manager.get_connection();
        for statement in STATEMENTS.iter().chain(search) {
            let statement = statement
                .replace("{key}", key)
                .replace("{integer}", integer);
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "check_lease",
            "connector_tool_search",
            "connector_tool",
            "connector_check",
            "connector_health",
        ] {
            manager
                .drop_table(Table::drop().table(table).to_owned())
                .await?;
        }
        Ok(())
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE TABLE connector_health (
        seq {integer} NOT NULL CONSTRAINT connector_health_pkey PRIMARY KEY
            CONSTRAINT connector_health_seq_fkey REFERENCES personal_connector (seq) ON DELETE CASCADE,
        outcome {key}
            CONSTRAINT connector_health_outcome_check CHECK (outcome IN (
                'open', 'auth_required', 'wrong_transport', 'not_mcp', 'unreachable', 'timeout', 'blocked', \
                'not_checkable'
            )),
        message TEXT,
        checked_at {integer},
        latency_ms {integer},
        transport {key}
            CONSTRAINT connector_health_transport_check CHECK (transport IN ('streamable_http', 'sse', 'web_socket')),
        protocol_version TEXT,
        server_info TEXT,
        authorization_servers TEXT,
        tools_digest TEXT,
        failures {integer} NOT NULL,
        next_check_at {integer}
    )",
    // The monitor reads due connectors in this order.
    "CREATE INDEX connector_health_by_next_check_at ON connector_health (next_check_at, seq)
        WHERE next_check_at IS NOT NULL",
    // Makes existing connectors due at once.
    "INSERT INTO connector_health (seq, failures, next_check_at)
        SELECT seq, 0, 0 FROM personal_connector
        WHERE server_url IS NOT NULL AND (server_type IS NULL OR server_type <> 'stdio')",
    "CREATE TABLE connector_check (
        seq {integer} NOT NULL
            CONSTRAINT connector_check_seq_fkey REFERENCES personal_connector (seq) ON DELETE CASCADE,
        checked_at {integer} NOT NULL,
        outcome {key} NOT NULL,
        message TEXT NOT NULL,
        latency_ms {integer},
        CONSTRAINT connector_check_pkey PRIMARY KEY (seq, checked_at)
    )",
    "CREATE TABLE connector_tool (
        seq {integer} NOT NULL
            CONSTRAINT connector_tool_seq_fkey REFERENCES personal_connector (seq) ON DELETE CASCADE,
        name {key} NOT NULL,
        title TEXT,
        description TEXT,
        input_schema TEXT,
        output_schema TEXT,
        annotations TEXT,
        words TEXT NOT NULL,
        CONSTRAINT connector_tool_pkey PRIMARY KEY (seq, name)
    )",
    "CREATE INDEX connector_tool_by_name ON connector_tool (name, seq)",
    "CREATE TABLE check_lease (
        id INTEGER NOT NULL CONSTRAINT check_lease_pkey PRIMARY KEY
            CONSTRAINT check_lease_id_check CHECK (id = 1),
        holder TEXT,
        epoch {integer} NOT NULL,
        expires_at {integer} NOT NULL
    )",
    "INSERT INTO check_lease (id, epoch, expires_at) VALUES (1, 0, 0)",
];

/// All words of a connector with tools, including those of its tools, in the form of `connector_search`.
const SQLITE_SEARCH: &[&str] = &["CREATE VIRTUAL TABLE connector_tool_search USING fts5 (
        words, content = '', contentless_delete = 1, detail = column, tokenize = 'ascii'
    )"];

const POSTGRES_SEARCH: &[&str] = &[
    "CREATE TABLE connector_tool_search (
        seq BIGINT NOT NULL CONSTRAINT connector_tool_search_pkey PRIMARY KEY
            CONSTRAINT connector_tool_search_seq_fkey REFERENCES personal_connector (seq),
        words TSVECTOR NOT NULL
    )",
    "CREATE INDEX connector_tool_search_by_words ON connector_tool_search USING gin (words)",
];
