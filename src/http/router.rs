//! The routes and their layers.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    middleware::from_fn_with_state,
    response::Response,
    routing::{MethodRouter, any, get},
};
use tower::{ServiceExt, util::option_layer};
use tower_http::compression::{
    CompressionLayer, DefaultPredicate, Predicate, predicate::SizeAbove,
};

use crate::{
    clock::Clock,
    config::{AllowedOrigin, Console, CorsHeader},
    fair_budget::FairBudget,
    observability::{metrics::Metrics, request_id, request_log::RequestLog, telemetry::Tracer},
    pipeline::Pipeline,
};

use super::{
    admission::{Admission, open_streams::OpenStreams},
    cors,
    graphql::{
        content_coding::COMPRESSED_FROM,
        endpoint,
        response_cache::ResponseCache,
        service::{Endpoint, Service},
    },
    pages,
    probes::{self, Probed, Probes},
    schema_file,
    stopping::Stopping,
};

/// The parts of the service that have routes.
#[expect(missing_debug_implementations, reason = "the pipeline lacks Debug")]
pub struct Services {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) admission: Admission,
    pub(crate) responses: ResponseCache,
    pub(crate) open_streams: OpenStreams,
    pub(crate) stopping: Stopping,
    pub(crate) max_body_bytes: usize,
    /// Bytes of bodies in progress, of which one address may have half.
    pub(crate) body_memory: usize,
    pub(crate) request_timeout: Duration,
    /// Whether the schema is served as a file.
    pub(crate) has_schema_file: bool,
    pub(crate) console: Console,
    /// The origins whose pages may send requests.
    pub(crate) allowed_origins: Vec<AllowedOrigin>,
    /// The additional headers that these pages may send.
    pub(crate) allowed_headers: Vec<CorsHeader>,
    pub(crate) probed: Probed,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) clock: Clock,
}

const GRAPHQL: &str = "/graphql";

/// Bytes of a body that do not count, because most bodies are smaller.
const SMALL_BODY: usize = 2 * 1024;

/// The routes of a listener.
#[derive(Clone, Debug)]
pub struct Routes {
    /// `/graphql` bypasses the router, which costs as much as a cached response.
    graphql: Option<Graphql>,
    others: Router,
}

impl From<Router> for Routes {
    fn from(others: Router) -> Self {
        Self {
            graphql: None,
            others,
        }
    }
}

impl Routes {
    /// Answers a request, which has its connection's peer as an extension.
    pub async fn answer(&self, request: Request) -> Response {
        if let Some(graphql) = &self.graphql
            && request.uri().path() == GRAPHQL
        {
            return graphql.answer(request).await;
        }
        called(self.others.clone(), request).await
    }

    /// Adds routes. The layers of these routes answer paths without a route.
    #[must_use]
    pub(crate) fn with(self, more: Router) -> Self {
        Self {
            others: more.merge(self.others),
            ..self
        }
    }
}

/// The route `/graphql`.
#[derive(Clone)]
struct Graphql {
    log: RequestLog,
    endpoint: Endpoint,
    /// The endpoint behind the CORS layer, if other pages are allowed.
    for_pages: Option<MethodRouter>,
}

impl Graphql {
    async fn answer(&self, request: Request) -> Response {
        let answer = async |request| match self.for_pages.clone() {
            Some(pages) => called(pages, request).await,
            None => endpoint::graphql.call(request, self.endpoint.clone()).await,
        };
        self.log.log(request, answer).await
    }
}

impl fmt::Debug for Graphql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graphql").finish_non_exhaustive()
    }
}

async fn called(
    service: impl tower::Service<Request, Response = Response, Error = Infallible>,
    request: Request,
) -> Response {
    let answered = service.oneshot(request).await;
    answered.unwrap_or_else(|never| match never {})
}

/// Builds the routes of the service, and of its metrics, which may have a listener of their own.
pub fn routes(services: Services) -> (Routes, Router) {
    let Services {
        pipeline,
        admission,
        responses,
        open_streams,
        stopping,
        max_body_bytes,
        body_memory,
        request_timeout,
        has_schema_file,
        console,
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
    let (cors_of_file, admission_of_file) = (cors.clone(), admission.clone());
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
    let for_pages = |cors| {
        any(endpoint::graphql)
            .with_state(endpoint.clone())
            .layer(cors)
    };
    let graphql = Graphql {
        log,
        for_pages: cors.map(for_pages),
        endpoint,
    };
    let health = Router::new()
        .route(probes::LIVE, get(probes::live))
        .route(probes::READY, get(probes::ready))
        .with_state(probes.clone());
    let metrics = Router::new()
        .route(probes::METRICS, get(probes::metrics))
        .with_state(probes);
    let compressed = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    let mut others = pages::routes(&console).merge(health);
    if has_schema_file {
        let file = schema_file::routes(admission_of_file);
        others = others.merge(file.layer(option_layer(cors_of_file)));
    }
    let others = others
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(from_fn_with_state(clock, request_id::identify));
    let routes = Routes {
        graphql: Some(graphql),
        others,
    };
    (routes, metrics)
}
