//! Adds the files' values of curated fields.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "personal_connector";
const COLUMN: &str = "file_details";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = ColumnDef::new(COLUMN);
        column.text();
        manager
            .alter_table(
                Table::alter()
                    .table(TABLE)
                    .add_column(&mut column)
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The next import of a file restores its values of the curated fields.
        let connection = manager.get_connection();
        connection
            .execute_unprepared(
                "UPDATE personal_connector SET source_hash = NULL WHERE file_details IS NOT NULL",
            )
            .await?;
        manager
            .alter_table(Table::alter().table(TABLE).drop_column(COLUMN).to_owned())
            .await
    }
}
