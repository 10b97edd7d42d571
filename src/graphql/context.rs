//! What resolvers are given with each request.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::Context;
use tokio_util::sync::CancellationToken;

use crate::{
    answer_budget::AnswerBudget,
    commands,
    domain::viewer::Viewer,
    store::{Catalog, ChangeFollower},
};

/// Who asks, the catalogue as they see it, and what commands work with.
#[derive(Debug)]
pub struct Request {
    pub viewer: Arc<Viewer>,
    pub catalog: Catalog,
    /// Whether the document has selections that are merged, for which each has to be a value of its own.
    pub merges: bool,
    pub commands: commands::Context,
    pub changes: Arc<ChangeFollower>,
    /// Ends a subscription between two of its events.
    pub unsubscribed: CancellationToken,
    pub permit: Arc<Permit>,
    /// Counts the answer's bytes; of a subscription, each event's.
    pub budget: Arc<AnswerBudget>,
}

/// What a request holds while it is worked on, and gives up to wait for somebody else.
#[derive(Default)]
pub struct Permit(Mutex<Option<Box<dyn Any + Send>>>);

impl Permit {
    /// Holds what frees a place for the next request when it is dropped.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Mutex::new(Some(Box::new(held))))
    }

    /// It is not taken again: whoever gives it up has another bound.
    pub fn give_up(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = None;
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

impl Request {
    pub(super) fn of<'a>(context: &Context<'a>) -> &'a Self {
        context.data_unchecked::<Self>()
    }
}
