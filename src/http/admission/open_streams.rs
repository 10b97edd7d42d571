//! A limit of the streams that stay open: web sockets and streams of events.
//!
//! Invariant: each caller has a bounded number of them, and so has the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::Code,
    http::rejection::{self, Rejection},
};

use super::rate_limit::Caller;

/// How many streams may be open in all.
const MOST: usize = 20_000;

#[derive(Debug)]
pub struct OpenStreams {
    /// How many a caller may have; 0 is no limit.
    per_caller: usize,
    /// Operations at once on one socket.
    pub(in crate::http) operations: usize,
    callers: Arc<Mutex<HashMap<Caller, usize>>>,
    permits: Arc<Semaphore>,
}

/// Why nothing more is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum TooManyStreams {
    Caller,
    Process,
}

impl TooManyStreams {
    pub(in crate::http) fn message(self) -> &'static str {
        match self {
            Self::Caller => "too many sockets and event streams are open: close one",
            Self::Process => "too many sockets and event streams are open: try again later",
        }
    }
}

impl From<TooManyStreams> for Rejection {
    fn from(too_many: TooManyStreams) -> Self {
        let (status, code) = match too_many {
            TooManyStreams::Caller => (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited),
            TooManyStreams::Process => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        };
        Self::new(status, code, too_many.message())
            .with(header::RETRY_AFTER, rejection::RETRY_AFTER.into())
    }
}

impl OpenStreams {
    /// So many sockets a caller (0 is no limit), so many operations a socket.
    pub fn new(per_caller: usize, operations: usize) -> Self {
        Self {
            per_caller,
            operations,
            callers: Arc::default(),
            permits: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// Counts one more stream of a caller.
    pub(in crate::http) fn open(
        &self,
        caller: Option<Caller>,
    ) -> Result<OpenStream, TooManyStreams> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| TooManyStreams::Process)?;
        if let Some(caller) = &caller {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            let open = callers.entry(caller.clone()).or_default();
            if self.per_caller > 0 && *open >= self.per_caller {
                return Err(TooManyStreams::Caller);
            }
            *open += 1;
        }
        Ok(OpenStream {
            caller,
            callers: Arc::clone(&self.callers),
            _permit: permit,
        })
    }
}

/// An open stream. Dropped, it no longer counts.
#[derive(Debug)]
pub(in crate::http) struct OpenStream {
    caller: Option<Caller>,
    callers: Arc<Mutex<HashMap<Caller, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for OpenStream {
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
