//! Checks of connectors' servers.

mod check;
mod health;
mod schedule;
