//! The results of checks of connectors' servers.

pub(in crate::store) mod counters;
pub(in crate::store) mod due;
pub(in crate::store) mod health_rows;
pub(in crate::store) mod lease;
pub(in crate::store) mod read;
pub(in crate::store) mod record;
