//! The names of operations that have series of their own.
//!
//! Invariant: there are a bounded number of them, whatever clients send. Callers without a token take half of the places at
//! most. A name that nobody has asked for in an hour gives its place to a new one.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Names with series of their own. The rest are [`OTHER`].
const PLACES: usize = 100;

/// The most places of names that came without a token.
const ANONYMOUS_PLACES: usize = PLACES / 2;

/// A name that is not asked for in this time may lose its place.
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
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    names: HashMap<Arc<str>, Place>,
    labels: HashSet<Labels>,
}

#[derive(Debug)]
struct Place {
    has_token: bool,
    /// Seconds from the start to the last request.
    asked: AtomicU64,
}

impl Default for OperationNames {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            kept: RwLock::default(),
        }
    }
}

impl OperationNames {
    /// Counts a request under its name, or under [`OTHER`]. `remove` removes the series of a name that lost its place.
    pub(super) fn count(
        &self,
        asked: Asked<'_>,
        now: Instant,
        count: impl Fn(Arc<str>),
        remove: impl Fn(&Arc<str>, Labels),
    ) {
        let seconds = now.saturating_duration_since(self.start).as_secs();
        let name = asked.name;
        {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = kept.names.get(name)
                && kept.labels.contains(&asked.labels)
            {
                place.asked.store(seconds, Ordering::Relaxed);
                // Under the lock, so that no series is made of a name that has just lost its place.
                return count(name.clone());
            }
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.labels.insert(asked.labels);
        let has_place =
            kept.names.contains_key(name) || kept.make_place(asked.has_token, seconds, &remove);
        if has_place {
            let place = Place {
                has_token: asked.has_token,
                asked: AtomicU64::new(seconds),
            };
            kept.names.insert(name.clone(), place);
            count(name.clone());
        } else {
            count(OTHER.into());
        }
    }
}

impl Kept {
    /// Whether there is a place for a new name, after an idle name has lost its own where there must be one.
    fn make_place(
        &mut self,
        has_token: bool,
        seconds: u64,
        remove: impl Fn(&Arc<str>, Labels),
    ) -> bool {
        let places = self.names.values();
        let anonymous = places.filter(|place| !place.has_token).count();
        let is_free = self.names.len() < PLACES && (has_token || anonymous < ANONYMOUS_PLACES);
        if is_free {
            return true;
        }
        let idle = self.names.iter().find(|(_, place)| {
            let since = seconds.saturating_sub(place.asked.load(Ordering::Relaxed));
            // Places of callers with a token go to callers with a token.
            since >= IDLE.as_secs() && (has_token || !place.has_token)
        });
        let Some(idle) = idle.map(|(name, _)| name.clone()) else {
            return false;
        };
        self.names.remove(&idle);
        for labels in &self.labels {
            remove(&idle, *labels);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const LABELS: Labels = ("query", 200);

    /// Names as series count them.
    struct Series {
        names: OperationNames,
        counts: Mutex<HashMap<Arc<str>, u64>>,
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
                |name| *self.counts.lock().unwrap().entry(name).or_default() += 1,
                |name, _| {
                    self.counts.lock().unwrap().remove(name);
                },
            );
        }

        fn count(&self, name: &str) -> Option<u64> {
            self.counts.lock().unwrap().get(name).copied()
        }
    }

    #[test]
    fn names_without_a_token_leave_places_to_others() {
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
    fn idle_names_give_up_their_places() {
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
        assert_eq!(series.counts.lock().unwrap().len(), PLACES);
    }
}
