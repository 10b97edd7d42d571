//! The catalogue: connectors, their search index, the state number, the event log and idempotency keys.
//!
//! The statements are SQL, because partial and expression indexes, collations and the full-text index differ between
//! the two databases. Keys compare by bytes on both (`BINARY` is SQLite's default, `"C"` on PostgreSQL).

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
            connection
                .execute_unprepared(
                    &statement
                        .replace("{key}", key)
                        .replace("{integer}", integer),
                )
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "idempotency_key",
            "connector_event",
            "catalog_state",
            "connector_search",
            "personal_connector",
        ] {
            manager
                .drop_table(Table::drop().table(table).to_owned())
                .await?;
        }
        Ok(())
    }
}

/// `{key}` is text that compares by bytes, and `{integer}` a 64-bit integer. As a primary key it is SQLite's rowid,
/// which the full-text index uses.
const STATEMENTS: &[&str] = &[
    "CREATE TABLE personal_connector (
        seq {integer} NOT NULL CONSTRAINT personal_connector_pkey PRIMARY KEY,
        id {key} NOT NULL CONSTRAINT personal_connector_id_key UNIQUE,
        name TEXT NOT NULL,
        name_key {key} NOT NULL,
        type {key} NOT NULL
            CONSTRAINT personal_connector_type_check CHECK (type IN ('official', 'aitronos_built', 'custom')),
        connector_id {key} NOT NULL,
        description TEXT,
        icon_url TEXT,
        category {key}
            CONSTRAINT personal_connector_category_check
            CHECK (category IN ('productivity', 'development', 'communication', 'design', 'custom')),
        version TEXT,
        status {key} NOT NULL
            CONSTRAINT personal_connector_status_check CHECK (status IN ('active', 'deprecated', 'maintenance')),
        status_message TEXT,
        replaced_by_id {key}
            CONSTRAINT personal_connector_replaced_by_id_fkey
            REFERENCES personal_connector (id) DEFERRABLE INITIALLY DEFERRED,
        server_url TEXT,
        server_type {key}
            CONSTRAINT personal_connector_server_type_check CHECK (server_type IN ('http', 'websocket', 'stdio')),
        metadata TEXT,
        visibility {key} NOT NULL
            CONSTRAINT personal_connector_visibility_check
            CHECK (visibility IN ('private', 'organization', 'public')),
        organization_id {key},
        created_by {key},
        created_at {integer} NOT NULL,
        updated_at {integer} NOT NULL,
        revision {integer} NOT NULL CONSTRAINT personal_connector_revision_check CHECK (revision >= 1),
        source {key} NOT NULL
            CONSTRAINT personal_connector_source_check CHECK (source IN ('catalog', 'import', 'api')),
        source_hash TEXT,
        source_status TEXT,
        CONSTRAINT personal_connector_owner_check CHECK (
            (type = 'custom' AND connector_id = 'custom_mcp')
            OR (type <> 'custom' AND visibility = 'public' AND organization_id IS NULL AND created_by IS NULL)
        ),
        CONSTRAINT personal_connector_organization_check
            CHECK (visibility <> 'organization' OR organization_id IS NOT NULL),
        CONSTRAINT personal_connector_replaced_by_check
            CHECK (replaced_by_id IS NULL OR (status = 'deprecated' AND replaced_by_id <> id))
    )",
    // Unique indexes.
    "CREATE UNIQUE INDEX personal_connector_connector_id_key ON personal_connector (connector_id)
        WHERE type <> 'custom'",
    "CREATE UNIQUE INDEX personal_connector_organization_name_key
        ON personal_connector (COALESCE(organization_id, ''), name_key)
        WHERE type = 'custom' AND visibility <> 'private'",
    "CREATE UNIQUE INDEX personal_connector_creator_name_key
        ON personal_connector (COALESCE(organization_id, ''), COALESCE(created_by, ''), name_key)
        WHERE type = 'custom' AND visibility = 'private'",
    // The three orders, alone and with the dashboards' filter of one category and one status.
    "CREATE INDEX personal_connector_by_name ON personal_connector (name_key, id)",
    "CREATE INDEX personal_connector_by_created_at ON personal_connector (created_at DESC, id)",
    "CREATE INDEX personal_connector_by_updated_at ON personal_connector (updated_at DESC, id)",
    "CREATE INDEX personal_connector_by_category_status_name
        ON personal_connector (category, status, name_key, id)",
    "CREATE INDEX personal_connector_by_category_status_created_at
        ON personal_connector (category, status, created_at DESC, id)",
    "CREATE INDEX personal_connector_by_category_status_updated_at
        ON personal_connector (category, status, updated_at DESC, id)",
    // Indexes for lookups.
    "CREATE INDEX personal_connector_by_created_by ON personal_connector (created_by, organization_id)",
    "CREATE INDEX personal_connector_by_connector_id ON personal_connector (connector_id)",
    "CREATE INDEX personal_connector_by_replaced_by_id ON personal_connector (replaced_by_id)
        WHERE replaced_by_id IS NOT NULL",
    "CREATE TABLE catalog_state (
        id INTEGER NOT NULL CONSTRAINT catalog_state_pkey PRIMARY KEY
            CONSTRAINT catalog_state_id_check CHECK (id = 1),
        state {integer} NOT NULL
    )",
    "INSERT INTO catalog_state (id, state) VALUES (1, 0)",
    "CREATE TABLE connector_event (
        number {integer} NOT NULL CONSTRAINT connector_event_pkey PRIMARY KEY,
        kind {key} NOT NULL
            CONSTRAINT connector_event_kind_check CHECK (kind IN ('created', 'updated', 'deleted')),
        personal_connector_id {key} NOT NULL,
        type {key} NOT NULL,
        organization_id {key},
        changed_fields TEXT NOT NULL,
        revision {integer} NOT NULL,
        actor_id {key},
        actor_organization_id {key},
        occurred_at {integer} NOT NULL,
        visibility_before {key},
        visibility_after {key},
        created_by_before {key},
        created_by_after {key},
        category_before {key},
        category_after {key},
        status_before {key},
        status_after {key}
    )",
    "CREATE INDEX connector_event_by_personal_connector_id
        ON connector_event (personal_connector_id, number)",
    "CREATE TABLE idempotency_key (
        organization_id {key} NOT NULL,
        created_by {key} NOT NULL,
        key {key} NOT NULL,
        input_hash TEXT NOT NULL,
        personal_connector_id {key} NOT NULL,
        created_at {integer} NOT NULL,
        CONSTRAINT idempotency_key_pkey PRIMARY KEY (organization_id, created_by, key)
    )",
    "CREATE INDEX idempotency_key_by_created_at ON idempotency_key (created_at)",
];

/// Words are stored folded and split, separated by spaces. The `ascii` tokenizer takes every other character as part of
/// a word. The index stores neither the text nor positions, because only words are searched.
const SQLITE_SEARCH: &[&str] = &["CREATE VIRTUAL TABLE connector_search USING fts5 (
        name, connector_id, description,
        content = '', contentless_delete = 1, detail = column, tokenize = 'ascii'
    )"];

/// Words are stored folded and split, as a `tsvector` with weights for fields: A name, B connectorId, C description.
const POSTGRES_SEARCH: &[&str] = &[
    "CREATE TABLE connector_search (
        seq BIGINT NOT NULL CONSTRAINT connector_search_pkey PRIMARY KEY
            CONSTRAINT connector_search_seq_fkey REFERENCES personal_connector (seq),
        words TSVECTOR NOT NULL
    )",
    "CREATE INDEX connector_search_by_words ON connector_search USING gin (words)",
];
