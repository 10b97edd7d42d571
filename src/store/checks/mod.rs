//! The results of checks of connectors' servers.

pub(in crate::store) mod due;
pub(in crate::store) mod read;
