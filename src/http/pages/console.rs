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
const SHALLOW: [&str; 3] = ["/", "/import", "/signed-in"];
const DEEP: [(&str, &str); 2] = [
    ("/connectors/{id}", "../"),
    ("/connectors/{id}/edit", "../../"),
];

/// The path of the console's operations, as a manifest of trusted documents.
const DOCUMENTS: &str = "/console-documents.json";

/// The parts of the page that differ: the base of its URLs, and the settings for its script.
const BASE: &str = "<base href=\"./\">";
const SETTINGS: &str = "content=\"{}\"";

/// The settings that the script reads from the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForScript<'a> {
    icons: bool,
    sign_in: Option<SignIn<'a>>,
}

/// The issuer that users sign in with, and the parameters of its authorization request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SignIn<'a> {
    issuer: &'a str,
    client_id: &'a str,
    scope: String,
    resource: Option<&'a str>,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>(settings: &Console) -> Router<S> {
    let issuer = settings.console_issuer.as_ref();
    let client = issuer.zip(settings.console_client_id.as_deref());
    let for_script = ForScript {
        icons: settings.console_icons,
        sign_in: client.map(|(issuer, client_id)| SignIn {
            issuer: issuer.as_str().trim_end_matches('/'),
            client_id,
            scope: settings.console_scope.join(" "),
            resource: settings.console_resource.as_deref(),
        }),
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
    routes = routes.route(DOCUMENTS, get(|| ready(assets::file("documents.json"))));
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
    let issuer = settings
        .console_issuer
        .as_ref()
        .map_or_else(String::new, |issuer| {
            format!(" {}", issuer.origin().ascii_serialization())
        });
    let policy = format!(
        "default-src 'none'; script-src 'self'; connect-src 'self'{issuer}; style-src 'self'; img-src {images}; \
         base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(assets::POLICY))
}
