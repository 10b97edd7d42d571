//! HTTP: the router, who calls, and the gate that every operation goes through.
//!
//! Invariant: headers and status codes are known here and nowhere else.

pub mod auth;
pub mod cors;
mod endpoint;
mod gate;
mod graphiql;
pub mod limits;
mod mend;
mod negotiation;
mod parameters;
mod request_id;
mod scan;
pub mod serve;
mod walk;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state, routing::any};
use tower_http::compression::{
    CompressionLayer, DefaultPredicate, Predicate, predicate::SizeAbove,
};

use crate::{clock::Clock, commands, graphql::Schema};

use self::{auth::Authenticator, limits::Limits};

/// What the routes work with.
#[expect(missing_debug_implementations, reason = "the schema has none")]
pub struct Routes {
    pub schema: Schema,
    pub authenticator: Authenticator,
    pub commands: commands::Context,
    pub clock: Clock,
    pub limits: Limits,
    pub max_body_bytes: usize,
    pub request_timeout: Duration,
    pub cors_origins: Vec<cors::Origin>,
}

/// Smaller answers are sent as they are: they fit into one packet anyway.
const COMPRESSED_FROM: u16 = 1024;

pub fn router(routes: Routes) -> Router {
    let clock = routes.clock.clone();
    let cors = cors::layer(routes.cors_origins.clone());
    let mut graphql = Router::new()
        .route("/graphql", any(endpoint::graphql))
        // The endpoint reads the body itself, and says in GraphQL's form when it is too large.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(routes));
    if let Some(cors) = cors {
        graphql = graphql.layer(cors);
    }
    let compressed = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    graphql
        .merge(graphiql::routes())
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(from_fn_with_state(clock, request_id::identify))
}
