//! Adds the values of changed fields to events. Older events have none.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "connector_event";
const CHANGED_VALUES: &str = "changed_values";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = ColumnDef::new(CHANGED_VALUES);
        column.text();
        let alter = Table::alter()
            .table(TABLE)
            .add_column(&mut column)
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(TABLE)
            .drop_column(CHANGED_VALUES)
            .to_owned();
        manager.alter_table(alter).await
    }
}
