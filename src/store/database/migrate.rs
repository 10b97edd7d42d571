//! Migrations of the schema.

use std::{pin::pin, time::Duration};

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
    sea_query::{Expr, Query},
};
use sqlx::{postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tokio::time::{self, Instant};

use crate::{
    error::Result,
    postgres::server::Pooling,
    store::database::{
        connect::Database,
        open_error::{Contents, HAS_VERSIONS, OpenError, RELATIONS, VERSIONS, refuse_unknown},
        reader::Reader,
        sqlite_file,
        sqlite_readers::Pace,
        transaction::Writer,
    },
};

/// The number of the lock for which processes that migrate the same PostgreSQL database wait.
const MIGRATION_LOCK: i64 = 0x7063_6f6e;

/// The interval at which the log reports a running migration.
const STILL: Duration = Duration::from_secs(10);

/// The longest time of a migration, including the wait for another process's.
const MIGRATION_END: Duration = Duration::from_hours(1);

impl Database {
    /// Fails if the schema is not up to date.
    pub(crate) async fn check_migrated(&self) -> Result<(), OpenError> {
        let applied = self.applied().await;
        let applied = applied.map_err(|error| self.failed("read", &error))?;
        match self.steps(&applied, None)? {
            (0, 0) => Ok(()),
            _ if applied.is_empty() => Err(OpenError::NoCatalogue(self.location().clone())),
            _ => Err(OpenError::Outdated(self.location().clone())),
        }
    }

    /// Migrates the schema up to date. Returns the number of applied migrations.
    pub(crate) async fn migrate(&self) -> Result<u32, OpenError> {
        let (applied, _) = self.migrate_to(None).await?;
        Ok(applied)
    }

    /// Migrates the schema up or down to this version, by default to the last one, in one transaction that other
    /// processes wait for. Returns the numbers of applied and reverted migrations. Writes nothing if there is nothing
    /// to do.
    pub async fn migrate_to(&self, version: Option<&str>) -> Result<(u32, u32), OpenError> {
        let before = self.applied().await;
        let before = before.map_err(|error| self.failed("migrate", &error))?;
        let steps = self.steps(&before, version)?;
        if steps == (0, 0) {
            return Ok(steps);
        }
        let failed = |error: DbErr| self.failed("migrate", &error);
        let migrating = self.run_migrations(version);
        let mut migrating = pin!(migrating);
        let mut ticks = time::interval_at(Instant::now() + STILL, STILL);
        let end = Instant::now() + MIGRATION_END;
        loop {
            tokio::select! {
                done = &mut migrating => {
                    if matches!(done, Ok((up, _)) if up > 0) {
                        self.gather_statistics_of_migrated().await;
                    }
                    return done;
                }
                now = ticks.tick() => {
                    tracing::info!("the schema is still being migrated, or another process is migrating it");
                    if now >= end {
                        let late = sqlx::Error::PoolTimedOut;
                        return Err(failed(DbErr::Conn(RuntimeErr::SqlxError(late.into()))));
                    }
                }
            }
        }
    }

    async fn run_migrations(&self, version: Option<&str>) -> Result<(u32, u32), OpenError> {
        let failed = |error: DbErr| self.failed("migrate", &error);
        // A separate connection, because SeaORM's transactions serve migrations only.
        let connection = self.writer.migrator().await.map_err(failed)?;
        let tx = connection
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await
            .map_err(failed)?;
        if let Writer::Postgres(pool) = &self.writer {
            let mut session = pool.get().await.map_err(failed)?;
            let version = session.version();
            session.give_up();
            let begin = pool.server.limits.of_migration(MIGRATION_LOCK, version);
            tx.execute_unprepared(&begin).await.map_err(failed)?;
            self.forget_statements(&tx).await.map_err(failed)?;
        }
        // Another process may have migrated meanwhile.
        let found = contents_within(&tx).await.map_err(failed)?;
        found.refuse_foreign(self.location())?;
        let before = found.applied.unwrap_or_default();
        let (up, down) = self.steps(&before, version)?;
        let migrate = async {
            // SeaORM would log that there is nothing to do.
            if down > 0 {
                Migrator::down(&tx, Some(down)).await?;
            }
            if up > 0 {
                Migrator::up(&tx, Some(up)).await?;
            }
            self.forget_statements(&tx).await?;
            tx.commit().await?;
            connection.close().await
        };
        Box::pin(migrate).await.map_err(failed)?;
        Ok((up, down))
    }

    /// Deallocates SeaORM's named prepared statements of this and earlier transactions. A pooler's session would keep
    /// them for other clients.
    async fn forget_statements(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        if let Writer::Postgres(pool) = &self.writer
            && pool.server.pooling == Pooling::Transaction
        {
            tx.execute_unprepared("DEALLOCATE ALL").await?;
        }
        Ok(())
    }

    /// Returns how many migrations to apply and to revert for a version.
    fn steps(&self, applied: &[String], version: Option<&str>) -> Result<(u32, u32), OpenError> {
        let known = migration::names();
        refuse_unknown(self.location(), applied)?;
        let to = version.map_or(known.len(), |version| {
            known.iter().take_while(|name| **name != version).count() + 1
        });
        let is_applied = |name: &&String| applied.contains(name);
        let (through, beyond) = known.split_at(to.min(known.len()));
        let count = |names: usize| u32::try_from(names).unwrap_or(u32::MAX);
        let up = through.iter().filter(|name| !is_applied(name)).count();
        let down = beyond.iter().filter(is_applied).count();
        Ok((count(up), count(down)))
    }

    /// Returns whether every known migration was applied. Fails if the database is unreachable.
    pub(crate) async fn is_migrated(&self) -> Result<bool> {
        let applied = versions(&self.control.reader).await?;
        Ok(migration::names()
            .iter()
            .all(|known| applied.contains(known)))
    }

    /// Returns the applied migrations, even before their table exists.
    pub(in crate::store) async fn applied(&self) -> Result<Vec<String>> {
        let (has_versions, _) = looks(self.reader.backend());
        let is_there = format!("(SELECT COUNT(*) FROM ({has_versions}) AS found)");
        let select = Query::select().expr(Expr::cust(is_there)).to_owned();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next::<i64>());
        match rows.await?.first() {
            Some(1) => versions(&self.reader).await,
            _ => Ok(Vec::new()),
        }
    }
}

async fn versions(reader: &Reader) -> Result<Vec<String>> {
    let select = Query::select()
        .column("version")
        .from("seaql_migrations")
        .to_owned();
    let rows = reader.rows(&select, Pace::Brief, |row| row.cells(0).next());
    rows.await
}

/// The statements that look for SeaORM's table, and for tables and views.
fn looks(backend: DbBackend) -> (&'static str, &'static str) {
    match backend {
        DbBackend::Postgres => (HAS_VERSIONS, RELATIONS),
        _ => (sqlite_file::HAS_VERSIONS, sqlite_file::RELATIONS),
    }
}

/// Reads the contents of a database in a transaction.
async fn contents_within(tx: &impl ConnectionTrait) -> Result<Contents, DbErr> {
    let backend = tx.get_database_backend();
    let names = async |sql: &str| {
        let rows = tx.query_all_raw(Statement::from_string(backend, sql));
        let rows = rows.await?.into_iter();
        rows.map(|row| row.try_get("", "name"))
            .collect::<Result<Vec<String>, DbErr>>()
    };
    let (has_versions, relations) = looks(backend);
    let relations = names(relations).await?;
    let applied = if names(has_versions).await?.is_empty() {
        None
    } else {
        Some(names(VERSIONS).await?)
    };
    Ok(Contents { applied, relations })
}

impl Writer {
    /// Creates a pool of one separate connection, for SeaORM's migrations.
    async fn migrator(&self) -> Result<DatabaseConnection, DbErr> {
        let opened = match self {
            Self::Sqlite { pool, .. } => {
                let options = (*pool.connect_options()).clone();
                let pool = SqlitePoolOptions::new().max_connections(1);
                let pool = pool.connect_with(options).await;
                pool.map(SqlxSqliteConnector::from_sqlx_sqlite_pool)
            }
            Self::Postgres(pool) => {
                let connect = async {
                    let options = pool.server.options().await?;
                    let pool = PgPoolOptions::new()
                        .max_connections(1)
                        .acquire_timeout(pool.server.limits.wait)
                        // Behind a pooler, no prepared statement outlasts its transaction.
                        .connect_with(options.statement_cache_capacity(0));
                    pool.await
                        .map(SqlxPostgresConnector::from_sqlx_postgres_pool)
                };
                connect.await
            }
        };
        opened.map_err(|error| DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())))
    }
}
