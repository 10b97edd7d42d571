//! The position of the last change, as this process knows it.
//!
//! Invariant: the known position comes from the database or from a commit of this process, which no earlier poll
//! reverts. Its age is known too. A [`Version`] never repeats. Equal positions mean equal catalogues: after a restored
//! backup, or a failover to a standby that lacked commits, other changes have other marks.

use std::{
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

use crate::domain::cursor::LogPosition;

/// The largest age of a known position for cached responses.
pub(in crate::store) const FRESH: Duration = Duration::from_secs(1);

/// A version of the catalogue, as this process knows it. While it is the same, no known change has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version(u64);

/// Tracks the last change, from this process's commits and polls.
#[derive(Debug)]
pub(in crate::store) struct VersionTracker {
    pub(in crate::store) position: watch::Sender<Option<LogPosition>>,
    now: RwLock<Knowledge>,
    /// Notified of each commit of this process.
    pub(in crate::store) committed: Notify,
}

#[derive(Debug)]
pub(in crate::store) struct Knowledge {
    pub(in crate::store) version: Version,
    /// The number of this process's commits.
    commits: u64,
    /// The time at which the position was last requested.
    pub(in crate::store) asked_at: Option<Instant>,
}

/// A request for the position, in progress.
pub(in crate::store) struct Question {
    at: Instant,
    commits: u64,
}

impl Default for VersionTracker {
    fn default() -> Self {
        Self {
            position: watch::Sender::new(None),
            now: RwLock::new(Knowledge {
                version: Version(0),
                commits: 0,
                asked_at: None,
            }),
            committed: Notify::new(),
        }
    }
}

impl VersionTracker {
    /// Records that this process committed changes up to a position. Call this before the commit is visible to any
    /// caller.
    pub(in crate::store) fn commit(&self, position: LogPosition) {
        let mut now = self.write();
        now.commits += 1;
        // The version changes even if a later commit came first, or if there is another history with lower numbers.
        now.version.0 += 1;
        self.position.send_if_modified(|known| {
            let is_later = known.is_none_or(|known| known.number < position.number);
            if is_later {
                *known = Some(position);
            }
            is_later
        });
        drop(now);
        self.committed.notify_one();
    }

    /// Returns the position of the last change, if known.
    pub(in crate::store) fn position(&self) -> Option<LogPosition> {
        *self.position.borrow()
    }

    pub(in crate::store) fn ask(&self) -> Question {
        Question {
            at: Instant::now(),
            commits: self.read().commits,
        }
    }

    pub(in crate::store) fn answer(&self, question: &Question, state: LogPosition) {
        let mut now = self.write();
        let known = *self.position.borrow();
        // The answer may lack a commit that came after the request. Otherwise the answer is right, even if it is lower.
        let state = match known {
            Some(known) if now.commits != question.commits && known.number >= state.number => known,
            _ => state,
        };
        // During a gap in the polls, another history may have been there and served responses.
        let gap = now
            .asked_at
            .is_none_or(|before| question.at.duration_since(before) >= FRESH);
        if gap || known != Some(state) {
            now.version.0 += 1;
        }
        now.asked_at = Some(question.at);
        self.position.send_replace(Some(state));
    }

    pub(in crate::store) fn read(&self) -> RwLockReadGuard<'_, Knowledge> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Knowledge> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a position in the initial history.
    fn at(number: i64) -> LogPosition {
        LogPosition {
            number,
            mark: number,
        }
    }

    fn position(known: &VersionTracker) -> Option<LogPosition> {
        *known.position.borrow()
    }

    /// Asserts that the version is new, and records it.
    fn another(known: &VersionTracker, before: &mut Vec<Version>) {
        let version = known.read().version;
        assert!(!before.contains(&version), "{version:?} came again");
        before.push(version);
    }

    #[test]
    fn an_old_answer_takes_no_commit_back() {
        let (known, mut versions) = (VersionTracker::default(), Vec::new());
        another(&known, &mut versions);
        known.answer(&known.ask(), at(5));
        another(&known, &mut versions);
        let question = known.ask();
        known.commit(at(6));
        another(&known, &mut versions);
        known.answer(&question, at(5));
        assert_eq!(position(&known), Some(at(6)));
        assert_eq!(known.read().version, versions[2], "the same is known");
        // Neither does a late report of a commit.
        known.commit(at(8));
        another(&known, &mut versions);
        known.commit(at(7));
        another(&known, &mut versions);
        assert_eq!(position(&known), Some(at(8)));
        // Commits of other processes count too.
        let question = known.ask();
        known.commit(at(9));
        another(&known, &mut versions);
        known.answer(&question, at(12));
        another(&known, &mut versions);
        assert_eq!(position(&known), Some(at(12)));
    }

    #[test]
    fn another_history_is_believed_and_is_no_catalogue_of_before() {
        let (known, mut versions) = (VersionTracker::default(), Vec::new());
        known.answer(&known.ask(), at(5));
        another(&known, &mut versions);
        // Lower, equal and higher numbers.
        for number in [3, 5, 5, 9] {
            let mark = 1000 + i64::try_from(versions.len()).unwrap();
            let state = LogPosition { number, mark };
            known.answer(&known.ask(), state);
            another(&known, &mut versions);
            assert_eq!(position(&known), Some(state));
        }
        // A commit during it, with a number that existed before.
        let state = LogPosition { number: 5, mark: 0 };
        known.commit(state);
        another(&known, &mut versions);
        known.answer(&known.ask(), state);
        another(&known, &mut versions);
        assert_eq!(position(&known), Some(state));
        // Equal positions mean equal catalogues only without a gap.
        let later = |known: &VersionTracker, after: Duration| Question {
            at: known.read().asked_at.unwrap() + after,
            commits: 1,
        };
        known.answer(&later(&known, FRESH / 2), state);
        assert_eq!(Some(&known.read().version), versions.last());
        known.answer(&later(&known, FRESH), state);
        another(&known, &mut versions);
    }
}
