//! Requests that are not executed.

use std::fmt;

use async_graphql::ServerError;
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
    pub(crate) errors: Vec<serde_json::Value>,
    /// The cost of the operation, if it is known.
    cost: Option<Box<Cost>>,
    /// `extensions.cost`, if it is asked for.
    pub(crate) cost_report: Option<serde_json::Value>,
}

impl Refused {
    pub(super) fn new(mut error: ServerError, code: Code) -> Self {
        set_code(&mut error, code);
        Self::of(code, vec![json!(error)])
    }

    /// Errors of validation, which have their codes: the first hundred.
    pub(super) fn invalid(errors: &[ServerError]) -> Self {
        let errors = errors.iter().take(MOST_ERRORS);
        let errors = errors.map(|error| json!(error)).collect();
        Self::of(Code::GraphqlValidationFailed, errors)
    }

    fn of(code: Code, errors: Vec<serde_json::Value>) -> Self {
        Self {
            code,
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
        let report = |(cost, limits): (&Cost, OperationLimits)| cost.report(limits);
        Self {
            cost_report: self.cost.as_deref().zip(limits).map(report),
            ..self
        }
    }
}

impl From<Error> for Refused {
    fn from(Error { code, message, .. }: Error) -> Self {
        Self::new(ServerError::new(message, None), code)
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

pub(super) fn set_code(error: &mut ServerError, code: Code) {
    error
        .extensions
        .get_or_insert_default()
        .set("code", code.as_str());
}
