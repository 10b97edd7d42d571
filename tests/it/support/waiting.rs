//! Waits for a condition, and fails after a time limit.

use std::time::{Duration, Instant};

/// Waits until `is_so`, at most for `limit`. Returns the elapsed time.
pub async fn within(limit: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}
