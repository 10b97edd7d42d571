//! The record of a request in progress.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use crate::error::Code;

use super::request_id::RequestId;

/// The most characters of an operation name that are recorded.
const NAME_CHARACTERS: usize = 64;

/// The operation of a request.
#[derive(Clone, Debug)]
pub(crate) struct OperationLabel {
    /// `query`, `mutation` or `subscription`.
    pub(crate) kind: &'static str,
    /// Empty for an operation without a name.
    pub(crate) name: Arc<str>,
}

/// The record of a request: its id, and later its operation and its first error.
///
/// Clones share one record, so that a spawned task can record for its request.
#[derive(Clone, Debug)]
pub(crate) struct RequestRecord(Arc<Record>);

#[derive(Debug)]
struct Record {
    id: RequestId,
    recorded: Mutex<Recorded>,
}

/// The recorded part of a [`RequestRecord`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) operation: Option<OperationLabel>,
    pub(crate) code: Option<Code>,
    /// Whether a token authenticated the caller.
    pub(crate) has_token: bool,
}

impl RequestRecord {
    pub(crate) fn new(id: RequestId) -> Self {
        Self(Arc::new(Record {
            id,
            recorded: Mutex::default(),
        }))
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// Records the operation, with as much of its name as a document could contain.
    pub(crate) fn record_operation(&self, kind: &'static str, name: Option<&str>) {
        let name = name.unwrap_or_default();
        // A document's names have letters, digits and underscores, but a body may have any operation name.
        let name = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_');
        let name: String = name.take(NAME_CHARACTERS).collect();
        self.set_operation(OperationLabel {
            kind,
            name: name.into(),
        });
    }

    /// Records the operation that another request recorded.
    pub(crate) fn set_operation(&self, operation: OperationLabel) {
        self.change(|recorded| recorded.operation = Some(operation));
    }

    /// Records that a token authenticated the caller.
    pub(crate) fn record_token(&self) {
        self.change(|recorded| recorded.has_token = true);
    }

    /// Records an error; only the first one counts.
    pub(crate) fn record_error(&self, code: Code) {
        self.change(|recorded| {
            recorded.code.get_or_insert(code);
        });
    }

    /// The operation of the request, if it is known.
    pub(crate) fn operation(&self) -> Option<OperationLabel> {
        self.change(|recorded| recorded.operation.clone())
    }

    /// Takes the whole record, at the end of the request.
    pub(super) fn take(&self) -> Recorded {
        self.change(mem::take)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Recorded) -> T) -> T {
        let recorded = self.0.recorded.lock();
        change(&mut recorded.unwrap_or_else(PoisonError::into_inner))
    }
}
