//! The GraphQL engine: the stages that every operation passes, whatever protocol it came by.
//!
//! | stage | file |
//! |---|---|
//! | parameters of a request | [`parameters`] |
//! | document by its text or hash: limits of the text, parsing, rules | [`documents`], [`lexical_limits`], [`rules`] |
//! | variables of their types | [`coerce`] |
//! | cost within the limits | [`cost`] |
//! | variables that were not sent, the root field of a subscription | [`unsent_variables`], [`subscription_root`] |
//! | resolvers | [`execute`], or [`stream`] for a stream of answers |
//! | null and order of keys in an answer, its JSON | [`complete`], [`encode`] |
//!
//! A protocol enters once for each operation: by [`Pipeline::respond`] or [`Pipeline::begin`].
//!
//! Invariant: the text of a document is bounded before it is parsed, and the document before anything recurses over it.
//! Nothing runs of a request whose values are not of their types. Every error leaves with a code. An internal error leaves
//! with the id of its request, which the log has too, and with nothing else.

mod coerce;
mod complete;
mod cost;
pub mod documents;
mod encode;
mod execute;
mod lexical_limits;
pub(crate) mod parameters;
mod prepare;
pub(crate) mod refused;
pub mod rules;
mod schema_types;
pub(crate) mod stream;
mod subscription_root;
mod unsent_variables;

use std::{sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    commands,
    domain::viewer::Viewer,
    error::Error,
    graphql::{Permit, Schema},
    observability::{metrics::CacheUsage, request_record::RequestRecord},
    store::Tail,
};

use documents::Documents;
use parameters::Parameters;
use refused::Refused;
use stream::{Message, Messages, Operation};

pub use cost::Cost;
pub use encode::encode;
pub use prepare::measure;

/// What operations run with.
#[expect(missing_debug_implementations, reason = "the schema has none")]
pub struct Pipeline {
    pub schema: Schema,
    /// A schema that only validates.
    pub validator: Schema,
    pub documents: Documents,
    pub commands: commands::Context,
    pub tail: Arc<Tail>,
    /// How long a query or mutation of a stream may take.
    pub timeout: Duration,
}

/// The caller of an operation, and the record of the request that it came in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) viewer: Viewer,
    pub(crate) record: RequestRecord,
}

/// A prepared operation, as a protocol judges it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// `None` for a request that is refused.
    pub(crate) operation_type: Option<OperationType>,
    /// The same viewer gets the same answer as long as the catalogue does not change.
    pub(crate) is_cacheable: bool,
}

/// How a protocol wants an operation answered.
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

/// An answer with `data`.
#[derive(Debug)]
pub(crate) struct Answer {
    /// JSON.
    pub(crate) text: Vec<u8>,
    pub(crate) has_errors: bool,
}

impl Pipeline {
    /// Runs one operation. `deliver` is asked how to answer it before anything executes, and may refuse it.
    ///
    /// Answers by the deadline. The permit is dropped when the work is over, even if nobody waits for the answer.
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
            prepare::Prepared::describe,
        );
        let Delivery::Response { reports_cost } = deliver(described)? else {
            let messages = Messages::begin(Arc::clone(self), caller, prepared, permit);
            return Ok(Outcome::Stream(messages));
        };
        let limits = self.documents.limits();
        let refused = |refused: Refused| R::from(refused.reporting(reports_cost.then_some(limits)));
        let prepared = prepared.map_err(refused)?;
        let cost = prepared.cost;
        let executed = self.execute(caller, permit, prepared, deadline).await;
        let mut response = executed.map_err(refused)?;
        if reports_cost {
            let cost = async_graphql::Value::from_json(cost.report(limits));
            let cost = cost.unwrap_or_default();
            response.extensions.insert("cost".to_owned(), cost);
        }
        Ok(Outcome::Response(Answer {
            text: encode(&response),
            has_errors: !response.errors.is_empty(),
        }))
    }

    /// Begins an operation in a task of its own, which sends its messages to `out` under a number.
    ///
    /// A query or mutation waits for its permit. A subscription needs none.
    pub(crate) fn begin(
        self: &Arc<Self>,
        parameters: Parameters,
        caller: Caller,
        permit: impl Future<Output = Result<Permit, Error>> + Send + 'static,
        number: u64,
        out: mpsc::Sender<(u64, Message)>,
    ) -> Operation {
        let record = caller.record.clone();
        let prepare = move |pipeline: &Self| pipeline.prepare(parameters, &record);
        Operation::begin(Arc::clone(self), caller, prepare, permit, number, out)
    }

    /// The counters of the document cache.
    pub(crate) fn document_usage(&self) -> &CacheUsage {
        &self.documents.usage
    }
}
