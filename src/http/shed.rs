//! Requests and operations rejected under overload: one log line a second for each reason.
//!
//! A line for each rejection would cost more than the rejection itself.

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

/// Counts one rejection by its reason, which is also the client's message.
pub(super) fn turned_away(reason: &'static str) {
    let mut reasons = UNLOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let unlogged = reasons.entry(reason).or_default();
    unlogged.requests += 1;
    if unlogged
        .since
        .is_none_or(|since| since.elapsed() >= LOGGED_EVERY)
    {
        tracing::warn!(
            requests = unlogged.requests,
            reason,
            "requests were rejected"
        );
        *unlogged = Unlogged {
            requests: 0,
            since: Some(Instant::now()),
        };
    }
}
