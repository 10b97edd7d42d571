//! Requests that are not executed.

use std::fmt;

use async_graphql::{Pos, ServerError, Value};
use serde_json::json;

use crate::{
    config::OperationLimits,
    error::{Code, Error},
};

use super::cost::Cost;

/// Errors that an invalid document is answered with at most, as graphql-js does: each may repeat a long name.
const MOST_ERRORS: usize = 100;

/// Errors without `data`: nothing was executed, or nothing that the caller still waits for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    /// The seconds after which to try again, of a code that has them.
    pub(crate) retry_after: Option<u64>,
    pub(crate) errors: Vec<serde_json::Value>,
    /// The cost of the operation, if it is known.
    cost: Option<Box<Cost>>,
    /// `extensions.cost`, if it is asked for.
    pub(crate) cost_report: Option<Box<serde_json::Value>>,
}

impl Refused {
    /// A located error of a code.
    pub(super) fn new(error: ServerError, code: Code) -> Self {
        let own = Error::new(code, error.message.clone());
        Self::located(&own, error)
    }

    /// An error at a place of the document.
    pub(super) fn at(error: &Error, place: Pos) -> Self {
        let located = ServerError::new(error.message.clone(), Some(place));
        Self::located(error, located)
    }

    fn located(own: &Error, mut error: ServerError) -> Self {
        set_extensions(&mut error, own.extensions());
        Self::of(own, vec![json!(error)])
    }

    /// Errors of validation, which have their codes: the first hundred.
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

    /// Adds the cost of the operation.
    pub(super) fn costing(self, cost: Cost) -> Self {
        Self {
            cost: Some(Box::new(cost)),
            ..self
        }
    }

    /// Reports the cost against the limits, if there are any.
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

/// The messages of the errors, on one line.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self
            .errors
            .iter()
            .filter_map(|error| error["message"].as_str());
        f.write_str(&messages.collect::<Vec<_>>().join("; "))
    }
}

/// Gives an error of the library the `extensions` of one of the service's.
pub(super) fn set_extensions(
    error: &mut ServerError,
    extensions: impl IntoIterator<Item = (&'static str, serde_json::Value)>,
) {
    let values = error.extensions.get_or_insert_default();
    for (name, value) in extensions {
        values.set(name, Value::from_json(value).unwrap_or_default());
    }
}
