//! HTTP: the router, who calls, and the gate that every operation goes through.
//!
//! Invariant: headers and status codes are known here and nowhere else.

mod account;
pub mod auth;
mod caching;
pub mod cors;
pub mod documents;
mod endpoint;
mod event_stream;
mod gate;
mod graphiql;
mod health;
pub mod limits;
pub mod live;
mod mend;
pub mod metrics;
mod negotiation;
mod operation;
pub mod overload;
mod parameters;
pub mod rate;
mod request_id;
mod scan;
pub mod serve;
mod socket;
mod span;
pub mod trusted;
mod walk;

pub use gate::measure;
pub use walk::Cost;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::Extensions,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{any, get},
};
use tower_http::compression::{
    CompressionLayer, DefaultPredicate, Predicate, predicate::SizeAbove,
};

use crate::{clock::Clock, commands, graphql::Schema, store, telemetry::Tracer};

use self::{
    account::Books, auth::Authenticator, documents::Documents, health::Vitals, live::Live,
    metrics::Metrics, overload::Places, rate::RateLimit, serve::Peer,
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
    pub max_body_bytes: usize,
    pub request_timeout: Duration,
    pub cors_origins: Vec<cors::Origin>,
    pub rate: RateLimit,
    pub live: Live,
    pub places: Places,
    pub state: Arc<store::State>,
    pub tail: Arc<store::Tail>,
    /// How often the state is asked for.
    pub state_poll: Duration,
    pub tracer: Option<Tracer>,
}

const ROUTE: &str = "/graphql";

/// Smaller answers are sent as they are: they fit into one packet anyway.
const COMPRESSED_FROM: u16 = 1024;

/// The service, and its metrics, which may be for other eyes.
pub fn routers(routes: Routes) -> (Router, Router) {
    #[expect(clippy::cast_precision_loss, reason = "a time in microseconds fits")]
    let started_at = routes.clock.now().0 as f64 / 1e6;
    let clock = routes.clock.clone();
    let metrics = Arc::new(Metrics::new(started_at, &routes.documents.usage));
    let vitals = Vitals {
        database: routes.commands.database.clone(),
        state: routes.state.clone(),
        metrics: metrics.clone(),
        poll: routes.state_poll,
    };
    let cors = cors::layer(routes.cors_origins.clone());
    let books = Books {
        metrics: metrics.clone(),
        tracer: routes.tracer.clone(),
    };
    let routes = Arc::new(routes);
    let mut graphql = Router::new()
        .route(ROUTE, any(endpoint::graphql))
        // The endpoint reads the body itself, and says in GraphQL's form when it is too large.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(routes.clone(), admit))
        .with_state(routes);
    if let Some(cors) = cors {
        graphql = graphql.layer(cors);
    }
    let graphql = graphql
        .layer(Extension(metrics))
        .layer(from_fn_with_state(books, account::keep));
    let health = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .with_state(vitals.clone());
    let metrics = Router::new()
        .route("/metrics", get(health::metrics))
        .with_state(vitals);
    let compressed = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    let main = graphql
        .merge(graphiql::routes())
        .merge(health)
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(from_fn_with_state(clock, request_id::identify));
    (main, metrics)
}

/// The address at the other end of a request's connection.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|Peer(address)| address.ip())
}

/// The layer that turns away what is too much, finds out who asks, and turns away who asks too often.
async fn admit(State(routes): State<Arc<Routes>>, mut request: Request, next: Next) -> Response {
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
        Ok(verified) => {
            request.extensions_mut().insert(verified);
            next.run(request).await
        }
        Err(too_many) => endpoint::too_many_requests(too_many, request.headers()),
    }
}
