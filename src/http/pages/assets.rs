//! The files that `web/` builds, embedded in the binary.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use include_dir::{Dir, include_dir};

/// The pages, and their assets under `assets/`. Names of assets contain a hash of the content, and each is in gzip.
static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/web/dist");

/// The policy of an asset that is opened as a page, and of a worker, which sends no request.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; frame-ancestors 'none'";

/// Returns the text of a page.
pub(super) fn text(name: &str) -> &'static str {
    let file = FILES.get_file(name);
    file.and_then(|file| file.contents_utf8())
        .unwrap_or_default()
}

/// Sends a page. It is small and revalidated at each visit; its assets are cached.
pub(super) fn page(text: impl Into<Bytes>) -> Response {
    sent("html", "no-cache", text.into())
}

/// Sends a file of the build that is not a page, by its name.
pub(super) fn file(name: &'static str) -> Response {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    sent(
        extension,
        "no-cache",
        Bytes::from_static(text(name).as_bytes()),
    )
}

pub(super) async fn send(Path(name): Path<String>, asked: HeaderMap) -> Response {
    if !accepts_gzip(&asked) {
        // Every browser accepts gzip, so a decoder for other clients would never run.
        let vary = [(header::VARY, "accept-encoding")];
        return (StatusCode::NOT_ACCEPTABLE, vary, "only in gzip\n").into_response();
    }
    let Some(file) = FILES.get_file(format!("assets/{name}.gz")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let body = Bytes::from_static(file.contents());
    let mut response = sent(extension, "public, max-age=31536000, immutable", body);
    let gzip = HeaderValue::from_static("gzip");
    response
        .headers_mut()
        .insert(header::CONTENT_ENCODING, gzip);
    response
}

fn sent(extension: &str, cache: &'static str, body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type(extension)),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
    ];
    (headers, body).into_response()
}

fn content_type(extension: &str) -> &'static str {
    match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
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
