//! Statistics of tables, which databases use to choose plans.
//!
//! PostgreSQL gathers them only some time after rows are written, and SQLite never does. Until then its plans are those
//! for empty tables.
//!
//! Invariant: a command that wrote many rows gathers them before it reports success. A failure to do so is only logged.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use crate::store::database::{connect::Database, transaction::Transaction};

/// The number of changed rows from which a command gathers statistics. Plans for fewer rows are good without them, and
/// statistics of a small table are worse than none once it grows.
pub(in crate::store) const MUCH: u64 = 1000;

/// The tables that the catalogue's lists and searches read.
const TABLES: [&str; 6] = [
    "personal_connector",
    "connector_event",
    "connector_health",
    "connector_tool",
    "connector_tool_search",
    "search_word",
];

/// Rows of an index that SQLite samples, so that a large table takes no longer than a small one.
const SQLITE_ROWS: u32 = 1000;

/// The tables with these names in PostgreSQL, and whether the role may analyze them: as owner of the table or database,
/// or since version 17 by a privilege. PostgreSQL skips others with only a notice.
const POSTGRES_TABLES: &str = "SELECT relname::text AS name, pg_has_role(relowner, 'USAGE')
        OR (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
        OR CASE WHEN current_setting('server_version_num')::integer >= 170000
            THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE FALSE END AS allowed
    FROM pg_class AS c WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname IN (";

/// The tables with these names in SQLite, which has no statistics of virtual ones.
const SQLITE_TABLES: &str = "SELECT name, TRUE AS allowed FROM sqlite_schema
    WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name IN (";

impl Database {
    /// Gathers the statistics of the catalogue's tables if enough rows changed. A failure is only logged.
    pub(crate) async fn gather_statistics(&self, changed: u64) {
        if changed < MUCH {
            return;
        }
        match Box::pin(self.analyze()).await {
            Ok(forbidden) if forbidden.is_empty() => {}
            Ok(forbidden) => tracing::warn!(
                "lists may be slow until autovacuum has gathered statistics, which the role of --database-url may not \
                 gather: as the owner of the tables, run ANALYZE {}",
                forbidden.join(", ")
            ),
            Err(error) => warn_of(&error),
        }
    }

    /// Gathers statistics after a migration, which may have rewritten any table.
    pub(in crate::store) async fn gather_statistics_of_migrated(&self) {
        let found = async {
            let tx = self.begin_write().await?;
            let count = format!(
                "SELECT COUNT(*) AS found FROM (SELECT 1 FROM personal_connector LIMIT {MUCH}) AS first"
            );
            let statement = Statement::from_string(tx.get_database_backend(), count);
            let row = tx.query_one_raw(statement).await?;
            tx.rollback().await;
            row.map_or(Ok(0), |row| row.try_get::<i64>("", "found"))
        };
        match Box::pin(found).await {
            Ok(found) => self.gather_statistics(found.unsigned_abs()).await,
            Err(error) => warn_of(&error),
        }
    }

    /// Analyzes the tables. Returns those that the role may not analyze.
    async fn analyze(&self) -> Result<Vec<String>, DbErr> {
        let tx = self.begin_write().await?;
        let (allowed, forbidden) = tables(&tx).await?;
        match tx.get_database_backend() {
            DbBackend::Sqlite => {
                tx.execute_unprepared(&format!("PRAGMA analysis_limit = {SQLITE_ROWS}"))
                    .await?;
                for table in &allowed {
                    tx.execute_unprepared(&format!("ANALYZE {table}")).await?;
                }
            }
            _ if allowed.is_empty() => {}
            _ => {
                tx.execute_unprepared(&format!("ANALYZE {}", allowed.join(", ")))
                    .await?;
            }
        }
        tx.commit(None).await?;
        Ok(forbidden)
    }
}

fn warn_of(error: &DbErr) {
    tracing::warn!(
        %error,
        "lists may be slow, because no statistics could be gathered: run ANALYZE in the database"
    );
}

/// Returns the tables that can be analyzed, and those that the role may not analyze.
async fn tables(tx: &Transaction) -> Result<(Vec<String>, Vec<String>), DbErr> {
    let select = match tx.get_database_backend() {
        DbBackend::Sqlite => SQLITE_TABLES,
        _ => POSTGRES_TABLES,
    };
    let names = TABLES.map(|table| format!("'{table}'")).join(", ");
    let statement = Statement::from_string(tx.get_database_backend(), format!("{select}{names})"));
    let (mut allowed, mut forbidden) = (Vec::new(), Vec::new());
    for row in tx.query_all_raw(statement).await? {
        let is_allowed: bool = row.try_get("", "allowed")?;
        let name = row.try_get("", "name")?;
        if is_allowed {
            allowed.push(name);
        } else {
            forbidden.push(name);
        }
    }
    Ok((allowed, forbidden))
}
