//! Checks a request's head before all other work (RFC 9110, RFC 9112, RFC 9113).

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri, Version,
        header::{self, HOST},
        uri::Authority,
    },
    response::{IntoResponse, Response},
};

use crate::{error::Code, http::rejection::Rejection};

/// The methods of all resources.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");

/// Checks a head, and sets `Host` to the authority of the request.
pub(super) fn check(request: &mut Request) -> Result<(), Rejection> {
    let version = request.version();
    if version < Version::HTTP_2 {
        check_host(request.headers(), version)?;
    }
    expectation(request.headers())?;
    // The target's absolute form overrides the header (RFC 9112, section 3.2.2). HTTP/2 has `:authority` (RFC 9113,
    // section 8.3.1).
    let authority = request.uri().authority().map(Authority::as_str);
    let host = authority.and_then(|text| text.rsplit('@').next());
    if let Some(host) = host.and_then(|text| HeaderValue::from_str(text).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    Ok(())
}

/// Checks that HTTP/1.1 has one `Host`, and that no version has several or an invalid one (RFC 9112, section 3.2).
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Rejection> {
    let mut hosts = headers.get_all(HOST).iter();
    let message = match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => return Ok(()),
        (None, _) if version < Version::HTTP_11 => return Ok(()),
        (None, _) => "the request must have a Host header",
        (Some(_), None) => "the Host header must be a host, with or without a port",
        (Some(_), Some(_)) => "the request must have one Host header",
    };
    Err(bad_request(message))
}

/// Returns whether a `Host` is valid. It is empty if the target has no authority.
fn is_host(value: &HeaderValue) -> bool {
    value.is_empty()
        || value.to_str().is_ok_and(|text| {
            let authority: Option<Authority> = text.parse().ok();
            authority.is_some_and(|authority| !authority.as_str().contains('@'))
        })
}

/// Refuses all expectations except `100-continue` (RFC 9110, section 10.1.1).
fn expectation(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut expected = headers.get_all(header::EXPECT).iter();
    if expected.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    let status = StatusCode::EXPECTATION_FAILED;
    let message = "the Expect header may be 100-continue only";
    Err(Rejection::new(status, Code::BadRequest, message))
}

fn bad_request(message: &str) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
}

/// Returns the response to `OPTIONS *` (RFC 9110, section 9.3.7).
pub(super) fn about_the_server(method: &Method, uri: &Uri) -> Option<Response> {
    (*method == Method::OPTIONS && uri.path() == "*")
        .then(|| (StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response())
}

/// Removes the content of a response to HEAD, but states its length (RFC 9110, section 9.3.2).
pub(super) fn without_content(response: &mut Response) {
    let length = response.body().size_hint().exact();
    *response.body_mut() = Body::empty();
    let has_content = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if let (Some(length @ 1..), true) = (length, has_content) {
        response
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
}

/// Returns the bytes of an uncompressed head, as HTTP/2 counts them (RFC 9113, section 6.5.2).
pub(super) fn bytes(request: &Request) -> usize {
    const EACH: usize = 32;
    let headers = request.headers().iter();
    let fields = headers.map(|(name, value)| name.as_str().len() + value.len() + EACH);
    let path = request.uri().path_and_query();
    fields.sum::<usize>() + path.map_or(0, |path| path.as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_host() {
        for (version, hosts, status) in [
            (Version::HTTP_11, &["a.example:80"][..], None),
            (Version::HTTP_11, &["[::1]:8080"], None),
            (Version::HTTP_11, &[""], None),
            (Version::HTTP_11, &[], Some(400)),
            (Version::HTTP_11, &["a", "a"], Some(400)),
            (Version::HTTP_11, &["a b"], Some(400)),
            (Version::HTTP_11, &["a/b"], Some(400)),
            (Version::HTTP_11, &["user@a"], Some(400)),
            (Version::HTTP_10, &[], None),
            (Version::HTTP_10, &["a", "b"], Some(400)),
            (Version::HTTP_2, &[], None),
        ] {
            let request = Request::get("/").version(version);
            let request = hosts
                .iter()
                .fold(request, |request, host| request.header(HOST, *host));
            let checked = check(&mut request.body(Body::empty()).unwrap());
            let refused = checked.map_err(|rejection| rejection.unread(&HeaderMap::new()));
            let found = refused.err().map(|response| response.status().as_u16());
            assert_eq!(found, status, "{version:?} {hosts:?}");
        }
    }

    #[test]
    fn the_target_counts_more_than_the_host() {
        let request = Request::get("http://user@b.example:1/").header(HOST, "a.example");
        let mut request = request.body(Body::empty()).unwrap();
        assert!(check(&mut request).is_ok());
        assert_eq!(request.headers()[HOST], "b.example:1");
    }
}
