//! The `Date` header (RFC 9110 §6.6.1).
//!
//! The service writes its own, because hyper's stops when the wall clock is set back, until the clock has caught up.

use std::cell::RefCell;

use axum::http::HeaderValue;
use chrono::{DateTime, Utc};
use entity::Timestamp;

thread_local! {
    /// The value of the last second.
    static LAST: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Returns the header's value for a moment; none for a year that it cannot express.
pub(super) fn value(now: Timestamp) -> Option<HeaderValue> {
    let second = now.0.div_euclid(1_000_000);
    LAST.with_borrow_mut(|last| match last {
        Some((at, value)) if *at == second => Some(value.clone()),
        _ => {
            let value = write(now)?;
            *last = Some((second, value.clone()));
            Some(value)
        }
    })
}

fn write(now: Timestamp) -> Option<HeaderValue> {
    if !(Timestamp::FIRST..=Timestamp::LAST).contains(&now) {
        return None;
    }
    let text = DateTime::<Utc>::from(now).format("%a, %d %b %Y %H:%M:%S GMT");
    HeaderValue::try_from(text.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_clock_and_has_four_digits_of_years() {
        // The first example is RFC 9110's own.
        for (seconds, text) in [
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (784_111_776, Some("Sun, 06 Nov 1994 08:49:36 GMT")),
            (-1, Some("Wed, 31 Dec 1969 23:59:59 GMT")),
            (253_402_300_799, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (253_402_300_800, None),
            (-62_167_219_201, None),
        ] {
            let value = value(Timestamp(seconds * 1_000_000));
            assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), text);
        }
    }
}
