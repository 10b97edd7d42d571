//! How much one operation may ask for.

use crate::error::{Code, Error};

pub const TOKENS: u64 = 10_000;
/// GraphiQL and generators ask 15 levels of the introspection schema.
pub const DEPTH: u64 = 20;
pub const FIELDS: u64 = 5_000;
pub const COMPLEXITY: u64 = 20_000;
pub const ALIASES: u64 = 100;
pub const DIRECTIVES: u64 = 100;

/// Each is a setting.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the text, and of all operations together with fragments written out.
    pub max_tokens: u64,
    pub max_depth: u64,
    /// With fragments written out wherever they are spread.
    pub max_fields: u64,
    /// A field counts one, and what is selected of a list as often as the list may have items.
    pub max_complexity: u64,
    pub max_aliases: u64,
    pub max_directives: u64,
    /// Whether the schema may be asked for.
    pub introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tokens: TOKENS,
            max_depth: DEPTH,
            max_fields: FIELDS,
            max_complexity: COMPLEXITY,
            max_aliases: ALIASES,
            max_directives: DIRECTIVES,
            introspection: true,
        }
    }
}

pub(crate) fn exceeded(what: &str, most: u64, of: &str) -> Error {
    Error::new(
        Code::LimitExceeded,
        format!("{what} must have at most {most} {of}"),
    )
}
