//! GraphiQL and its assets, embedded in the binary; `web/` builds them.
//!
//! Invariant: the page sends requests only to its own host, and its content security policy enforces this.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use include_dir::{Dir, include_dir};

/// `index.html`, and its assets under `graphiql/`. Names contain a hash of the content, and each file is in gzip.
static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/web/dist");

/// Inline styles are allowed, because the editor uses them for themes and line positions.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
     style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// All URLs are relative, so that the page works behind a prefix too.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || Redirect::temporary("graphiql")))
        .route("/graphiql", get(page))
        .route(
            "/graphiql/",
            get(async || Redirect::temporary("../graphiql")),
        )
        .route("/graphiql/{name}", get(asset))
        .layer(map_response(async |mut response: Response| {
            response.headers_mut().extend(HEADERS);
            response
        }))
}

/// The page is small and revalidated at each visit; its assets are cached.
async fn page() -> Response {
    send("index.html", "index.html", "no-cache")
}

async fn asset(Path(name): Path<String>, asked: HeaderMap) -> Response {
    if !accepts_gzip(&asked) {
        // Every browser accepts gzip, so a decoder for other clients would never run.
        let vary = [(header::VARY, "accept-encoding")];
        return (StatusCode::NOT_ACCEPTABLE, vary, "only in gzip\n").into_response();
    }
    let path = format!("graphiql/{name}.gz");
    let mut response = send(&path, &name, "public, max-age=31536000, immutable");
    if response.status().is_success() {
        let gzip = HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, gzip);
    }
    response
}

fn send(path: &str, name: &str, cache: &'static str) -> Response {
    let Some(file) = FILES.get_file(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
    ];
    (headers, file.contents()).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Returns whether the client accepts gzip: a request without the header accepts every coding, and `q=0` refuses one.
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let codings: Vec<&str> = asked
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .collect();
    let said = |name: &str| {
        codings.iter().find_map(|coding| {
            let (coding, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            let taken = weight.parse::<f32>().is_ok_and(|weight| weight > 0.0);
            coding.trim().eq_ignore_ascii_case(name).then_some(taken)
        })
    };
    codings.is_empty() || said("gzip").or_else(|| said("*")).unwrap_or(false)
}
