//! Changes of a document before the library executes it. The document as it was sent is the one that is validated.

pub(super) mod skipped;
pub(super) mod unsent_variables;
