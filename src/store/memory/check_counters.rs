//! Counters of this process's checks, for its metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use entity::{Iterable, Outcome};

/// Counters since the process began, and present values.
#[derive(Debug)]
pub struct CheckCounters {
    checks: Vec<(Outcome, AtomicU64)>,
    under_way: AtomicUsize,
    holds_lease: AtomicBool,
}

impl Default for CheckCounters {
    fn default() -> Self {
        let none = |outcome| (outcome, AtomicU64::new(0));
        Self {
            checks: Outcome::iter().map(none).collect(),
            under_way: AtomicUsize::new(0),
            holds_lease: AtomicBool::new(false),
        }
    }
}

impl CheckCounters {
    /// Counts a completed check by its outcome.
    pub(crate) fn count(&self, outcome: Outcome) {
        let mut checks = self.checks.iter();
        if let Some((_, count)) = checks.find(|(of, _)| *of == outcome) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Sets the number of checks in progress.
    pub(crate) fn work(&self, under_way: usize) {
        self.under_way.store(under_way, Relaxed);
    }

    pub(in crate::store) fn hold(&self, holds: bool) {
        self.holds_lease.store(holds, Relaxed);
    }

    /// Returns the completed checks by outcome.
    pub fn checks(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let checks = self.checks.iter();
        checks.map(|(outcome, count)| (*outcome, count.load(Relaxed)))
    }

    pub fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// Returns whether this process held the lease at the last request.
    pub fn holds_lease(&self) -> bool {
        self.holds_lease.load(Relaxed)
    }
}
