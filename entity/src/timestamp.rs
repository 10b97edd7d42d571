use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::entity::prelude::*;

/// A moment in UTC, stored as whole microseconds since 1970-01-01T00:00:00Z (negative before).
///
/// An integer orders and compares alike on every database, which RFC 3339 text of varying precision does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Timestamp(pub i64);

impl From<DateTime<Utc>> for Timestamp {
    /// Cuts what is finer than a microsecond.
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
    /// RFC 3339 in UTC with no fraction, or three or six digits of it: `2025-01-01T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DateTime::<Utc>::from(*self).to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}
