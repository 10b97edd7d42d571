//! The number of the last change, as this process knows it.
//!
//! Invariant: the number comes from the database, and how old the knowledge is is known too.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use entity::catalog_state;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Statement};
use tokio::{sync::watch, task::AbortHandle, time};

use crate::error::Result;

use super::{connect::Database, errors::failed, wanted::while_wanted};

/// Asks the database for the number again and again, as long as it is kept.
#[derive(Debug)]
pub struct State {
    number: watch::Receiver<Option<i64>>,
    last: Arc<RwLock<Option<Instant>>>,
    polling: AbortHandle,
}

impl State {
    /// Every so often, and at once after each change of this process.
    pub fn poll(database: Database, every: Duration) -> Self {
        let last = Arc::default();
        let (sender, number) = watch::channel(None);
        let poll = poll(database, every, Arc::clone(&last), sender);
        let polling = tokio::spawn(poll).abort_handle();
        Self {
            number,
            last,
            polling,
        }
    }

    pub fn number(&self) -> Option<i64> {
        *self.number.borrow()
    }

    /// How long ago the number was read.
    pub fn age(&self) -> Option<Duration> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        last.map(|at| at.elapsed())
    }

    /// The number whenever it was read.
    pub fn watch(&self) -> watch::Receiver<Option<i64>> {
        self.number.clone()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

async fn poll(
    database: Database,
    every: Duration,
    last: Arc<RwLock<Option<Instant>>>,
    number: watch::Sender<Option<i64>>,
) {
    let changed = Arc::clone(&database.changed);
    let mut failing = false;
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = changed.notified() => {}
        }
        let asked = Instant::now();
        let database = database.clone();
        match while_wanted(async move { database.state().await }).await {
            Ok(state) => {
                *last.write().unwrap_or_else(PoisonError::into_inner) = Some(asked);
                number.send_replace(Some(state));
                if std::mem::take(&mut failing) {
                    tracing::info!("the database answers again");
                }
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(cause, "the catalogue's state cannot be read");
                }
            }
        }
    }
}

impl Database {
    async fn state(&self) -> Result<i64> {
        let read = async {
            let row = catalog_state::Entity::find_by_id(1)
                .one(&self.reader)
                .await?;
            row.map(|row| row.state)
                .ok_or(DbErr::RecordNotFound("catalog_state".to_owned()))
        };
        read.await.map_err(failed)
    }

    /// Whether every migration that this program knows was applied; an error where the database cannot be reached.
    pub async fn is_migrated(&self) -> Result<bool> {
        let backend = self.reader.get_database_backend();
        let applied = Statement::from_string(backend, "SELECT version FROM seaql_migrations");
        let rows = self.reader.query_all_raw(applied).await.map_err(failed)?;
        let versions: Vec<String> = rows
            .iter()
            .map(|row| row.try_get("", "version"))
            .collect::<std::result::Result<_, _>>()
            .map_err(failed)?;
        let known = Migrator::migrations();
        Ok(known
            .iter()
            .all(|migration| versions.iter().any(|version| version == migration.name())))
    }

    /// The pools of connections, by name.
    pub fn pools(&self) -> Vec<(&'static str, Pool)> {
        if self.reader.get_database_backend() == sea_orm::DbBackend::Postgres {
            let pool = self.reader.get_postgres_connection_pool();
            return vec![("all", Pool::new(pool.size(), pool.num_idle()))];
        }
        let [reader, writer] = [&self.reader, &self.writer].map(|connection| {
            let pool = connection.get_sqlite_connection_pool();
            Pool::new(pool.size(), pool.num_idle())
        });
        vec![("reader", reader), ("writer", writer)]
    }
}

/// How many connections there are.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub open: i64,
    pub idle: i64,
}

impl Pool {
    fn new(open: u32, idle: usize) -> Self {
        let idle = i64::try_from(idle).unwrap_or(i64::MAX);
        Self {
            open: open.into(),
            idle,
        }
    }
}
