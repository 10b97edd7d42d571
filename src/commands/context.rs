//! The dependencies of commands.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Settled},
    domain::{inspection::Schedule, viewer::ProfileParts},
    mcp::inspections::Inspections,
    store::Database,
};

/// The least duration of a wall clock step that expires idempotency keys.
const LASTS: Duration = Duration::from_hours(1);

/// The parts of the service that commands use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The database of all commands. A read-only one refuses changes.
    pub database: Database,
    /// Stamps changes, and makes the ids of connectors.
    pub clock: Clock,
    /// The clock that idempotency keys age by.
    pub key_clock: Arc<Settled>,
    /// The parts of users' profiles that are stored and shown.
    pub profile_parts: ProfileParts,
    /// The most custom connectors of one user.
    pub quota: u64,
    /// Inspects MCP servers, within the limits of each user and of the process.
    pub inspections: Arc<Inspections>,
    /// The schedule of checks after one that a mutation made, and the number of checks to store.
    pub schedule: Schedule,
}

impl Context {
    /// Returns the clock that idempotency keys age by.
    pub fn key_clock(clock: Clock) -> Arc<Settled> {
        Arc::new(Settled::new(clock, LASTS))
    }
}
