//! Runs an operation through the pipeline, to one response or a stream.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use tokio::time::Instant;

use crate::{answer_budget::AnswerText, error::Error, graphql::Permit};

use super::{
    Caller, Pipeline,
    parameters::{Parameters, Sent},
    prepare::Prepared,
    refused::Refused,
    stream::{Held, Messages, Operation, Outlet},
};

/// A summary of a prepared operation, by which a protocol decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// The type; none for a refused request.
    pub(crate) operation_type: Option<OperationType>,
    /// Whether the same viewer gets the same response while the catalogue does not change.
    pub(crate) is_cacheable: bool,
}

/// The delivery that a protocol chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Response { reports_cost: bool },
    Stream,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Response(Answer),
    Stream(Messages),
}

/// A response with `data`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: AnswerText,
    pub(crate) has_errors: bool,
}

impl Pipeline {
    /// Runs one operation. `deliver` chooses the delivery before execution, and may refuse the operation.
    ///
    /// The response comes by the deadline; in a stream, a query or mutation has [`Pipeline::timeout`]. The permit is
    /// dropped when the work ends, even if no one waits. A subscription releases it after validation.
    pub(crate) async fn respond<R: From<Refused>>(
        self: &Arc<Self>,
        parameters: Parameters,
        caller: Caller,
        permit: Permit,
        deadline: Instant,
        deliver: impl FnOnce(Described) -> Result<Delivery, R>,
    ) -> Result<Outcome, R> {
        let prepared = self.prepare(parameters, &caller.record);
        let described = prepared.as_ref().map_or(
            Described {
                operation_type: None,
                is_cacheable: true,
            },
            describe,
        );
        if let Err(refused) = &prepared {
            caller.record.record_error(refused.code);
        }
        let Delivery::Response { reports_cost } = deliver(described)? else {
            let messages = Messages::spawn(Arc::clone(self), caller, prepared, permit);
            return Ok(Outcome::Stream(messages));
        };
        let limits = self.documents.limits();
        let refused = |refused: Refused| R::from(refused.reporting(reports_cost.then_some(limits)));
        let prepared = prepared.map_err(refused)?;
        let cost = prepared.cost;
        let executed = self.execute(caller, permit, prepared, deadline).await;
        let mut executed = executed.map_err(refused)?;
        let response = executed.response();
        if reports_cost {
            let cost = async_graphql::Value::from_json(cost.report(limits));
            let cost = cost.unwrap_or_default();
            response.extensions.insert("cost".to_owned(), cost);
        }
        let has_errors = !response.errors.is_empty();
        let text = executed.encoded();
        let text = text.map_err(|error| refused(Refused::from(error).costing(cost)))?;
        Ok(Outcome::Response(Answer { text, has_errors }))
    }

    /// Starts an operation in a task of its own, which sends messages to an outlet.
    ///
    /// Parsing waits for a permit. Data attached to the permit is dropped after validation, and then a subscription
    /// releases the permit. `held` is kept until the operation's work has ended.
    pub(crate) fn stream(
        self: &Arc<Self>,
        sent: Sent,
        caller: Caller,
        permit: impl Future<Output = Result<(Permit, impl Send + 'static), Error>> + Send + 'static,
        outlet: Outlet,
        held: Held,
    ) -> Operation {
        let (pipeline, own) = (Arc::clone(self), caller.clone());
        let begin = async move {
            let (permit, turn) = permit.await?;
            let prepared = pipeline.prepare(sent.read(pipeline.limits())?, &own.record)?;
            pipeline.validate(&own, &prepared).await?;
            drop(turn);
            Ok((prepared, permit))
        };
        Operation::spawn(Arc::clone(self), caller, begin, outlet, None, held)
    }
}

fn describe(prepared: &Prepared) -> Described {
    Described {
        operation_type: Some(prepared.operation_type),
        is_cacheable: prepared.operation_type == OperationType::Query
            && !prepared.traits.changes_without_the_catalogue,
    }
}
