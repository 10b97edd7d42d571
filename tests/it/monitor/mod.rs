//! Checks of connectors' servers.

mod check;
mod health;
mod kept;
mod schedule;
