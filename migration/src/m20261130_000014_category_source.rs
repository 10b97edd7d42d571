//! Adds the column with the source of a connector's category.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "personal_connector";
const COLUMN: &str = "category_source";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = ColumnDef::new(COLUMN);
        column.text();
        let alter = Table::alter()
            .table(TABLE)
            .add_column(&mut column)
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter().table(TABLE).drop_column(COLUMN).to_owned();
        manager.alter_table(alter).await
    }
}
