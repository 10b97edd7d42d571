//! The pages: the console and GraphiQL, embedded in the binary with their assets; `web/` builds them.
//!
//! Invariant: a page sends requests only to its own host, and its content security policy enforces this. Only the
//! console's policy has exceptions, and only settings make them.

mod assets;
mod console;
mod graphiql;
mod policy;

use axum::{Router, http::HeaderValue, routing::get};

use crate::config::Console;

use policy::with_policy;

/// All URLs are relative, so that the pages work behind a prefix too.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(settings: &Console) -> Router<S> {
    let pages = if settings.console {
        console::routes(settings)
    } else {
        Router::new().route("/", get(graphiql::from_root))
    };
    let assets = Router::new().route("/assets/{name}", get(assets::send));
    pages.merge(graphiql::routes()).merge(with_policy(
        assets,
        HeaderValue::from_static(assets::POLICY),
    ))
}
