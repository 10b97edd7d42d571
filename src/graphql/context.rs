//! The data of a request that resolvers read.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_graphql::{
    Context, ContextSelectionSet, Positioned, ServerError, parser::types::Field as AskedField,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    answer_budget::AnswerBudget,
    commands,
    domain::{cursor, viewer::Viewer},
    error::Error,
    store::{Catalog, ChangeFollower, Passed},
};

/// Locates an error of a value at its field, with its path.
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
    /// Reads connectors and changes within the viewer's sight.
    pub catalog: Catalog,
    /// Whether the document has merged selections, each of which needs a value of its own.
    pub merges: bool,
    /// Executes mutations.
    pub commands: commands::Context,
    /// Supplies the events of subscriptions, read once for all of them.
    pub changes: Arc<ChangeFollower>,
    /// Ends a subscription between two events.
    pub unsubscribed: CancellationToken,
    /// The request's permit among the concurrent requests.
    pub permit: Arc<Permit>,
    /// The turn that an event takes before it is resolved.
    pub turn: Turn,
    /// The ids of a subscription's events.
    pub event_ids: EventIds,
    /// Counts the response's bytes; in a subscription, those of each event.
    pub budget: Arc<AnswerBudget>,
}

/// A permit that a request holds while it runs. It is released early when the request has to wait.
#[derive(Default)]
pub struct Permit {
    permit: Mutex<Option<Box<dyn Any + Send>>>,
    /// Held until the end.
    _held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Permit {
    /// Holds a permit, which is released on drop.
    pub(crate) fn new(held: impl Any + Send) -> Self {
        Self {
            permit: Mutex::new(Some(Box::new(held))),
            _held: None,
        }
    }

    /// Also holds something until the work has ended, even after the permit is released.
    #[must_use]
    pub(crate) fn holding(self, held: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            _held: Some(held),
            ..self
        }
    }

    /// Releases the permit for good, because the caller has another limit.
    pub(crate) fn give_up(&self) {
        self.set(None);
    }

    /// Holds the permit of another limit instead.
    pub(crate) fn hold(&self, permit: impl Any + Send) {
        self.set(Some(Box::new(permit)));
    }

    fn set(&self, permit: Option<Box<dyn Any + Send>>) {
        let mut held = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        *held = permit;
    }
}

/// An operation's turn to compute and write a response. Turns are bounded for all operations of an outlet, so that a
/// client that reads nothing lets few responses wait in memory. Clones share one turn.
#[derive(Clone, Debug)]
pub struct Turn {
    turns: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Turn {
    /// Creates a turn that is not taken yet.
    pub(crate) fn of(turns: Arc<Semaphore>) -> Self {
        Self {
            turns,
            taken: Arc::default(),
        }
    }

    /// Waits until it can be taken, and releases an earlier one.
    pub(crate) async fn take(&self) {
        drop(self.pass_on());
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        *self.taken() = turn;
    }

    /// Passes on the turn, to be held with the response until it is written.
    pub(crate) fn pass_on(&self) -> Option<OwnedSemaphorePermit> {
        self.taken().take()
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids of a subscription's events, after which a client continues. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct EventIds {
    last: Option<Arc<str>>,
    current: Arc<Mutex<Option<String>>>,
    passed: Arc<OnceLock<Passed>>,
}

impl EventIds {
    /// Creates the ids for a client that got an event last, or none.
    pub(crate) fn after(last: Option<Arc<str>>) -> Self {
        Self {
            last,
            current: Arc::default(),
            passed: Arc::default(),
        }
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Sets the id of the next event.
    pub(super) fn set(&self, id: String) {
        *self.current() = Some(id);
    }

    /// Takes the id of the last event.
    pub(crate) fn take(&self) -> Option<String> {
        self.current().take()
    }

    /// Sets the position that the subscription passes without an event.
    pub(super) fn follow(&self, passed: Passed) {
        let _ = self.passed.set(passed);
    }

    /// Takes an id to continue after without an event, if the subscription passed further changes. Call this only after
    /// all events are sent.
    pub(crate) fn take_passed(&self) -> Option<String> {
        Some(cursor::of_changes(self.passed.get()?.take()?))
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that never waits.
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
