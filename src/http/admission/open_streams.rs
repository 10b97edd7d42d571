//! What stays open: web sockets and streams of events.
//!
//! Invariant: each caller has a bounded number of them, and so has the process; all end when it stops.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::rate_limit::Caller;

/// What is open, all in all: besides connections that ask something and are done.
const PLACES: usize = 20_000;

#[derive(Debug)]
pub struct Live {
    pub(crate) stopping: CancellationToken,
    /// How many a caller may have; none is as many as there are.
    a_caller: usize,
    /// Operations at once on one socket.
    pub(crate) operations: usize,
    callers: Arc<Mutex<HashMap<Caller, usize>>>,
    places: Arc<Semaphore>,
}

/// Why nothing more is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    Caller,
    Process,
}

impl Live {
    /// Until `stopping`; so many sockets a caller (0 is no limit), so many operations a socket.
    pub fn new(stopping: CancellationToken, a_caller: usize, operations: usize) -> Self {
        Self {
            stopping,
            a_caller,
            operations,
            callers: Arc::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Room for one more of a caller's.
    pub(crate) fn take(&self, caller: Option<Caller>) -> Result<Open, Crowded> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_| Crowded::Process)?;
        if let Some(caller) = &caller {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            let open = callers.entry(caller.clone()).or_default();
            if self.a_caller > 0 && *open >= self.a_caller {
                return Err(Crowded::Caller);
            }
            *open += 1;
        }
        Ok(Open {
            caller,
            callers: Arc::clone(&self.callers),
            _permit: permit,
        })
    }
}

/// One that is open. Dropped, there is room for another.
#[derive(Debug)]
pub(crate) struct Open {
    caller: Option<Caller>,
    callers: Arc<Mutex<HashMap<Caller, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(caller) = &self.caller else { return };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = callers.get_mut(caller) {
            *open -= 1;
            if *open == 0 {
                callers.remove(caller);
            }
        }
    }
}
