//! Moves a connector's words to its own row, on PostgreSQL. Each word follows the letter of the first field that
//! contains it: `n` for the name, `c` for the connectorId and `d` for the description.
//!
//! An index of such words distinguishes the fields. An index of a `tsvector` with weights does not: PostgreSQL reads
//! each matching row to check its field.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The index's list of pending rows is short, because each search reads the whole list.
const UP: [&str; 4] = [
    "ALTER TABLE personal_connector ADD COLUMN search_words TSVECTOR",
    "UPDATE personal_connector AS c SET search_words = (
        SELECT array_to_tsvector(COALESCE(array_agg(
            CASE WHEN 'A' = ANY (w.weights) THEN 'n' WHEN 'B' = ANY (w.weights) THEN 'c' ELSE 'd' END || w.lexeme), \
            '{}'))
        FROM unnest(s.words) AS w (lexeme, positions, weights)
    ) FROM connector_search AS s WHERE s.seq = c.seq",
    "CREATE INDEX personal_connector_by_search_words ON personal_connector USING gin (search_words)
        WITH (gin_pending_list_limit = 256)",
    "DROP TABLE connector_search",
];

const DOWN: [&str; 4] = [
    "CREATE TABLE connector_search (
        seq BIGINT NOT NULL CONSTRAINT connector_search_pkey PRIMARY KEY
            CONSTRAINT connector_search_seq_fkey REFERENCES personal_connector (seq),
        words TSVECTOR NOT NULL
    )",
    "INSERT INTO connector_search (seq, words)
        SELECT seq, COALESCE((
            SELECT string_agg(quote_literal(substr(w.lexeme, 2))
                || CASE left(w.lexeme, 1) WHEN 'n' THEN ':1A' WHEN 'c' THEN ':2B' ELSE ':3C' END, ' ')
            FROM unnest(search_words) AS w
        ), '')::tsvector
        FROM personal_connector WHERE search_words IS NOT NULL",
    "CREATE INDEX connector_search_by_words ON connector_search USING gin (words)",
    "ALTER TABLE personal_connector DROP COLUMN search_words",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN).await
    }
}

/// Runs statements on PostgreSQL only. SQLite's index already distinguishes the fields.
async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for statement in statements {
        manager
            .get_connection()
            .execute_unprepared(statement)
            .await?;
    }
    Ok(())
}
