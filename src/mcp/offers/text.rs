//! Clips servers' texts to their stored length.

use crate::config::InspectionLimits;

pub(super) fn clip(text: &str, limits: &InspectionLimits) -> String {
    clipped(text, limits.characters)
}

/// Returns the start of a text, without NUL, which PostgreSQL cannot store.
pub(super) fn clipped(text: &str, characters: usize) -> String {
    let shown = |c| if c == '\0' { '\u{fffd}' } else { c };
    text.chars().map(shown).take(characters).collect()
}
