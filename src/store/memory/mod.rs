//! State of the catalogue in the process's memory.

pub(in crate::store) mod catalogue_version;
pub(in crate::store) mod check_counters;
pub(in crate::store) mod count_cache;
pub(in crate::store) mod event_ring;
pub(in crate::store) mod recent_states;
pub(in crate::store) mod statement_texts;
pub(in crate::store) mod vocabulary;
