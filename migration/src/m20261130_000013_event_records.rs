//! Adds to events the connector's state for searches and filters. Older events have none.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "connector_event";
const RECORD: &str = "record";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = ColumnDef::new(RECORD);
        column.text();
        let alter = Table::alter()
            .table(TABLE)
            .add_column(&mut column)
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter().table(TABLE).drop_column(RECORD).to_owned();
        manager.alter_table(alter).await
    }
}
