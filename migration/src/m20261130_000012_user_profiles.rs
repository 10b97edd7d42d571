//! Adds the names and pictures of users, from their last token.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "user_profile";
const ORGANIZATION_ID: &str = "organization_id";
const USER_ID: &str = "user_id";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(ColumnDef::new(ORGANIZATION_ID).text().not_null())
            .col(ColumnDef::new(USER_ID).text().not_null())
            .col(ColumnDef::new("name").text())
            .col(ColumnDef::new("picture_url").text())
            .col(ColumnDef::new("last_change").big_integer().not_null())
            .primary_key(Index::create().col(ORGANIZATION_ID).col(USER_ID))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(TABLE).to_owned())
            .await
    }
}
