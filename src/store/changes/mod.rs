//! The event log, and the poll of its last number.

pub(in crate::store) mod change_follower;
pub(in crate::store) mod events;
mod sides;
pub(in crate::store) mod state_poll;
