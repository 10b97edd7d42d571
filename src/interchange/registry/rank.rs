//! Ranks the versions of a server to find the latest one.

use chrono::{DateTime, Utc};
use semver::Prerelease;

/// The rank of a version. The greatest is parsed, and of equal ones the last in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Whether the registry marks it as the latest.
    pub(super) latest: bool,
    pub(super) version: Precedence,
    pub(super) published_at: Option<DateTime<Utc>>,
}

/// The precedence of a version's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    /// No numbers, so that the time of publication decides.
    Other,
    /// A date with hyphens, as year, month and day.
    Date([u64; 3]),
    /// Numbers without trailing zeros, and the pre-release (Semantic Versioning 2.0.0, section 11).
    Version(Vec<u64>, Prerelease),
}

impl Precedence {
    /// Parses a semantic version or a similar one: `v1.10`, `1.2.3.4`, `2025.01.31`. Build metadata has no precedence.
    pub(super) fn of(version: &str) -> Self {
        Self::date(version)
            .or_else(|| Self::version(version))
            .unwrap_or(Self::Other)
    }

    fn date(version: &str) -> Option<Self> {
        let parts: Vec<_> = version.split('-').collect();
        let [year, month, day] = parts[..] else {
            return None;
        };
        let is_date = year.len() == 4 && month.len() == 2 && day.len() == 2;
        let numbers = [number(year)?, number(month)?, number(day)?];
        is_date.then_some(Self::Date(numbers))
    }

    fn version(version: &str) -> Option<Self> {
        let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
        let version = version
            .split_once('+')
            .map_or(version, |(version, _)| version);
        let (core, pre) = version.split_once('-').unwrap_or((version, ""));
        let numbers: Option<Vec<_>> = core.split('.').map(number).collect();
        let mut numbers = numbers?;
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self::Version(numbers, Prerelease::new(pre).ok()?))
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
