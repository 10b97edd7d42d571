//! Checks of connectors' servers.

mod check;
pub mod health;
pub mod schedule;
