//! HTTP: the router, who calls, and the gate that every operation goes through.
//!
//! Invariant: headers and status codes are known here and nowhere else.

pub mod auth;
mod body;
mod endpoint;
mod gate;
pub mod limits;
mod mend;
mod scan;
pub mod serve;
mod walk;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, routing::post};

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
}

pub fn router(routes: Routes) -> Router {
    Router::new()
        .route(
            "/graphql",
            post(endpoint::post).fallback(endpoint::method_not_allowed),
        )
        // The endpoint reads the body itself, and says in GraphQL's form when it is too large.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(routes))
}
