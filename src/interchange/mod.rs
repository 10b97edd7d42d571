//! Connectors in and out of files: published JSON objects, the MCP registry's `server.json`, and the servers of clients'
//! configurations and other catalogues.
//!
//! Invariant: a file's text becomes an [`Entry`](crate::domain::connector::Entry) by the same field rules as a mutation's
//! input, or a [`Rejection`] that says which field and why; nothing is dropped in silence.

pub(crate) mod builtin;
pub mod categories;
pub mod export;
pub mod import;
mod load;
mod named;
pub(crate) mod object;
pub mod published;
pub(crate) mod reader;
pub(crate) mod registry;
mod secrets;
pub(crate) mod shape;

use std::fmt;

use crate::{domain::connector::Entry, error::UserError};

/// Why an object of a file was not taken: the field, as the file names it, and what was expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Rejection {
    fn new(field: &str, reason: &str) -> Self {
        Self {
            field: field.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => write!(f, "the entry {}", self.reason),
            // Most reasons are sentences about it already.
            field if self.reason.starts_with(field) => f.write_str(&self.reason),
            field => write!(f, "{field}: {}", self.reason),
        }
    }
}

/// An entry, and what of its object it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedEntry {
    pub(crate) entry: Entry,
    pub(crate) warnings: Vec<Warning>,
}

/// Something that was left out of an object, or should be known of it. The object is loaded nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The same for all warnings of one kind, of which only the first ones are written.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Warning {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

impl From<UserError> for Rejection {
    fn from(error: UserError) -> Self {
        Self {
            field: error.field.unwrap_or_default().to_owned(),
            reason: error.named(),
        }
    }
}
