//! The rules of MCP servers that may be called.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::IpNet;
use url::Host;

use crate::config::values::network;

/// Hosts or a network whose MCP servers may be called, in addition to the public internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedServer {
    pub(crate) host: AllowedHost,
    /// The only port; none means any port.
    pub(crate) port: Option<u16>,
}

/// Hosts by name, or a network. Names are in lower case, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedHost {
    Name(String),
    /// All names that end with a dot and this one (`*.internal`).
    Subdomains(String),
    Network(IpNet),
}

impl AllowedHost {
    /// Returns whether a host's name is one of these. It is in lower case, without a final dot.
    pub(crate) fn names(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => name == host,
            Self::Subdomains(domain) => host
                .strip_suffix(domain.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
            Self::Network(_) => false,
        }
    }
}

const EXPECTED: &str = "expected a host, its subdomains, or a network, the first two with a port or without, such as \
                        mcp:8000, *.internal or 10.0.0.0/8";

impl FromStr for AllowedServer {
    type Err = String;

    /// Parses `HOST`, `*.DOMAIN` or an address, each with or without `:PORT`, or a network (`10.0.0.0/8`). An IPv6
    /// address with a port has brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split('/').next().unwrap_or("");
            return Err(format!("{EXPECTED}, and not a URL: write {host}"));
        }
        let of_network = |net, port| Self {
            host: AllowedHost::Network(net),
            port,
        };
        let bracketed = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let bare = bracketed.unwrap_or(text);
        if text.contains('/') || bare.parse::<IpAddr>().is_ok() {
            return Ok(of_network(network(bare)?, None));
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            let net = network(&socket.ip().to_string())?;
            return Ok(of_network(net, Some(port(&socket.port().to_string())?)));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((_, "*")) => {
                return Err(
                    "expected a port after the colon; without colon and port, any port is meant"
                        .to_owned(),
                );
            }
            Some((host, digits)) => (host, Some(port(digits)?)),
            None => (text, None),
        };
        Ok(Self {
            host: named(host)?,
            port,
        })
    }
}

/// Parses a host's name, or a pattern of its subdomains.
fn named(host: &str) -> Result<AllowedHost, String> {
    let (name, is_wild) = match host.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (host, false),
    };
    if let Some(name) = name.strip_prefix('.') {
        return Err(format!(
            "{EXPECTED}: for all hosts under a name write *.{name}"
        ));
    }
    if name.contains('*') {
        return Err(format!(
            "{EXPECTED}: a star stands for the first labels alone, before a dot and a name"
        ));
    }
    match Host::parse(name) {
        Ok(Host::Domain(name)) => {
            let name = without_final_dot(&name).to_owned();
            if name.split('.').any(str::is_empty) {
                return Err(format!("{EXPECTED}: a part of the name is empty"));
            }
            Ok(if is_wild {
                AllowedHost::Subdomains(name)
            } else {
                AllowedHost::Name(name)
            })
        }
        // 10.1 means 10.0.0.1, and not a network.
        Ok(Host::Ipv4(address)) if is_wild => {
            Err(format!("{EXPECTED}: {address} has no subdomains"))
        }
        Ok(Host::Ipv4(address)) => Err(format!(
            "{EXPECTED}: write {address} for the address, or a network with its length"
        )),
        Ok(Host::Ipv6(_)) | Err(_) => Err(EXPECTED.to_owned()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "expected a port from 1 to 65535".to_owned())
}

/// Parses `PORT` or `FIRST-LAST`.
pub(in crate::config) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first.trim()), port(last.trim())) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected a port from 1 to 65535, or the first and the last of a range, such as 8000-8999".to_owned()),
    }
}

/// A scheme of MCP servers' URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    Ws,
    Wss,
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match &*text.to_ascii_lowercase() {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            "ws" => Ok(Self::Ws),
            "wss" => Ok(Self::Wss),
            _ => Err("expected http, https, ws or wss".to_owned()),
        }
    }
}

/// The MCP servers that the service may call. By default any port of public addresses.
#[derive(Clone, Debug, Default)]
pub struct ServerRules {
    /// Hosts and networks that may be called in addition to public addresses.
    pub allow: Vec<AllowedServer>,
    /// The only ports that may be called; empty means all. A host that is allowed with its port is exempt.
    pub ports: Vec<RangeInclusive<u16>>,
    /// The only schemes; empty means all four.
    pub schemes: Vec<Scheme>,
}

impl AllowedServer {
    pub(crate) fn at(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// Returns a host's name without the final dot of a fully qualified name.
pub(crate) fn without_final_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value has its obvious meaning, or is refused with the right form.
    #[test]
    fn a_host_or_network_is_meant_or_refused() {
        for (text, host, port) in [
            ("mcp", "Name(\"mcp\")", None),
            ("MCP.Example.:8000", "Name(\"mcp.example\")", Some(8000)),
            ("my_server", "Name(\"my_server\")", None),
            ("*.internal", "Subdomains(\"internal\")", None),
            ("*.Internal.:8000", "Subdomains(\"internal\")", Some(8000)),
            (
                "*.bücher.example",
                "Subdomains(\"xn--bcher-kva.example\")",
                None,
            ),
            ("bücher.example", "Name(\"xn--bcher-kva.example\")", None),
            ("10.0.0.0/8", "Network(10.0.0.0/8)", None),
            ("10.0.0.1:80", "Network(10.0.0.1/32)", Some(80)),
            ("::1", "Network(::1/128)", None),
            ("[::1]", "Network(::1/128)", None),
            ("[::1]:80", "Network(::1/128)", Some(80)),
            ("::ffff:10.0.0.1", "Network(10.0.0.1/32)", None),
            ("::ffff:10.0.0.0/104", "Network(10.0.0.0/8)", None),
        ] {
            let read: AllowedServer = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (format!("{:?}", read.host).as_str(), read.port),
                (host, port),
                "{text}"
            );
        }
        for (text, expected) in [
            ("", "expected a host"),
            ("*", "a star stands for the first labels alone"),
            ("*.*", "a star stands for the first labels alone"),
            ("foo.*", "a star stands for the first labels alone"),
            ("*internal", "a star stands for the first labels alone"),
            ("a.*.internal", "a star stands for the first labels alone"),
            ("10.0.0.*", "a star stands for the first labels alone"),
            ("*.10.0.0.1", "10.0.0.1 has no subdomains"),
            ("*.", "expected a host"),
            (".internal", "write *.internal"),
            ("*..internal", "write *.internal"),
            ("a..b", "a part of the name is empty"),
            ("10.1", "write 10.0.0.1 for the address"),
            ("10.1:80", "write 10.0.0.1 for the address"),
            ("http://mcp:8000/", "not a URL: write mcp:8000"),
            ("https://*.internal", "not a URL: write *.internal"),
            ("mcp/x", "10.0.0.0/8"),
            ("mcp:", "a port from 1 to 65535"),
            ("mcp:0", "a port from 1 to 65535"),
            ("10.0.0.1:0", "a port from 1 to 65535"),
            ("mcp:0x50", "a port from 1 to 65535"),
            ("mcp:99999", "a port from 1 to 65535"),
            ("mcp:*", "any port is meant"),
            ("ann@mcp", "expected a host"),
            ("a b", "expected a host"),
            ("10.0.0.0/33", "10.0.0.0/8"),
            ("10.1.2.3/8", "write 10.0.0.0/8 for the network"),
            ("0.0.0.0", "write 0.0.0.0/0"),
            ("::", "write ::/0"),
        ] {
            let refused = text.parse::<AllowedServer>().unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }

    #[test]
    fn a_star_is_for_whole_labels() {
        let server: AllowedServer = "*.internal".parse().unwrap();
        for (host, is) in [
            ("mcp.internal", true),
            ("a.b.internal", true),
            ("internal", false),
            (".internal", false),
            ("mcpinternal", false),
            ("mcp.internal.example", false),
            ("", false),
        ] {
            assert_eq!(server.host.names(host), is, "{host}");
        }
    }

    #[test]
    fn ports_are_given_one_by_one_or_as_ranges() {
        assert_eq!(ports("443"), Ok(443..=443));
        assert_eq!(ports("8000-8999"), Ok(8000..=8999));
        assert_eq!(ports("1-65535"), Ok(1..=65535));
        for text in [
            "",
            "0",
            "9000-8000",
            "8000-",
            "-8000",
            "80:90",
            "https",
            "65536",
        ] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn schemes_are_read_in_any_case() {
        assert_eq!("HTTPS".parse(), Ok(Scheme::Https));
        assert!("https://".parse::<Scheme>().is_err());
    }
}
