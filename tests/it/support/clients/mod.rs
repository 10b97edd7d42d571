//! Clients of a service.

pub mod load;
pub mod subscribers;
pub mod writer;
