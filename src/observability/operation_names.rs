//! Operation names with series of their own.
//!
//! Invariant: their number is bounded, whatever clients send. Callers without a token have at most half of them. A new
//! name may replace one that was idle for an hour.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;

/// The most names with series of their own. The rest count as [`OTHER`].
const NAMES: usize = 100;

/// The most names from callers without a token.
const ANONYMOUS_NAMES: usize = NAMES / 2;

/// The idle time after which another name may replace this one.
const IDLE: Duration = Duration::from_hours(1);

const OTHER: &str = "other";

/// The kind and status of a request, which are the other labels of a series.
type Labels = (&'static str, u16);

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) labels: Labels,
    pub(super) has_token: bool,
}

#[derive(Debug)]
pub(super) struct OperationNames {
    start: Instant,
    names: RwLock<HashMap<Arc<str>, Named>>,
}

/// The series of one name.
#[derive(Debug)]
struct Named {
    has_token: bool,
    /// Seconds from the start to the last request.
    asked: AtomicU64,
    counters: Vec<(Labels, Counter)>,
}

impl Default for OperationNames {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            names: RwLock::default(),
        }
    }
}

impl OperationNames {
    /// Counts a request under its name, or under [`OTHER`]. `counter` returns the counter of a name's series; `remove`
    /// removes a series that is replaced.
    pub(super) fn count(
        &self,
        asked: Asked<'_>,
        now: Instant,
        counter: impl Fn(Arc<str>) -> Counter,
        remove: impl Fn(&Arc<str>, Labels),
    ) {
        let seconds = now.saturating_duration_since(self.start).as_secs();
        let Asked { name, labels, .. } = asked;
        {
            let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = names.get(name)
                && let Some((_, counter)) = series.counters.iter().find(|(own, _)| *own == labels)
            {
                series.asked.store(seconds, Ordering::Relaxed);
                // The lock is held, so that no removed series is counted in.
                counter.inc();
                return;
            }
        }
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if !names.contains_key(name)
            && !may_have_series(&mut names, asked.has_token, seconds, remove)
        {
            counter(OTHER.into()).inc();
            return;
        }
        let series = names.entry(name.clone()).or_insert_with(|| Named {
            has_token: asked.has_token,
            asked: AtomicU64::default(),
            counters: Vec::new(),
        });
        series.has_token = asked.has_token;
        series.asked.store(seconds, Ordering::Relaxed);
        let counter = counter(name.clone());
        counter.inc();
        if series.counters.iter().all(|(own, _)| *own != labels) {
            series.counters.push((labels, counter));
        }
    }
}

/// Returns whether a new name may have series, after removing an idle name if necessary.
fn may_have_series(
    names: &mut HashMap<Arc<str>, Named>,
    has_token: bool,
    seconds: u64,
    remove: impl Fn(&Arc<str>, Labels),
) -> bool {
    let anonymous = names.values().filter(|series| !series.has_token).count();
    if names.len() < NAMES && (has_token || anonymous < ANONYMOUS_NAMES) {
        return true;
    }
    let idle = names.iter().find(|(_, series)| {
        let since = seconds.saturating_sub(series.asked.load(Ordering::Relaxed));
        // An authenticated caller's name is replaced only by another authenticated caller's.
        since >= IDLE.as_secs() && (has_token || !series.has_token)
    });
    let Some(idle) = idle.map(|(name, _)| name.clone()) else {
        return false;
    };
    let removed = names.remove(&idle);
    for (labels, _) in removed.into_iter().flat_map(|series| series.counters) {
        remove(&idle, labels);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const LABELS: Labels = ("query", 200);

    /// Operation names and their series.
    struct Series {
        names: OperationNames,
        counts: Mutex<HashMap<Arc<str>, Counter>>,
    }

    impl Series {
        fn new() -> Self {
            Self {
                names: OperationNames::default(),
                counts: Mutex::default(),
            }
        }

        fn ask(&self, name: &str, has_token: bool, after: Duration) {
            let asked = Asked {
                name: &name.into(),
                labels: LABELS,
                has_token,
            };
            self.names.count(
                asked,
                self.names.start + after,
                |name| self.counts.lock().unwrap().entry(name).or_default().clone(),
                |name, _| {
                    self.counts.lock().unwrap().remove(name);
                },
            );
        }

        fn count(&self, name: &str) -> Option<u64> {
            self.counts.lock().unwrap().get(name).map(Counter::get)
        }
    }

    #[test]
    fn names_without_a_token_leave_series_to_others() {
        let series = Series::new();
        for number in 0..1000 {
            series.ask(&format!("A{number}"), false, Duration::ZERO);
        }
        assert_eq!(series.count(OTHER), Some(950));
        for number in 0..60 {
            series.ask(&format!("T{number}"), true, Duration::ZERO);
        }
        assert_eq!(series.count("T49"), Some(1));
        assert_eq!(series.count(OTHER), Some(960));
    }

    #[test]
    fn idle_names_give_way() {
        let series = Series::new();
        let later = IDLE + Duration::from_secs(1);
        for number in 0..100 {
            series.ask(&format!("A{number}"), number % 2 == 0, Duration::ZERO);
        }
        series.ask("A1", false, later);
        for name in ["New", "Newer"] {
            series.ask(name, false, later);
            assert_eq!(series.count(name), Some(1));
        }
        assert_eq!(series.count("A1"), Some(2), "it was asked for");
        assert_eq!(series.counts.lock().unwrap().len(), NAMES);
    }
}
