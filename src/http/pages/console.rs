//! The page of the console. Its script shows the view of the path.

use std::future::ready;

use axum::{
    Router,
    http::HeaderValue,
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use serde::Serialize;

use crate::config::Console;

use super::{assets, policy::with_policy};

/// The paths of views with one segment, and with more.
const SHALLOW: [&str; 2] = ["/", "/import"];
const DEEP: [(&str, &str); 2] = [
    ("/connectors/{id}", "../"),
    ("/connectors/{id}/edit", "../../"),
];

/// The parts of the page that differ: the base of its URLs, and the settings for its script.
const BASE: &str = "<base href=\"./\">";
const SETTINGS: &str = "content=\"{}\"";

/// The settings that the script reads from the page.
#[derive(Debug, Serialize)]
struct ForScript {
    icons: bool,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>(settings: &Console) -> Router<S> {
    let for_script = ForScript {
        icons: settings.console_icons,
    };
    let page = assets::text("console.html").replacen(
        SETTINGS,
        &format!("content=\"{}\"", attribute(&for_script)),
        1,
    );
    let at = |base: &str| at(&page, base);
    let mut routes = Router::new();
    for path in SHALLOW {
        routes = routes.route(path, at("./"));
    }
    for (path, base) in DEEP {
        routes = routes.route(path, at(base));
    }
    with_policy(routes, policy(settings))
}

/// Serves the page at a path from which this base leads to the root.
fn at<S: Clone + Send + Sync + 'static>(page: &str, base: &str) -> MethodRouter<S> {
    let page = page.replacen(BASE, &format!("<base href=\"{base}\">"), 1);
    let page = Bytes::from(page);
    get(move || ready(assets::page(page.clone())))
}

/// Returns the value as JSON in an attribute of HTML.
fn attribute(value: &impl Serialize) -> String {
    // A struct of texts and booleans is always JSON.
    let json = serde_json::to_string(value).unwrap_or_default();
    json.replace('&', "&amp;").replace('"', "&quot;")
}

fn policy(settings: &Console) -> HeaderValue {
    let images = if settings.console_icons {
        "'self' https:"
    } else {
        "'self'"
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src {images}; \
         base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(assets::POLICY))
}
