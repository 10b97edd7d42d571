//! Connectors in and out of files: the published JSON object and the MCP registry's `server.json`.
//!
//! Invariant: a file's text becomes an [`Entry`](crate::domain::connector::Entry) by the same field rules as a mutation's
//! input, or a [`Rejection`] that says which field and why; nothing is dropped in silence.

pub mod builtin;
pub mod export;
pub mod import;
mod load;
pub mod object;
pub mod published;
pub mod reader;
pub mod registry;

use std::fmt;

use crate::error::UserError;

/// Why an object of a file was not taken: the field, as the file names it, and what was expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub field: String,
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => write!(f, "the object {}", self.reason),
            // Most reasons are sentences about it already.
            field if self.reason.starts_with(field) => f.write_str(&self.reason),
            field => write!(f, "{field}: {}", self.reason),
        }
    }
}

impl From<UserError> for Rejection {
    fn from(error: UserError) -> Self {
        Self {
            field: error.field.unwrap_or_default().to_owned(),
            reason: error.message,
        }
    }
}
