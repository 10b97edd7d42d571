//! Rewrites of a document for the library's execution. Validation uses the document as it was sent.

pub(super) mod skipped;
pub(super) mod unsent_variables;
