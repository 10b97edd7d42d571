//! State of the catalogue that a process keeps in memory.

pub(in crate::store) mod catalogue_version;
pub(in crate::store) mod check_counters;
pub(in crate::store) mod count_cache;
pub(in crate::store) mod statement_texts;
pub(in crate::store) mod vocabulary;
