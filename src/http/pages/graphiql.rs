//! The page of GraphiQL.

use axum::{
    Router,
    http::HeaderValue,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use super::{assets, policy::with_policy};

/// Inline styles are allowed, because the editor uses them for themes and line positions.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
     style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let routes = Router::new()
        .route(
            "/graphiql",
            get(async || assets::page(assets::text("graphiql.html"))),
        )
        .route(
            "/graphiql/",
            get(async || Redirect::temporary("../graphiql")),
        );
    with_policy(routes, HeaderValue::from_static(POLICY))
}

/// Redirects from `/`, which has no other page.
pub(super) async fn from_root() -> Response {
    Redirect::temporary("graphiql").into_response()
}
