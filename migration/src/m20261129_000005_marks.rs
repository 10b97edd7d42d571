//! Adds random marks to events, to the last pruned event and to leases. They distinguish histories with the same
//! numbers.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMNS: [(&str, &str); 3] = [
    ("connector_event", "mark"),
    ("catalog_state", "forgotten_mark"),
    ("check_lease", "mark"),
];

/// Each evaluation gives another number. It is also the default, because older replicas write no marks during a rolling
/// upgrade.
const POSTGRES_RANDOM: &str =
    "('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for (table, column) in COLUMNS {
            let statements = match manager.get_database_backend() {
                // Each existing row gets a mark of its own.
                DbBackend::Postgres => vec![format!(
                    "ALTER TABLE {table} ADD COLUMN {column} BIGINT NOT NULL DEFAULT {POSTGRES_RANDOM}"
                )],
                // An added column may not have an expression as its default.
                _ => vec![
                    format!("ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"),
                    format!("UPDATE {table} SET {column} = random()"),
                ],
            };
            for statement in statements {
                connection.execute_unprepared(&statement).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in COLUMNS {
            manager
                .alter_table(Table::alter().table(table).drop_column(column).to_owned())
                .await?;
        }
        Ok(())
    }
}
