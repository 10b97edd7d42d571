//! Adds the time at which the stored tools were listed, the time that they stay valid, and the extensions that the
//! server declares.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "connector_health";
const TOOLS_CHECKED_AT: &str = "tools_checked_at";
const FRESH_FOR: &str = "fresh_for";
const EXTENSIONS: &str = "extensions";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut columns = [
            ColumnDef::new(TOOLS_CHECKED_AT),
            ColumnDef::new(FRESH_FOR),
            ColumnDef::new(EXTENSIONS),
        ];
        let [tools_checked_at, fresh_for, extensions] = &mut columns;
        tools_checked_at.big_integer();
        fresh_for.big_integer();
        extensions.text();
        // SQLite adds one column in each statement.
        for column in &mut columns {
            manager
                .alter_table(Table::alter().table(TABLE).add_column(column).to_owned())
                .await?;
        }
        // The time at which tools were listed is known if that check was the last one.
        manager
            .get_connection()
            .execute_unprepared(
                "UPDATE connector_health SET tools_checked_at = checked_at
                 WHERE tools_digest IS NOT NULL AND outcome = 'open'",
            )
            .await
            .map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [EXTENSIONS, FRESH_FOR, TOOLS_CHECKED_AT] {
            manager
                .alter_table(Table::alter().table(TABLE).drop_column(column).to_owned())
                .await?;
        }
        Ok(())
    }
}
