//! The number of the last change, as this process knows it.
//!
//! Invariant: what is known comes from the database, or from a commit of this process, which no poll that was begun before it
//! takes back; how old the knowledge is is known too. A [`Version`] never comes again.

use std::{
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

/// How old the knowledge may be that answers are kept by.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// Stands for the catalogue as this process knows it: as long as it is the same one, nothing has changed that the process
/// knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

/// The last change that this process knows of, from its commits and its polls.
#[derive(Debug)]
pub(in crate::store) struct VersionTracker {
    pub(super) number: watch::Sender<Option<i64>>,
    now: RwLock<Knowledge>,
    /// Told of each change that this process commits.
    pub(super) committed: Notify,
}

#[derive(Debug)]
pub(super) struct Knowledge {
    pub(super) version: Version,
    /// Commits of this process.
    commits: u64,
    /// When the database was asked for the number.
    pub(super) asked_at: Option<Instant>,
    /// How often a backup was restored meanwhile.
    restored: u64,
}

/// A question for the number that is on its way.
pub(super) struct Question {
    at: Instant,
    commits: u64,
}

impl Default for VersionTracker {
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

impl VersionTracker {
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

    /// The number of the last change, when it is known, and each that follows.
    pub(in crate::store) fn number(&self) -> &watch::Sender<Option<i64>> {
        &self.number
    }

    pub(super) fn ask(&self) -> Question {
        Question {
            at: Instant::now(),
            commits: self.read().commits,
        }
    }

    pub(super) fn answer(&self, question: &Question, number: i64) {
        let mut now = self.write();
        let known = *self.number.borrow();
        // A commit that came after the question may be missing in the answer. Else what is lower is true: a backup was
        // restored.
        let number = match known {
            Some(known) if now.commits != question.commits => known.max(number),
            _ => number,
        };
        // After a gap in the polls, the same number may mean another catalogue.
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

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Knowledge> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Knowledge> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(known: &VersionTracker) -> Option<i64> {
        *known.number.borrow()
    }

    /// Asserts that the version is a new one, and adds it.
    fn another(known: &VersionTracker, before: &mut Vec<Version>) {
        let version = known.read().version;
        assert!(!before.contains(&version), "{version:?} came again");
        before.push(version);
    }

    #[test]
    fn an_old_answer_takes_no_commit_back() {
        let (known, mut versions) = (VersionTracker::default(), Vec::new());
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
        // The commits of others are there too.
        let question = known.ask();
        known.commit(9);
        another(&known, &mut versions);
        known.answer(&question, 12);
        another(&known, &mut versions);
        assert_eq!(number(&known), Some(12));
    }

    #[test]
    fn a_restored_backup_is_believed_and_is_no_catalogue_of_before() {
        let (known, mut versions) = (VersionTracker::default(), Vec::new());
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
        let later = |known: &VersionTracker, after: Duration| Question {
            at: known.read().asked_at.unwrap() + after,
            commits: 0,
        };
        known.answer(&later(&known, FRESH / 2), 5);
        assert_eq!(known.read().version, versions[2]);
        known.answer(&later(&known, FRESH), 5);
        another(&known, &mut versions);
    }
}
