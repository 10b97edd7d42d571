//! The catalogue's version, and the log of its changes.

pub(in crate::store) mod catalogue_version;
pub(in crate::store) mod change_follower;
pub(in crate::store) mod events;
pub(in crate::store) mod retention;
pub(in crate::store) mod state_poll;
