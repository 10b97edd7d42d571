//! The dependencies of commands, and their outcome.

use std::{sync::Arc, time::Duration};

use entity::personal_connector::Model;

use crate::{
    clock::{Clock, Settled},
    domain::inspection::{Inspection, Schedule},
    error::UserError,
    mcp::inspections::Inspections,
    store::Database,
};

/// How long a step of the wall clock must last before keys are forgotten by it.
const LASTS: Duration = Duration::from_hours(1);

/// The parts of the service that commands use.
#[derive(Clone, Debug)]
pub struct Context {
    pub database: Database,
    pub clock: Clock,
    /// Says how old idempotency keys are.
    pub key_clock: Arc<Settled>,
    /// Custom connectors that one user may have.
    pub quota: u64,
    pub inspections: Arc<Inspections>,
    pub schedule: Schedule,
}

impl Context {
    /// The clock that idempotency keys age by.
    pub fn key_clock(clock: Clock) -> Arc<Settled> {
        Arc::new(Settled::new(clock, LASTS))
    }
}

/// The result of a command: the connector as it is now, or the errors of the input; both on a conflict.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub connector: Option<Model>,
    pub errors: Vec<UserError>,
    /// The inspection of the server, if it was asked for.
    pub inspection: Option<Box<Inspection>>,
}
