//! Origins whose pages may send requests from a browser (CORS), and the headers that they may send.

use std::{fmt, str::FromStr};

use axum::http::HeaderName;
use url::Url;

/// The name of a header that pages may send.
pub(crate) type CorsHeader = HeaderName;

/// An origin (RFC 6454, section 6.1) in the form of browsers: lower case, without its scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    /// Parses `scheme://host[:port]`. Returns none for `null`, or if there is more.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::new(scheme, authority)
    }

    /// Creates an origin from a scheme and an authority, `host[:port]`.
    pub(crate) fn new(scheme: &str, authority: &str) -> Option<Self> {
        // A URL parser removes tabs and line ends, and decodes a host.
        let is_foreign = |c: char| c.is_whitespace() || c.is_control() || r"/\?#@*%".contains(c);
        if scheme.contains(is_foreign) || authority.contains(is_foreign) {
            return None;
        }
        Self::of(&Url::parse(&format!("{scheme}://{authority}")).ok()?)
    }

    /// Accepts the schemes of web views and extensions, such as `capacitor://localhost`, to which a URL parser gives no
    /// origin.
    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let (scheme, host) = (url.scheme(), host.to_ascii_lowercase());
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let origin = format!("{scheme}://{host}{port}");
        (scheme != "file").then_some(Self(origin))
    }

    pub(crate) fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The origins whose pages may send requests from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedOrigin {
    Any,
    One(Origin),
}

impl AllowedOrigin {
    /// Returns whether the value of an `Origin` header is allowed.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => Origin::parse(origin).as_ref() == Some(one),
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(origin) = Origin::parse(text) {
            return Ok(Self::One(origin));
        }
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        match url.as_ref().and_then(Origin::of) {
            Some(origin) if !text.contains('*') => Err(format!(
                "expected an origin, without path and user: {origin}"
            )),
            _ => Err("expected * or an origin such as https://app.example.com".to_owned()),
        }
    }
}

/// Parses the name of a header, or `*` for any.
pub(super) fn header_name(text: &str) -> Result<CorsHeader, String> {
    let name = text.trim().parse();
    name.map_err(|_| "expected the name of a header such as X-Client, or *".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_origins() {
        for (text, written) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80", "http://app.example.com"),
            ("https://app.example.com:80", "https://app.example.com:80"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[0:0::1]", "http://[::1]"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            (" https://app.example.com", "https://app.example.com"),
        ] {
            let allowed: AllowedOrigin = text.parse().unwrap();
            assert_eq!(
                allowed,
                AllowedOrigin::One(Origin(written.to_owned())),
                "{text}"
            );
            assert!(allowed.allows(written), "{text}");
            for other in [
                "null",
                "",
                "https://app.exam\tple.com",
                "ht\ttps://app.example.com",
                "https://app%2Eexample.com",
                " https://app.example.com",
                "https://app.example.com\n",
                "https://app.example.com.evil.example",
                "app.example.com",
            ] {
                assert!(!allowed.allows(other), "{text} {other}");
            }
        }
        assert_eq!("*".parse(), Ok(AllowedOrigin::Any));
        assert!(AllowedOrigin::Any.allows("null"));
    }

    #[test]
    fn more_than_an_origin_is_refused() {
        for (text, expected) in [
            ("https://app.example.com/", "user: https://app.example.com"),
            (
                "https://App.example.com:443/path",
                "user: https://app.example.com",
            ),
            ("https://app.example.com?q", "user: https://app.example.com"),
            ("https://a@app.example.com", "user: https://app.example.com"),
            ("app.example.com", "* or an origin"),
            ("app.example.com:443", "* or an origin"),
            ("null", "* or an origin"),
            ("file:///tmp", "* or an origin"),
            ("file://host", "* or an origin"),
            ("blob:https://app.example.com/x", "* or an origin"),
            ("", "* or an origin"),
            ("https://", "* or an origin"),
            ("https://*.example.com", "* or an origin"),
        ] {
            let error = text.parse::<AllowedOrigin>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
