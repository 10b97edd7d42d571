//! Requests and operations that are turned away in an overload: one line a second in the log for each reason.
//!
//! A line for each of them would cost more than to turn them away.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const LOGGED_EVERY: Duration = Duration::from_secs(1);

/// The requests since the last line, and its time.
#[derive(Debug, Default)]
struct Unlogged {
    requests: u64,
    since: Option<Instant>,
}

static UNLOGGED: Mutex<BTreeMap<&str, Unlogged>> = Mutex::new(BTreeMap::new());

/// Counts one that is turned away for a reason, which is also the message to its client.
pub(super) fn turned_away(reason: &'static str) {
    let mut reasons = UNLOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let unlogged = reasons.entry(reason).or_default();
    unlogged.requests += 1;
    if unlogged
        .since
        .is_none_or(|since| since.elapsed() >= LOGGED_EVERY)
    {
        tracing::warn!(requests = unlogged.requests, reason, "turned away");
        *unlogged = Unlogged {
            requests: 0,
            since: Some(Instant::now()),
        };
    }
}
