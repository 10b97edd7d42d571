//! Errors of requests that are not executed.

use std::fmt;

use async_graphql::{Pos, ServerError, Value};
use serde_json::json;

use crate::{
    config::OperationLimits,
    error::{Code, Error},
};

use super::cost::Cost;

/// The most errors of an invalid document, as in graphql-js, because each may repeat a long name.
const MOST_ERRORS: usize = 100;

/// Errors without `data`: nothing ran, or nothing that the caller still waits for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    /// The seconds to wait before a retry, if the code has them.
    pub(crate) retry_after: Option<u64>,
    pub(crate) errors: Vec<serde_json::Value>,
    /// The operation's cost, if known.
    cost: Option<Box<Cost>>,
    /// `extensions.cost`, if requested.
    pub(crate) cost_report: Option<Box<serde_json::Value>>,
}

impl Refused {
    /// Creates a located error with a code.
    pub(super) fn new(error: ServerError, code: Code) -> Self {
        let own = Error::new(code, error.message.clone());
        Self::located(&own, error)
    }

    /// Creates an error at a location in the document.
    pub(super) fn at(error: &Error, place: Pos) -> Self {
        let located = ServerError::new(error.message.clone(), Some(place));
        Self::located(error, located)
    }

    fn located(own: &Error, mut error: ServerError) -> Self {
        set_extensions(&mut error, own.extensions());
        Self::of(own, vec![json!(error)])
    }

    /// Keeps the first hundred validation errors, with their codes.
    pub(super) fn invalid(errors: &[ServerError]) -> Self {
        let errors = errors.iter().take(MOST_ERRORS);
        let errors = errors.map(|error| json!(error)).collect();
        Self::of(&Error::new(Code::GraphqlValidationFailed, ""), errors)
    }

    fn of(own: &Error, errors: Vec<serde_json::Value>) -> Self {
        Self {
            code: own.code,
            retry_after: own.retry_after(),
            errors,
            cost: None,
            cost_report: None,
        }
    }

    /// Adds the operation's cost.
    pub(super) fn costing(self, cost: Cost) -> Self {
        Self {
            cost: Some(Box::new(cost)),
            ..self
        }
    }

    /// Reports the cost against the limits, if given.
    pub(super) fn reporting(self, limits: Option<OperationLimits>) -> Self {
        let report = |(cost, limits): (&Cost, OperationLimits)| Box::new(cost.report(limits));
        Self {
            cost_report: self.cost.as_deref().zip(limits).map(report),
            ..self
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::of(&error, vec![error.to_json()])
    }
}

/// Writes the errors' messages on one line.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self
            .errors
            .iter()
            .filter_map(|error| error["message"].as_str());
        f.write_str(&messages.collect::<Vec<_>>().join("; "))
    }
}

/// Sets the `extensions` of a library error like those of the service's.
pub(super) fn set_extensions(
    error: &mut ServerError,
    extensions: impl IntoIterator<Item = (&'static str, serde_json::Value)>,
) {
    let values = error.extensions.get_or_insert_default();
    for (name, value) in extensions {
        values.set(name, Value::from_json(value).unwrap_or_default());
    }
}
