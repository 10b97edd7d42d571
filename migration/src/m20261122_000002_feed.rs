//! Adds to the event log the last number that was pruned, and the connector's type before each change.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (key, integer) = match manager.get_database_backend() {
            DbBackend::Postgres => (r#"TEXT COLLATE "C""#, "BIGINT"),
            _ => ("TEXT", "INTEGER"),
        };
        let connection = manager.get_connection();
        for statement in STATEMENTS {
            let statement = statement
                .replace("{key}", key)
                .replace("{integer}", integer);
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            ("catalog_state", "forgotten"),
            ("connector_event", "type_before"),
        ] {
            manager
                .alter_table(Table::alter().table(table).drop_column(column).to_owned())
                .await?;
        }
        Ok(())
    }
}

const STATEMENTS: &[&str] = &[
    "ALTER TABLE catalog_state ADD COLUMN forgotten {integer} NOT NULL DEFAULT 0",
    "ALTER TABLE connector_event ADD COLUMN type_before {key}",
    // A custom connector never changes its type, so the previous type was the other one of these two.
    r#"UPDATE connector_event SET type_before = CASE type WHEN 'official' THEN 'aitronos_built' ELSE 'official' END
        WHERE changed_fields LIKE '%"type"%'"#,
];
