//! The data of a request that resolvers read.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    Context, ContextSelectionSet, Positioned, ServerError, parser::types::Field as AskedField,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    answer_budget::AnswerBudget,
    commands,
    domain::viewer::Viewer,
    error::Error,
    store::{Catalog, ChangeFollower},
};

/// An error of a value: at its field's position, with its path.
pub(in crate::graphql) fn failed(
    error: Error,
    context: &ContextSelectionSet<'_>,
    field: &Positioned<AskedField>,
) -> ServerError {
    context.set_error_path(async_graphql::Error::from(error).into_server_error(field.pos))
}

/// The data of one request: the caller, the catalogue as they see it, and the services that commands need.
#[derive(Debug)]
pub struct Request {
    /// The verified caller, or the anonymous one.
    pub viewer: Arc<Viewer>,
    /// Reads connectors and changes, bounded by the viewer's sight.
    pub catalog: Catalog,
    /// Whether the document has selections that are merged, for which each has to be a value of its own.
    pub merges: bool,
    /// Executes mutations.
    pub commands: commands::Context,
    /// Gives subscriptions their events, which it reads once for all of them.
    pub changes: Arc<ChangeFollower>,
    /// Ends a subscription between two of its events.
    pub unsubscribed: CancellationToken,
    /// The request's place among those that are worked on at once.
    pub permit: Arc<Permit>,
    /// The turn that an event of a subscription takes before it is answered.
    pub turn: Turn,
    /// The ids of a subscription's events.
    pub event_ids: EventIds,
    /// Counts the answer's bytes; of a subscription, each event's.
    pub budget: Arc<AnswerBudget>,
}

/// A permit that a request holds while it runs. It is released early when the request has to wait.
#[derive(Default)]
pub struct Permit {
    permit: Mutex<Option<Box<dyn Any + Send>>>,
    /// Kept to the end.
    _held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Permit {
    /// Holds a permit, which the next request gets when it is dropped.
    pub(crate) fn new(held: impl Any + Send) -> Self {
        Self {
            permit: Mutex::new(Some(Box::new(held))),
            _held: None,
        }
    }

    /// Holds something else too, which is not given up but kept until the work has ended.
    #[must_use]
    pub(crate) fn holding(self, held: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            _held: Some(held),
            ..self
        }
    }

    /// It is not taken again: whoever gives it up has another bound.
    pub(crate) fn give_up(&self) {
        self.set(None);
    }

    /// Holds the permit of another bound instead.
    pub(crate) fn hold(&self, permit: impl Any + Send) {
        self.set(Some(Box::new(permit)));
    }

    fn set(&self, permit: Option<Box<dyn Any + Send>>) {
        let mut held = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        *held = permit;
    }
}

/// One operation's turn to have an answer computed, and written: there are a bounded number of turns for all operations that
/// share an outlet, so that a reader who takes nothing makes no answers wait in memory but these. Clones are the same turn.
#[derive(Clone, Debug)]
pub struct Turn {
    turns: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Turn {
    /// A turn of these, which is not taken yet.
    pub(crate) fn of(turns: Arc<Semaphore>) -> Self {
        Self {
            turns,
            taken: Arc::default(),
        }
    }

    /// Waits until it can be taken. Gives back what was taken before.
    pub(crate) async fn take(&self) {
        drop(self.pass_on());
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        *self.taken() = turn;
    }

    /// The turn that was taken, to be kept with the answer until it is written.
    pub(crate) fn pass_on(&self) -> Option<OwnedSemaphorePermit> {
        self.taken().take()
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids of the events of one subscription, by which a client goes on where it was cut off. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct EventIds {
    last: Option<Arc<str>>,
    current: Arc<Mutex<Option<String>>>,
}

impl EventIds {
    /// The ids for a client that got the event of an id last, or none.
    pub(crate) fn after(last: Option<Arc<str>>) -> Self {
        Self {
            last,
            current: Arc::default(),
        }
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Sets the id of the event that is answered next.
    pub(super) fn set(&self, id: String) {
        *self.current() = Some(id);
    }

    /// The id of the event that was answered.
    pub(crate) fn take(&self) -> Option<String> {
        self.current().take()
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that waits for nobody else.
impl Default for Turn {
    fn default() -> Self {
        Self::of(Arc::new(Semaphore::new(1)))
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
