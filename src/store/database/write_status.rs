//! Tracks whether writes succeed.
//!
//! Invariant: a failed write counts at once. Only a later probe ends that.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::DbErr;

use crate::store::{errors, unwritable::Unwritable};

/// The time for which a failed write leaves doubt: a small one may succeed where a large one does not.
const DOUBT: Duration = Duration::from_secs(10);

/// The result of examining whether the database can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Look {
    Fine,
    /// Only a write can tell.
    Doubtful,
}

/// The known state of writes.
#[derive(Debug)]
pub(in crate::store) struct WriteStatus(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    reason: Option<Unwritable>,
    failed_at: Option<Instant>,
    probed_at: Option<Instant>,
}

impl WriteStatus {
    pub(in crate::store) fn new(read_only: bool) -> Self {
        Self(Mutex::new(Known {
            reason: read_only.then_some(Unwritable::Configured),
            ..Known::default()
        }))
    }

    pub(in crate::store) fn reason(&self) -> Option<Unwritable> {
        let damaged = errors::damage().map(|_| Unwritable::Damaged);
        damaged.or(self.known().reason)
    }

    /// Fails if the service never writes. Other obstacles may be over, so a write is tried.
    pub(in crate::store) fn check_allowed(&self) -> Result<(), Unwritable> {
        match self.reason() {
            Some(reason @ (Unwritable::Configured | Unwritable::Damaged)) => Err(reason),
            _ => Ok(()),
        }
    }

    pub(in crate::store) fn failed(&self, reason: Unwritable) {
        let mut known = self.known();
        known.failed_at = Some(Instant::now());
        let stays = [
            Some(reason),
            Some(Unwritable::Configured),
            Some(Unwritable::Damaged),
        ];
        if !stays.contains(&known.reason) {
            tracing::error!(%reason, advice = reason.advice(), "the service accepts no changes");
            known.reason = Some(reason);
        }
    }

    /// Records a failed write whose cause may concern it alone; a probe decides.
    pub(in crate::store) fn doubt(&self) {
        self.known().failed_at = Some(Instant::now());
    }

    /// Records the reason of a refused write, and returns its error.
    pub(in crate::store) fn refused(&self, reason: Unwritable) -> DbErr {
        self.failed(reason);
        errors::refused(reason)
    }

    /// Records and returns what an error means for writes.
    pub(in crate::store) fn observe(&self, error: &sqlx::Error) -> Option<Unwritable> {
        let reason = errors::unwritable(error)?;
        if reason == Unwritable::Denied {
            // The error names the table.
            tracing::warn!(%error, "the database refused a change");
        }
        self.failed(reason);
        Some(reason)
    }

    /// Records that a probe which began at this time succeeded.
    pub(in crate::store) fn probed(&self, began: Instant) {
        let mut known = self.known();
        known.probed_at = Some(began);
        if known.failed_at.is_none_or(|at| at < began) && known.reason.take().is_some() {
            tracing::info!("the service accepts changes again");
        }
    }

    /// Returns whether a write failed lately.
    pub(in crate::store) fn is_doubtful(&self) -> bool {
        let known = self.known();
        known.reason.is_some() || known.failed_at.is_some_and(|at| at.elapsed() < DOUBT)
    }

    /// Returns whether no probe has succeeded lately.
    pub(in crate::store) fn is_unprobed(&self) -> bool {
        let at = self.known().probed_at;
        at.is_none_or(|at| at.elapsed() >= DOUBT)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
