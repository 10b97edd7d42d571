//! The number of the last change, as this process knows it.
//!
//! Invariant: what is known comes from the database, or from a commit of this process, which no poll that was begun before it
//! takes back; how old the knowledge is is known too. A [`Version`] never comes again.

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use entity::catalog_state;
use sea_orm::{
    DbBackend, EntityTrait, QuerySelect, QueryTrait,
    sea_query::{Expr, Query},
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time,
};

use crate::error::{Code, Error, Result};

use crate::store::{
    cancellation::{keep_running, while_wanted},
    database::{connect::Database, sqlite_readers::Pace, transaction::Writer},
};

/// How old the knowledge may be that answers are kept by.
const FRESH: Duration = Duration::from_secs(1);

/// The longest time that one look at the number may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands for the catalogue as this process knows it: as long as it is the same one, nothing has changed that the process
/// knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

/// What is known of the last change, by whoever commits and whoever asks.
#[derive(Debug)]
pub(in crate::store) struct Known {
    number: watch::Sender<Option<i64>>,
    now: RwLock<Knowledge>,
    /// Told of each change that this process commits.
    committed: Notify,
}

#[derive(Debug)]
struct Knowledge {
    version: Version,
    /// Commits of this process.
    commits: u64,
    /// When the database was asked for the number.
    asked_at: Option<Instant>,
    /// How often a backup was restored meanwhile.
    restored: u64,
}

/// A question for the number that is on its way.
struct Question {
    at: Instant,
    commits: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            number: watch::Sender::new(None),
            now: RwLock::new(Knowledge {
                version: Version(0),
                commits: 0,
                asked_at: None,
                restored: 0,
            }),
            committed: Notify::new(),
        }
    }
}

impl Known {
    /// This process has committed a change of this number. To be called before anybody is told of it.
    pub(in crate::store) fn commit(&self, number: i64) {
        let mut now = self.write();
        now.commits += 1;
        // Another one also where a later commit came first, or another database is there, whose numbers are lower.
        now.version.0 += 1;
        self.number.send_if_modified(|known| {
            let is_later = known.is_none_or(|known| known < number);
            if is_later {
                *known = Some(number);
            }
            is_later
        });
        drop(now);
        self.committed.notify_one();
    }

    fn ask(&self) -> Question {
        Question {
            at: Instant::now(),
            commits: self.read().commits,
        }
    }

    fn answer(&self, question: &Question, number: i64) {
        let mut now = self.write();
        let known = *self.number.borrow();
        // A commit that came after the question may be missing in the answer. Else what is lower is true: a backup was
        // restored.
        let number = match known {
            Some(known) if now.commits != question.commits => known.max(number),
            _ => number,
        };
        // Of a while in which nothing was known, nobody knows that the same number means the same catalogue.
        let gap = now
            .asked_at
            .is_none_or(|before| question.at.duration_since(before) >= FRESH);
        if gap || known != Some(number) {
            now.version.0 += 1;
        }
        if known.is_some_and(|known| number < known) {
            now.restored += 1;
        }
        now.asked_at = Some(question.at);
        self.number.send_replace(Some(number));
    }

    /// Another one since a backup was restored: a number stood for another catalogue before.
    pub(in crate::store) fn history(&self) -> u64 {
        self.read().restored
    }

    fn read(&self) -> RwLockReadGuard<'_, Knowledge> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Knowledge> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the database for the number again and again, as long as it is kept.
#[derive(Debug)]
pub struct State {
    known: Arc<Known>,
    polling: AbortHandle,
}

impl State {
    /// Every so often, and at once after each change of this process.
    pub fn poll(database: Database, every: Duration) -> Self {
        let known = Arc::clone(&database.known);
        let polling = keep_running(move || poll(database.clone(), every)).abort_handle();
        Self { known, polling }
    }

    pub fn number(&self) -> Option<i64> {
        *self.known.number.borrow()
    }

    /// How long ago the number was read.
    pub fn age(&self) -> Option<Duration> {
        self.known.read().asked_at.map(|at| at.elapsed())
    }

    /// What stands for the catalogue as it was a second ago at most, with all that this process has committed; none where that
    /// is not known.
    pub fn version(&self) -> Option<Version> {
        let now = self.known.read();
        let is_fresh = now.asked_at.is_some_and(|at| at.elapsed() < FRESH);
        is_fresh.then_some(now.version)
    }

    /// The number whenever it was read.
    pub fn watch(&self) -> watch::Receiver<Option<i64>> {
        let mut number = self.known.number.subscribe();
        // Perhaps it was read already.
        number.mark_changed();
        number
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

async fn poll(database: Database, every: Duration) {
    let (known, reader) = (Arc::clone(&database.known), database.reader.clone());
    let mut failing = false;
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = known.committed.notified() => {}
        }
        let question = known.ask();
        let database = database.clone();
        let asked = time::timeout(
            PATIENCE,
            while_wanted(async move { database.state().await }),
        );
        // A connection that is dead and does not say so is left behind.
        let late = |_| Err(Error::new(Code::Timeout, "the database does not answer"));
        match asked.await.unwrap_or_else(late) {
            Ok(number) => {
                known.answer(&question, number);
                if std::mem::take(&mut failing) {
                    tracing::info!("the database answers again");
                }
            }
            Err(_) if reader.is_closed() => return,
            Err(error) => {
                let cause = error.cause();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(cause, "the catalogue's state cannot be read");
                }
            }
        }
    }
}

impl Database {
    async fn state(&self) -> Result<i64> {
        let select = catalog_state::Entity::find_by_id(1)
            .select_only()
            .column(catalog_state::Column::State)
            .into_query();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next());
        let state = rows.await?.pop();
        state.ok_or_else(|| Error::internal("there is no state"))
    }

    /// Whether every migration that this program knows was applied; an error where the database cannot be reached.
    pub async fn is_migrated(&self) -> Result<bool> {
        let applied = self.versions().await?;
        Ok(migration::names()
            .iter()
            .all(|known| applied.contains(known)))
    }

    /// The migrations that were applied, also where there is no table of them yet.
    pub(in crate::store) async fn applied(&self) -> Result<Vec<String>> {
        let is_there = match self.reader.backend() {
            DbBackend::Postgres => {
                "SIGN(COALESCE(to_regclass('seaql_migrations')::oid::bigint, 0))::bigint"
            }
            _ => "(SELECT COUNT(*) FROM sqlite_schema WHERE name = 'seaql_migrations')",
        };
        let select = Query::select().expr(Expr::cust(is_there)).to_owned();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next::<i64>());
        match rows.await?.first() {
            Some(1) => self.versions().await,
            _ => Ok(Vec::new()),
        }
    }

    async fn versions(&self) -> Result<Vec<String>> {
        let select = Query::select()
            .column("version")
            .from("seaql_migrations")
            .to_owned();
        let rows = self
            .reader
            .rows(&select, Pace::Brief, |row| row.cells(0).next());
        rows.await
    }

    /// The pools of connections, by name.
    pub fn pools(&self) -> Vec<(&'static str, Pool)> {
        let reader = self.reader.pool();
        match &self.writer {
            Writer::Postgres { .. } => vec![("all", reader)],
            Writer::Sqlite { pool, .. } => {
                let writer = Pool::new(pool.size(), pool.num_idle());
                vec![("reader", reader), ("writer", writer)]
            }
        }
    }
}

/// How many connections there are.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub open: i64,
    pub idle: i64,
}

impl Pool {
    pub(in crate::store) fn new(open: u32, idle: usize) -> Self {
        let idle = i64::try_from(idle).unwrap_or(i64::MAX);
        Self {
            open: open.into(),
            idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(known: &Known) -> Option<i64> {
        *known.number.borrow()
    }

    /// What the version is from now on, which must be another than all before.
    fn another(known: &Known, before: &mut Vec<Version>) {
        let version = known.read().version;
        assert!(!before.contains(&version), "{version:?} came again");
        before.push(version);
    }

    #[test]
    fn an_old_answer_takes_no_commit_back() {
        let (known, mut versions) = (Known::default(), Vec::new());
        another(&known, &mut versions);
        known.answer(&known.ask(), 5);
        another(&known, &mut versions);
        let question = known.ask();
        known.commit(6);
        another(&known, &mut versions);
        known.answer(&question, 5);
        assert_eq!(number(&known), Some(6));
        assert_eq!(known.read().version, versions[2], "the same is known");
        // Nor does a commit that is told of late.
        known.commit(8);
        another(&known, &mut versions);
        known.commit(7);
        another(&known, &mut versions);
        assert_eq!(number(&known), Some(8));
        // What others have committed is there too.
        let question = known.ask();
        known.commit(9);
        another(&known, &mut versions);
        known.answer(&question, 12);
        another(&known, &mut versions);
        assert_eq!(number(&known), Some(12));
    }

    #[test]
    fn a_restored_backup_is_believed_and_is_no_catalogue_of_before() {
        let (known, mut versions) = (Known::default(), Vec::new());
        known.answer(&known.ask(), 5);
        another(&known, &mut versions);
        known.answer(&known.ask(), 3);
        another(&known, &mut versions);
        assert_eq!((number(&known), known.history()), (Some(3), 1));
        known.answer(&known.ask(), 5);
        another(&known, &mut versions);
        // The same number means the same only to who was there all the time.
        known.answer(&known.ask(), 5);
        assert_eq!(known.read().version, versions[2]);
        let later = |known: &Known, after: Duration| Question {
            at: known.read().asked_at.unwrap() + after,
            commits: 0,
        };
        known.answer(&later(&known, FRESH / 2), 5);
        assert_eq!(known.read().version, versions[2]);
        known.answer(&later(&known, FRESH), 5);
        another(&known, &mut versions);
    }
}
