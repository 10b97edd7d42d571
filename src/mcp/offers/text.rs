//! Cuts texts of servers to what is kept of them.

use crate::config::InspectionLimits;

pub(super) fn clip(text: &str, limits: &InspectionLimits) -> String {
    clipped(text, limits.characters)
}

/// The beginning of a text, without NUL, which PostgreSQL does not keep.
pub(super) fn clipped(text: &str, characters: usize) -> String {
    let shown = |c| if c == '\0' { '\u{fffd}' } else { c };
    text.chars().map(shown).take(characters).collect()
}
