//! Mutations: each decides, writes and announces a change.
//!
//! Invariant: one function a mutation; it is given what a client sent, and either all of its change is committed or none.

mod connector;
mod context;
mod inspect;
mod refusals;

pub use connector::{
    check::check,
    create::{Create, Idempotency, create, create_verified},
    delete::{Delete, delete},
    set_status::{SetStatus, set_status},
    update::{Update, update},
};
pub use context::{Context, Outcome};
pub use inspect::{Inspect, Suggestion, inspect, inspection};
