//! Whether writes succeed, as far as this process knows.
//!
//! Invariant: a failed write counts at once. Only a probe that began later says that writes succeed again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::DbErr;

use crate::store::{errors, unwritable::Unwritable};

/// How long writes are doubted after one failed: a small one may succeed where a large one does not.
const DOUBT: Duration = Duration::from_secs(10);

/// The result of a look at whether the database can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Look {
    Fine,
    /// Only a write shows whether one succeeds.
    Doubtful,
}

/// Whether the database can be written, as far as this process knows.
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

    /// Fails where the service does not write at all. Whatever else stood in the way may be over: a write tries.
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
            tracing::error!(%reason, advice = reason.advice(), "changes are refused");
            known.reason = Some(reason);
        }
    }

    /// Notes that a write failed for a reason that may concern it alone: a probe finds out.
    pub(in crate::store) fn doubt(&self) {
        self.known().failed_at = Some(Instant::now());
    }

    /// Notes why a write was refused, and gives the error for it.
    pub(in crate::store) fn refused(&self, reason: Unwritable) -> DbErr {
        self.failed(reason);
        errors::refused(reason)
    }

    /// Notes what an error says of writing, and gives it.
    pub(in crate::store) fn observe(&self, error: &sqlx::Error) -> Option<Unwritable> {
        let reason = errors::unwritable(error)?;
        if reason == Unwritable::Denied {
            // It names the table.
            tracing::warn!(%error, "the database refused a change");
        }
        self.failed(reason);
        Some(reason)
    }

    /// A probe that began at this time has succeeded.
    pub(in crate::store) fn probed(&self, began: Instant) {
        let mut known = self.known();
        known.probed_at = Some(began);
        if known.failed_at.is_none_or(|at| at < began) && known.reason.take().is_some() {
            tracing::info!("changes are taken again");
        }
    }

    /// Whether a write failed lately.
    pub(in crate::store) fn is_doubtful(&self) -> bool {
        let known = self.known();
        known.reason.is_some() || known.failed_at.is_some_and(|at| at.elapsed() < DOUBT)
    }

    /// Whether no probe has succeeded lately.
    pub(in crate::store) fn is_unprobed(&self) -> bool {
        let at = self.known().probed_at;
        at.is_none_or(|at| at.elapsed() >= DOUBT)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
