//! The GraphQL engine: the stages that every operation passes, whatever protocol it came by.
//!
//! | stage | file |
//! |---|---|
//! | parameters of a request | [`parameters`] |
//! | document by its text or hash: limits of the text, parsing | [`documents`], [`lexical_limits`] |
//! | variables of their types | [`coerce`] |
//! | cost within the limits | [`cost`] |
//! | validation rules, once for a document | [`rules`] |
//! | variables that were not sent, the root field of a subscription | [`unsent_variables`], [`subscription_root`] |
//! | a place among the expensive queries | [`expensive`] |
//! | validation by the library, resolvers | [`execute`], or [`stream`] for a stream of answers |
//! | null and order of keys in an answer, its JSON | [`complete`], [`encode`] |
//!
//! A protocol enters once for each operation: by [`Pipeline::respond`] or [`Pipeline::stream`], both in [`respond`].
//!
//! Invariant: the text of a document is bounded before it is parsed, and the document before anything recurses over it. The
//! values of variables are counted before they are parsed, and again for each use of a variable before any is resolved.
//! Nothing runs of a request whose values are not of their types. Every error leaves with a code. An internal error leaves
//! with the id of its request, which the log has too, and with nothing else.

mod coerce;
mod complete;
mod cost;
pub mod documents;
mod encode;
mod execute;
mod expensive;
mod lexical_limits;
pub(crate) mod parameters;
mod prepare;
pub(crate) mod refused;
mod respond;
pub mod rules;
mod schema_types;
pub(crate) mod stream;
mod subscription_root;
mod unsent_variables;

use std::{sync::Arc, time::Duration};

use crate::{
    answer_budget::{Answers, CallerKey},
    commands,
    config::OperationLimits,
    domain::viewer::Viewer,
    graphql::Schema,
    observability::{metrics::CacheUsage, request_record::RequestRecord},
    store::ChangeFollower,
};

use documents::Documents;

pub(crate) use respond::{Answer, Delivery, Described, Outcome};

pub use cost::Cost;
pub use encode::encode;
pub use expensive::ExpensivePlaces;
pub use prepare::measure;

/// The engine, and all that operations run with.
#[expect(missing_debug_implementations, reason = "the schema has none")]
pub struct Pipeline {
    pub schema: Schema,
    /// The schema for documents that introspect.
    pub introspector: Schema,
    /// A schema that only validates.
    pub validator: Schema,
    pub documents: Documents,
    pub commands: commands::Context,
    pub changes: Arc<ChangeFollower>,
    /// The bytes of answers.
    pub answers: Answers,
    pub expensive: ExpensivePlaces,
    /// How long a query or mutation of a stream may take.
    pub timeout: Duration,
}

/// The caller of an operation, and the record of the request that it came in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) viewer: Viewer,
    /// The key of the caller's bytes of answers.
    pub(crate) key: Option<CallerKey>,
    pub(crate) record: RequestRecord,
}

impl Pipeline {
    pub(crate) fn limits(&self) -> OperationLimits {
        self.documents.limits()
    }

    /// The counters of the document cache.
    pub(crate) fn document_usage(&self) -> &CacheUsage {
        &self.documents.usage
    }
}
