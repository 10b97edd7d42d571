use std::{fmt, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::entity::prelude::*;

/// A moment in UTC, stored as whole microseconds since 1970-01-01T00:00:00Z (negative before).
///
/// Integers compare the same way on every database, unlike RFC 3339 text of varying precision.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    DeriveValueType,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The first moment that RFC 3339 can express, with a year of four digits: 0000-01-01T00:00:00Z.
    pub const FIRST: Self = Self(-62_167_219_200_000_000);
    /// The last moment that RFC 3339 can express: 9999-12-31T23:59:59.999999Z.
    pub const LAST: Self = Self(253_402_300_799_999_999);

    /// Adds a duration, truncated to microseconds. Stops at the latest moment of an `i64`.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// Subtracts a duration, truncated to microseconds. Stops at the earliest moment of an `i64`.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// Returns the duration since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(micros.try_into().unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl From<DateTime<Utc>> for Timestamp {
    /// Truncates to microseconds.
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(Timestamp(micros): Timestamp) -> Self {
        Self::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
            Self::MIN_UTC
        } else {
            Self::MAX_UTC
        })
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC without a fraction, or with three or six digits: `2025-01-01T00:00:00Z`. A moment outside
    /// the range of RFC 3339 is written as the nearest one inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from(*self.clamp(&Self::FIRST, &Self::LAST));
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_rfc_3339_whatever_it_is() {
        for (time, text) in [
            (Timestamp::FIRST, "0000-01-01T00:00:00Z"),
            (Timestamp::LAST, "9999-12-31T23:59:59.999999Z"),
            (Timestamp(-1), "1969-12-31T23:59:59.999999Z"),
            (Timestamp(i64::MIN), "0000-01-01T00:00:00Z"),
            (Timestamp(i64::MAX), "9999-12-31T23:59:59.999999Z"),
            (
                Timestamp(Timestamp::LAST.0 + 1),
                "9999-12-31T23:59:59.999999Z",
            ),
        ] {
            assert_eq!(time.to_string(), text);
            assert!(DateTime::parse_from_rfc3339(&time.to_string()).is_ok());
        }
    }
}
