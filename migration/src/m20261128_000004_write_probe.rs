//! Adds the row that tests whether the database can be written.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (integer, bytes) = match manager.get_database_backend() {
            DbBackend::Postgres => ("BIGINT", "BYTEA"),
            _ => ("INTEGER", "BLOB"),
        };
        let statement = format!(
            "CREATE TABLE write_probe (
                id {integer} NOT NULL CONSTRAINT write_probe_pkey PRIMARY KEY
                    CONSTRAINT write_probe_single_check CHECK (id = 1),
                filler {bytes} NOT NULL
            )"
        );
        let connection = manager.get_connection();
        connection.execute_unprepared(&statement).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table("write_probe").to_owned())
            .await
    }
}
