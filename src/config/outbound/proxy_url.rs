//! The URL of the outbound proxy.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use url::Url;

/// An HTTP proxy. `Display` and `Debug` omit user and password.
#[derive(Clone)]
pub struct ProxyUrl {
    /// The host; an IPv6 address has no brackets.
    host: String,
    port: u16,
    authorization: Option<String>,
}

const EXPECTED: &str = "expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT";

impl FromStr for ProxyUrl {
    type Err = String;

    /// Parses `http://[USER:PASSWORD@]HOST[:PORT]`. Errors do not quote it.
    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| {
            format!("{EXPECTED}; encode special characters of the password, such as %40 for @")
        })?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(format!(
                    "{EXPECTED}: the connection to the proxy is not encrypted, and what is sent through it to https \
                     URLs is"
                ));
            }
            _ => return Err(format!("{EXPECTED}: no other kind of proxy is used")),
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(EXPECTED.to_owned());
        };
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "{EXPECTED}, without a path; encode special characters of the password, such as %2F for / and %23 for #"
            ));
        }
        let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
        let (user, password) = (url.username(), url.password().unwrap_or(""));
        let user = decoded(user);
        if user.contains(&b':') {
            return Err("a user name with a colon cannot be sent (RFC 7617 §2)".to_owned());
        }
        let credentials = [&user, &b":"[..], &decoded(password)].concat();
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authorization: (credentials.len() > 1)
                .then(|| format!("Basic {}", STANDARD.encode(credentials))),
        })
    }
}

impl ProxyUrl {
    /// Returns the name, or the address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value of `Proxy-Authorization` (RFC 7617), which is a secret.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "http://[{host}]:{port}")
        } else {
            write!(f, "http://{host}:{port}")
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        for (text, shown, credentials) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("http://Proxy.example/", "http://proxy.example:80", None),
            ("http://[::1]:3128", "http://[::1]:3128", None),
            (
                "http://ann:p%40s%2Fs@10.0.0.1:8080",
                "http://10.0.0.1:8080",
                Some("ann:p@s/s"),
            ),
            ("http://ann@proxy:1", "http://proxy:1", Some("ann:")),
        ] {
            let proxy: ProxyUrl = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?}"), shown);
            let expected = credentials.map(|text| format!("Basic {}", STANDARD.encode(text)));
            assert_eq!(proxy.authorization(), expected.as_deref());
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for (text, expected) in [
            ("proxy:3128", "no other kind of proxy"),
            ("proxy.example", "expected http://HOST:PORT"),
            ("10.0.0.1:3128", "expected http://HOST:PORT"),
            ("", "expected http://HOST:PORT"),
            ("https://ann:secret@proxy:3128", "is not encrypted"),
            ("socks5://ann:secret@proxy:1080", "no other kind of proxy"),
            ("http://ann:secret@proxy:3128/path", "without a path"),
            ("http://ann:sec#ret@proxy:3128", "encode special characters"),
            ("http://ann:sec/ret@proxy:3128", "encode special characters"),
            ("http://ann:secret@proxy:99999", "encode special characters"),
            ("http://a%3An:secret@proxy:1", "a user name with a colon"),
        ] {
            let refused = text.parse::<ProxyUrl>().unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.contains("secret"), "{text}: {refused}");
        }
    }
}
