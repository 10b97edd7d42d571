//! HTTP: the router, who calls, and the gate that every operation goes through.
//!
//! Invariant: headers and status codes are known here and nowhere else.

pub mod admission;
pub mod auth;
pub mod cors;
mod date;
mod graphiql;
pub mod graphql;
pub mod limits;
mod probes;
pub mod serve;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::Extensions,
    middleware::from_fn_with_state,
    response::Response,
    routing::{any, get},
};
use tokio_util::task::AbortOnDropHandle;
use tower_http::compression::{
    CompressionLayer, DefaultPredicate, Predicate, predicate::SizeAbove,
};

use crate::{
    clock::Clock,
    commands,
    config::Origin,
    graphql::Schema,
    observability::{
        metrics::Metrics,
        request_id::{self, RequestId},
        request_log::{self, Books},
        telemetry::Tracer,
    },
    pipeline::documents::Documents,
    store,
};

use self::{
    admission::{concurrency::Places, open_streams::Live, rate_limit::RateLimit},
    auth::Authenticator,
    graphql::{endpoint, response_cache::Answers},
    probes::Vitals,
    serve::Peer,
};

/// What the routes work with.
#[expect(missing_debug_implementations, reason = "the schema has none")]
pub struct Routes {
    pub schema: Schema,
    pub validator: Schema,
    pub authenticator: Authenticator,
    pub commands: commands::Context,
    pub clock: Clock,
    pub documents: Documents,
    pub answers: Answers,
    pub max_body_bytes: usize,
    pub request_timeout: Duration,
    pub cors_origins: Vec<Origin>,
    pub rate: RateLimit,
    pub live: Live,
    pub places: Places,
    pub state: Arc<store::State>,
    pub changes: Arc<store::ChangeFollower>,
    /// How often the state is asked for.
    pub state_poll: Duration,
    pub tracer: Option<Tracer>,
    pub background: Background,
}

/// Tasks that run as long as the routes exist.
#[derive(Debug)]
pub struct Background {
    pub write_watch: Option<store::WriteWatch>,
    /// Loads the catalogue file where that could not be done at the start.
    pub loading: Option<AbortOnDropHandle<()>>,
}

impl Background {
    fn is_loaded(&self) -> bool {
        self.loading
            .as_ref()
            .is_none_or(AbortOnDropHandle::is_finished)
    }
}

pub(crate) const ROUTE: &str = "/graphql";

/// Smaller answers are sent as they are: they fit into one packet anyway.
const COMPRESSED_FROM: u16 = 1024;

/// The service, and its metrics, which may be for other eyes.
pub fn routers(routes: Routes) -> (Router, Router) {
    #[expect(clippy::cast_precision_loss, reason = "a time in microseconds fits")]
    let started_at = routes.clock.now().0 as f64 / 1e6;
    let clock = routes.clock.clone();
    let metrics = Arc::new(Metrics::new(
        started_at,
        &routes.documents.usage,
        &routes.answers.usage,
    ));
    let routes = Arc::new(routes);
    let vitals = Vitals {
        routes: Arc::clone(&routes),
        metrics: metrics.clone(),
    };
    let cors = cors::layer(routes.cors_origins.clone());
    let books = Books {
        metrics: metrics.clone(),
        tracer: routes.tracer.clone(),
        clock: clock.clone(),
    };
    // As few layers as can be: each costs a kept answer as much as finding it does.
    let entrance = Entrance {
        routes,
        metrics: metrics.clone(),
    };
    let mut graphql = Router::new().route(ROUTE, any(enter)).with_state(entrance);
    if let Some(cors) = cors {
        graphql = graphql.layer(cors);
    }
    let graphql = graphql.layer(from_fn_with_state(books, request_log::keep));
    let health = Router::new()
        .route("/health/live", get(probes::live))
        .route("/health/ready", get(probes::ready))
        .with_state(vitals.clone());
    let metrics = Router::new()
        .route("/metrics", get(probes::metrics))
        .with_state(vitals);
    let compressed = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    let others = graphiql::routes()
        .merge(health)
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(from_fn_with_state(clock, request_id::identify));
    // What is no route is answered by the layers of the last.
    (graphql.merge(others), metrics)
}

/// The address at the other end of a request's connection.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|Peer(address)| address.ip())
}

/// What `/graphql` works with.
#[derive(Clone)]
struct Entrance {
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
}

/// Turns away what is too much, finds out who asks, and turns away who asks too often.
async fn enter(
    State(Entrance { routes, metrics }): State<Entrance>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    if let Err(full) = routes.places.look() {
        return endpoint::overloaded(full, request.headers());
    }
    let peer = peer(request.extensions());
    let headers = request.headers();
    let admitted = routes
        .rate
        .admit(&routes.authenticator, peer, headers)
        .await;
    match admitted {
        Ok(verified) => endpoint::graphql(&routes, metrics, id, verified, request).await,
        Err(too_many) => endpoint::too_many_requests(too_many, request.headers()),
    }
}
