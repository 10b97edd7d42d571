//! The dependencies of commands.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Settled},
    domain::inspection::Schedule,
    mcp::inspections::Inspections,
    store::Database,
};

/// How long a step of the wall clock must last before keys are forgotten by it.
const LASTS: Duration = Duration::from_hours(1);

/// The parts of the service that commands use.
#[derive(Clone, Debug)]
pub struct Context {
    /// Commands read and write it. A read-only one refuses all changes.
    pub database: Database,
    /// Stamps changes, and makes the ids of connectors.
    pub clock: Clock,
    /// Says how old idempotency keys are.
    pub key_clock: Arc<Settled>,
    /// Whether users' names and pictures are kept and shown.
    pub keeps_profiles: bool,
    /// Custom connectors that one user may have.
    pub quota: u64,
    /// Calls MCP servers for the mutations that inspect one, within the bounds of users and of the process.
    pub inspections: Arc<Inspections>,
    /// When a connector is due again after a check that a mutation made, and how many checks are kept.
    pub schedule: Schedule,
}

impl Context {
    /// The clock that idempotency keys age by.
    pub fn key_clock(clock: Clock) -> Arc<Settled> {
        Arc::new(Settled::new(clock, LASTS))
    }
}
