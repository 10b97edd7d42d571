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

/// What commands work with.
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

/// What a command came to: the connector as it now is, or what is wrong with the input; both on a conflict.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub connector: Option<Model>,
    pub errors: Vec<UserError>,
    /// Of the server, where it was asked for.
    pub inspection: Option<Box<Inspection>>,
}
