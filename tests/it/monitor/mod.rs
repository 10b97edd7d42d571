//! Checks of connectors' servers.

mod charts;
mod check;
mod health;
mod kept;
mod queue;
mod schedule;
