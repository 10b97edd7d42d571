//! Time, new ids and marks.
//!
//! The wall clock dates events. It may be set to any time, so durations use [`Clock::monotonic`].
//!
//! Invariant: only this module reads the system's wall time and makes ids and marks.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use entity::Timestamp;
use ulid::Ulid;

/// The least difference of wall time and monotonic time that counts as a step, in microseconds.
const STEP: u64 = 1_000_000;

/// The source of time and ids: the system's, or fixed ones for tests.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Fixed>>);

#[derive(Debug)]
struct Fixed {
    micros: AtomicI64,
    began: Instant,
    /// Microseconds of monotonic time.
    elapsed: AtomicU64,
    connector_ids: AtomicU64,
    request_ids: AtomicU64,
    holder_ids: AtomicU64,
}

impl Clock {
    /// Returns the system's clocks, with random ids.
    pub fn system() -> Self {
        Self(None)
    }

    /// Returns a clock that stands still at `at` until it is set, and that counts the ids of each kind.
    pub fn fixed(at: Timestamp) -> Self {
        Self(Some(Arc::new(Fixed {
            micros: AtomicI64::new(at.0),
            began: Instant::now(),
            elapsed: AtomicU64::new(0),
            connector_ids: AtomicU64::new(0),
            request_ids: AtomicU64::new(0),
            holder_ids: AtomicU64::new(0),
        })))
    }

    /// Sets a fixed clock. Forwards, its monotonic time advances as much. The system's clock is not changed.
    pub fn set(&self, at: Timestamp) {
        if let Some(fixed) = &self.0 {
            let before = fixed.micros.swap(at.0, Ordering::Relaxed);
            let passed = at.0.saturating_sub(before).try_into().unwrap_or(0);
            fixed.elapsed.fetch_add(passed, Ordering::Relaxed);
        }
    }

    /// Sets a fixed clock's wall time only, without advancing monotonic time.
    pub fn step(&self, at: Timestamp) {
        if let Some(fixed) = &self.0 {
            fixed.micros.store(at.0, Ordering::Relaxed);
        }
    }

    /// Returns the wall time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is where time is read")]
            None => wall(SystemTime::now()),
            Some(fixed) => Timestamp(fixed.micros.load(Ordering::Relaxed)),
        }
    }

    /// Returns whether the wall time is within 1970 to 9999. Outside, libraries that write it panic: HTTP's dates, TLS,
    /// migrations.
    pub fn is_usable(&self) -> bool {
        (Timestamp(0)..=Timestamp::LAST).contains(&self.now())
    }

    /// Returns the time to measure durations by. It never goes back, and stops while the machine is suspended.
    pub(crate) fn monotonic(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(fixed) => {
                fixed.began + Duration::from_micros(fixed.elapsed.load(Ordering::Relaxed))
            }
        }
    }

    /// Returns the present moment by both clocks.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            monotonic: self.monotonic(),
            wall: self.now(),
        }
    }

    /// Returns the time since a moment: the monotonic one, or the wall clock's if that is longer.
    ///
    /// It includes times when the machine was suspended. Setting the wall clock may make it longer, never shorter.
    pub(crate) fn since(&self, moment: Moment) -> Duration {
        let passed = (self.monotonic()).saturating_duration_since(moment.monotonic);
        passed.max(self.now().since(moment.wall))
    }

    /// Makes an id for a new connector: `pcon_` and a ULID in lower case.
    pub(crate) fn new_connector_id(&self) -> String {
        let ulid = self.new_ulid(|fixed| &fixed.connector_ids);
        format!("pcon_{}", ulid.to_string().to_ascii_lowercase())
    }

    /// Makes an id for a request without one.
    pub(crate) fn new_request_id(&self) -> String {
        self.new_ulid(|fixed| &fixed.request_ids).to_string()
    }

    /// Makes an id for the holder of a lease, unique among processes.
    pub(crate) fn new_holder_id(&self) -> String {
        self.new_ulid(|fixed| &fixed.holder_ids).to_string()
    }

    /// Makes a random, unique mark, even with a fixed clock.
    pub(crate) fn new_mark() -> Result<i64, getrandom::Error> {
        getrandom::u64().map(u64::cast_signed)
    }

    fn new_ulid(&self, counter: impl Fn(&Fixed) -> &AtomicU64) -> Ulid {
        match &self.0 {
            // A ULID's time is zero before 1970, and starts over after 10889.
            #[expect(clippy::disallowed_methods, reason = "this is where ids are made")]
            None => Ulid::generate(),
            Some(fixed) => {
                let count = counter(fixed).fetch_add(1, Ordering::Relaxed);
                let millis = u64::try_from(self.now().0 / 1000).unwrap_or(0);
                Ulid::from_parts(millis, u128::from(count))
            }
        }
    }
}

/// A moment by both clocks. See [`Clock::since`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: Timestamp,
}

fn wall(time: SystemTime) -> Timestamp {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp(match time.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}

/// Detects steps of the wall clock: it was set, or continued while the machine was suspended.
#[derive(Debug)]
pub(crate) struct Steps {
    clock: Clock,
    began: Instant,
    /// Microseconds by which wall time is ahead of the time since `began`.
    offset: i64,
}

impl Steps {
    pub(crate) fn new(clock: Clock) -> Self {
        let (began, offset) = (clock.monotonic(), clock.now().0);
        Self {
            clock,
            began,
            offset,
        }
    }

    /// Returns whether the wall clock has stepped since this last returned true.
    pub(crate) fn stepped(&mut self) -> bool {
        let Timestamp(offset) = self.clock.now().saturating_sub(self.elapsed());
        let stepped = offset.abs_diff(self.offset) > STEP;
        if stepped {
            self.offset = offset;
        }
        stepped
    }

    fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.began)
    }
}

/// A wall clock that follows a step only after it has lasted, so that a temporarily wrong clock expires nothing.
#[derive(Debug)]
pub struct Settled {
    lasts: Duration,
    state: Mutex<Settling>,
}

#[derive(Debug)]
struct Settling {
    steps: Steps,
    /// The time at which the last step was noticed.
    since: Instant,
    /// The offset that has lasted.
    offset: Option<i64>,
}

impl Settled {
    /// Creates a clock that follows a step after `lasts`. Its present time counts as a step.
    pub(crate) fn new(clock: Clock, lasts: Duration) -> Self {
        let steps = Steps::new(clock);
        let state = Settling {
            since: steps.began,
            steps,
            offset: None,
        };
        Self {
            lasts,
            state: Mutex::new(state),
        }
    }

    /// Returns the time; none until the clock has been consistent for that long.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.steps.clock.monotonic();
        if state.steps.stepped() {
            state.since = now;
        }
        if now.saturating_duration_since(state.since) >= self.lasts {
            state.offset = Some(state.steps.offset);
        }
        let elapsed = state.steps.elapsed();
        state
            .offset
            .map(|offset| Timestamp(offset).saturating_add(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(8766);

    #[test]
    fn any_wall_time_can_be_told() {
        let second = Duration::from_secs(1);
        assert_eq!(wall(UNIX_EPOCH - second), Timestamp(-1_000_000));
        assert_eq!(wall(UNIX_EPOCH + second), Timestamp(1_000_000));
        let far = Duration::from_hours(400_000 * 366 * 24);
        assert!(wall(UNIX_EPOCH - far) < Timestamp::FIRST);
        assert!(wall(UNIX_EPOCH + far) > Timestamp::LAST);
        let before = Clock::fixed(Timestamp(-1));
        assert_eq!(before.new_request_id(), "0".repeat(26));
    }

    #[test]
    fn monotonic_time_never_goes_back() {
        let clock = Clock::fixed(Timestamp(0));
        let began = clock.monotonic();
        clock.step(Timestamp(0).saturating_add(YEAR));
        clock.set(Timestamp(0));
        clock.step(Timestamp(0).saturating_sub(YEAR));
        assert_eq!(clock.monotonic(), began);
        clock.set(clock.now().saturating_add(HOUR));
        assert_eq!(clock.monotonic(), began + HOUR);
    }

    #[test]
    fn the_time_since_a_moment_is_the_longer_one() {
        let clock = Clock::fixed(Timestamp(0));
        let moment = clock.moment();
        clock.set(clock.now().saturating_add(HOUR));
        assert_eq!(clock.since(moment), HOUR);
        clock.step(Timestamp(0).saturating_sub(YEAR));
        assert_eq!(clock.since(moment), HOUR, "set back");
        // As after a suspension, in which the monotonic clock stood still.
        clock.step(Timestamp(0).saturating_add(YEAR));
        assert_eq!(clock.since(moment), YEAR);
    }

    #[test]
    fn a_step_is_noticed_once() {
        let clock = Clock::fixed(Timestamp(0));
        let mut steps = Steps::new(clock.clone());
        clock.set(Timestamp(0).saturating_add(YEAR));
        assert!(!steps.stepped(), "time passed");
        for step in [YEAR, Duration::ZERO, 2 * YEAR] {
            clock.step(Timestamp(0).saturating_add(step));
            assert_eq!(
                (steps.stepped(), steps.stepped()),
                (step != YEAR, false),
                "{step:?}"
            );
        }
        // Small ones add up.
        clock.step(clock.now().saturating_sub(Duration::from_millis(600)));
        assert!(!steps.stepped());
        clock.step(clock.now().saturating_sub(Duration::from_millis(600)));
        assert!(steps.stepped());
    }

    #[test]
    fn a_step_is_followed_when_it_has_lasted() {
        let clock = Clock::fixed(Timestamp(0));
        let settled = Settled::new(clock.clone(), HOUR);
        assert_eq!(settled.now(), None);
        let pass = |time: Duration| clock.set(clock.now().saturating_add(time));
        pass(HOUR);
        assert_eq!(settled.now(), Some(clock.now()));
        // On a year, and back.
        let before = clock.now();
        clock.step(before.saturating_add(YEAR));
        assert_eq!(settled.now(), Some(before));
        pass(HOUR / 2);
        assert_eq!(settled.now(), Some(before.saturating_add(HOUR / 2)));
        clock.step(clock.now().saturating_sub(YEAR));
        assert_eq!(settled.now(), Some(clock.now()));
        pass(HOUR);
        assert_eq!(settled.now(), Some(clock.now()));
        // Back a year, for good.
        clock.step(clock.now().saturating_sub(YEAR));
        assert_eq!(settled.now(), Some(clock.now().saturating_add(YEAR)));
        pass(HOUR);
        assert_eq!(settled.now(), Some(clock.now()));
    }
}
