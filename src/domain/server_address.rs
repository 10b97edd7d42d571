//! The normalized address of a server for lookups: `HOST[:PORT]/PATH[?QUERY]`, with the host in lower case, and without
//! scheme, fragment, default port and final slash.
//!
//! Invariant: only this module makes addresses, both to store and to search. All addresses of a host begin with it and
//! `/` or `:`.

use std::ops::Range;

use url::Url;

/// The most bytes that are compared, because an index of PostgreSQL takes 2 KB.
const BYTES: usize = 600;

/// Returns the address of a URL; none if it is no URL of a server.
pub(crate) fn of_url(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
        return None;
    }
    let path = url.path().trim_end_matches('/');
    let mut address = authority(&url)?;
    address.push_str(if path.is_empty() { "/" } else { path });
    if let Some(query) = url.query() {
        address.push('?');
        address.push_str(query);
    }
    address.truncate(address.floor_char_boundary(BYTES));
    Some(address)
}

fn authority(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Returns the prefix of addresses at a host, with its port unless that is the default. None for invalid text.
pub(crate) fn of_host(host: &str) -> Option<String> {
    authority(&url_of(host)?)
}

/// Returns whether an address belongs to a host of [`of_host`].
pub(crate) fn is_at(host: &str, address: &str) -> bool {
    let rest = address.strip_prefix(host);
    rest.is_some_and(|rest| rest.starts_with(['/', ':']))
}

fn url_of(host: &str) -> Option<Url> {
    let is_alone = !host.contains(['/', '?', '#', '@', '\\']) && host.trim() == host;
    let url = Url::parse(&format!("https://{host}/")).ok();
    url.filter(|_| is_alone)
}

/// Returns the ranges of addresses at a host, which may have a port. None for invalid text.
pub(crate) fn at_host(host: &str) -> Option<Vec<Range<String>>> {
    let url = url_of(host)?;
    let authority = authority(&url)?;
    let from = |end: char| {
        let next = char::from_u32(u32::from(end) + 1)?;
        Some(format!("{authority}{end}")..format!("{authority}{next}"))
    };
    let ports = if url.port().is_some() {
        None
    } else {
        from(':')
    };
    Some(from('/').into_iter().chain(ports).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normal() {
        for (url, address) in [
            ("https://example.com", Some("example.com/")),
            ("http://Example.COM:80/", Some("example.com/")),
            (
                "wss://example.com:8443/mcp/#top",
                Some("example.com:8443/mcp"),
            ),
            (
                "https://example.com/a/?x=1&y=/",
                Some("example.com/a?x=1&y=/"),
            ),
            (
                "https://m\u{fc}ller.example/",
                Some("xn--mller-kva.example/"),
            ),
            ("http://[::1]:8000/x", Some("[::1]:8000/x")),
            ("ftp://example.com/", None),
            ("example.com/mcp", None),
            ("https://", None),
        ] {
            assert_eq!(of_url(url).as_deref(), address, "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(2000));
        assert_eq!(of_url(&long).unwrap().len(), BYTES);
    }

    #[test]
    fn hosts_have_their_addresses() {
        let has = |host: &str, url: &str| {
            let address = of_url(url).unwrap();
            let ranges = at_host(host).unwrap();
            let has = ranges.iter().any(|range| range.contains(&address));
            let host = of_host(host).unwrap();
            assert_eq!(of_host(&host).as_ref(), Some(&host));
            assert_eq!(is_at(&host, &address), has, "{host} {url}");
            has
        };
        for (host, url) in [
            ("example.com", "https://example.com"),
            ("EXAMPLE.com", "https://example.com/mcp?x=1"),
            ("example.com", "http://example.com:8080/mcp"),
            ("example.com:8080", "http://example.com:8080/mcp"),
            ("example.com:443", "https://example.com/mcp"),
            ("[::1]", "http://[::1]:8000/x"),
        ] {
            assert!(has(host, url), "{host} {url}");
        }
        for (host, url) in [
            ("example.com", "https://example.com.evil/"),
            ("example.com", "https://www.example.com/"),
            ("example.com:8080", "https://example.com/"),
            ("example.com:8080", "https://example.com:80801/"),
        ] {
            assert!(of_url(url).is_none() || !has(host, url), "{host} {url}");
        }
        for no_host in [
            "",
            "a/b",
            "https://example.com",
            "me@example.com",
            "a b",
            " a",
            "a:b",
            "?",
        ] {
            assert_eq!(at_host(no_host), None, "{no_host}");
        }
    }
}
