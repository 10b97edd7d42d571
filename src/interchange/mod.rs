//! Import and export of connectors: published JSON objects, the MCP registry's `server.json`, and servers of clients'
//! configurations and of other catalogues.
//!
//! Invariant: an object becomes an [`Entry`](crate::domain::connector::Entry) by the same field rules as a mutation's
//! input, or a [`Rejection`] with field and reason. Nothing is dropped silently.

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

/// The rejection of an object: the field, as the file names it, and the expected value.
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
            // Most reasons are sentences that begin with the field.
            field if self.reason.starts_with(field) => f.write_str(&self.reason),
            field => write!(f, "{field}: {}", self.reason),
        }
    }
}

/// An entry, and warnings about the omitted parts of its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedEntry {
    pub(crate) entry: Entry,
    pub(crate) warnings: Vec<Warning>,
}

/// A note about an omitted part of an object, or about its content. The object is still loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The kind of the warning. Only the first ones of a kind are written.
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
