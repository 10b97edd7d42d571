//! The GraphQL engine: the stages of every operation, for all protocols.
//!
//! | stage | file |
//! |---|---|
//! | parameters of a request | [`parameters`] |
//! | document by its text or hash: limits of the text, parsing | [`documents`], [`lexical_limits`] |
//! | coercion of variables | [`coerce`] |
//! | cost within the limits | [`cost`] |
//! | validation rules, once for a document | [`rules`] |
//! | unsent variables, objects without fields | [`rewrite`] |
//! | the root field of a subscription | [`subscription_root`] |
//! | a slot for an expensive query | [`expensive`] |
//! | validation by the library, a direct query or resolvers | [`execute`], or [`stream`] for a stream of responses |
//! | null and order of keys in a response, its JSON | [`complete`], [`encode`] |
//!
//! A protocol calls it once for each operation: [`Pipeline::respond`] or [`Pipeline::stream`], both in [`respond`].
//!
//! Invariant: a document's text is bounded before it is parsed, and the document before any recursion over it. The
//! values of variables are counted before they are parsed, and again for each use before any is resolved. No request
//! with values of the wrong type runs. Every error has a code. An internal error exposes only its request's id, which
//! the log has too.

mod coerce;
mod complete;
mod cost;
pub(crate) mod documents;
mod encode;
mod execute;
mod expensive;
mod lexical_limits;
pub mod parameters;
mod prepare;
pub(crate) mod refused;
mod respond;
mod rewrite;
pub mod rules;
mod schema_types;
pub(crate) mod stream;
mod subscription_root;

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

pub use encode::encode;
pub(crate) use expensive::ExpensiveQueries;
pub use prepare::measure;

/// The engine and its dependencies.
pub(crate) struct Pipeline {
    pub(crate) schema: Schema,
    /// The schema for documents that introspect.
    pub(crate) introspector: Schema,
    /// A schema for validation only.
    pub(crate) validator: Schema,
    pub(crate) documents: Documents,
    pub(crate) commands: commands::Context,
    pub(crate) changes: Arc<ChangeFollower>,
    /// The byte budgets of responses.
    pub(crate) answers: Answers,
    pub(crate) expensive: ExpensiveQueries,
    /// The longest time of a query or mutation in a stream.
    pub(crate) timeout: Duration,
}

/// The caller of an operation, and the record of its request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) viewer: Viewer,
    /// The caller's key for response budgets.
    pub(crate) key: Option<CallerKey>,
    pub(crate) record: RequestRecord,
    /// The id of the event after which the subscription continues.
    pub(crate) last_event_id: Option<Arc<str>>,
}

impl Pipeline {
    pub(crate) fn limits(&self) -> OperationLimits {
        self.documents.limits()
    }

    /// Returns the counters of the document cache.
    pub(crate) fn document_usage(&self) -> &CacheUsage {
        &self.documents.usage
    }
}
