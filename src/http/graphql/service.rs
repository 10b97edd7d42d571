//! The parts of the service that `/graphql` uses.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRef;

use crate::{
    config::AllowedOrigin,
    fair_budget::FairBudget,
    http::{
        admission::{Admission, open_streams::OpenStreams, rate_limit::Caller},
        stopping::Stopping,
    },
    observability::metrics::Metrics,
    pipeline::Pipeline,
};

use super::response_cache::ResponseCache;

/// The state of the route.
#[derive(Clone)]
pub(in crate::http) struct Endpoint(pub(in crate::http) Arc<Service>);

pub(in crate::http) struct Service {
    pub(in crate::http) pipeline: Arc<Pipeline>,
    pub(in crate::http) admission: Admission,
    pub(in crate::http) responses: ResponseCache,
    pub(in crate::http) open_streams: OpenStreams,
    pub(in crate::http) stopping: Stopping,
    pub(in crate::http) metrics: Arc<Metrics>,
    /// The memory of bodies in progress, by address.
    pub(in crate::http) bodies: FairBudget<Caller>,
    pub(in crate::http) max_body_bytes: usize,
    pub(in crate::http) request_timeout: Duration,
    /// The pages that may open sockets, besides those of this host.
    pub(in crate::http) allowed_origins: Vec<AllowedOrigin>,
}

impl FromRef<Endpoint> for Admission {
    fn from_ref(Endpoint(service): &Endpoint) -> Self {
        service.admission.clone()
    }
}
