//! The routes, and the layers around them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{any, get},
};
use tower_http::compression::{
    CompressionLayer, DefaultPredicate, Predicate, predicate::SizeAbove,
};

use crate::{
    clock::Clock,
    config::{AllowedOrigin, CorsHeader},
    fair_budget::FairBudget,
    observability::{
        metrics::Metrics,
        request_id,
        request_log::{self, RequestLog},
        telemetry::Tracer,
    },
    pipeline::Pipeline,
};

use super::{
    admission::{Admission, open_streams::OpenStreams},
    cors, graphiql,
    graphql::{
        content_coding::COMPRESSED_FROM,
        endpoint,
        response_cache::ResponseCache,
        service::{Endpoint, Service},
    },
    probes::{self, Probed, Probes},
    stopping::Stopping,
};

/// The parts of the service that have routes.
#[expect(missing_debug_implementations, reason = "the pipeline has none")]
pub struct Services {
    pub pipeline: Arc<Pipeline>,
    pub admission: Admission,
    pub responses: ResponseCache,
    pub open_streams: OpenStreams,
    pub stopping: Stopping,
    pub max_body_bytes: usize,
    /// Bytes of bodies that may be under way, of which those of one address may have half.
    pub body_memory: usize,
    pub request_timeout: Duration,
    /// The pages of other origins that may ask.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// The headers that they may send, besides the usual ones.
    pub allowed_headers: Vec<CorsHeader>,
    pub probed: Probed,
    pub tracer: Option<Tracer>,
    pub clock: Clock,
}

const GRAPHQL: &str = "/graphql";

/// A body of so many bytes, as most are, is not counted.
const SMALL_BODY: usize = 2 * 1024;

/// The service, and its metrics, which may have a listener of their own.
pub fn routers(services: Services) -> (Router, Router) {
    let Services {
        pipeline,
        admission,
        responses,
        open_streams,
        stopping,
        max_body_bytes,
        body_memory,
        request_timeout,
        allowed_origins,
        allowed_headers,
        probed,
        tracer,
        clock,
    } = services;
    #[expect(clippy::cast_precision_loss, reason = "a time in microseconds fits")]
    let started_at = clock.now().0 as f64 / 1e6;
    let metrics = Arc::new(Metrics::new(
        started_at,
        pipeline.document_usage(),
        responses.usage(),
    ));
    let cors = cors::layer(allowed_origins.clone(), allowed_headers);
    let probes = Probes {
        probed: Arc::new(probed),
        admission: admission.clone(),
        stopping: stopping.clone(),
        metrics: metrics.clone(),
    };
    let endpoint = Endpoint(Arc::new(Service {
        pipeline,
        admission,
        responses,
        open_streams,
        stopping,
        metrics: metrics.clone(),
        bodies: FairBudget::new(body_memory, body_memory / 2, SMALL_BODY),
        max_body_bytes,
        request_timeout,
        allowed_origins,
    }));
    let log = RequestLog {
        metrics,
        tracer,
        clock: clock.clone(),
        route: GRAPHQL,
    };
    // As few layers as possible: each costs a cached response as much as the lookup.
    let mut graphql = Router::new()
        .route(GRAPHQL, any(endpoint::graphql))
        .with_state(endpoint);
    if let Some(cors) = cors {
        graphql = graphql.layer(cors);
    }
    let graphql = graphql.layer(from_fn_with_state(log, request_log::log));
    let health = Router::new()
        .route(probes::LIVE, get(probes::live))
        .route(probes::READY, get(probes::ready))
        .with_state(probes.clone());
    let metrics = Router::new()
        .route(probes::METRICS, get(probes::metrics))
        .with_state(probes);
    let compressed = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    let others = graphiql::routes()
        .merge(health)
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(from_fn_with_state(clock, request_id::identify));
    // A path without a route is answered by the layers of the last.
    (graphql.merge(others), metrics)
}
