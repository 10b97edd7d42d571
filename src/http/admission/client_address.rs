//! The address of a client behind trusted proxies.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderName,
    header::{FORWARDED, HOST},
};
use ipnet::IpNet;

use crate::{config::ProxyHeader, http::connections::peer::Peer};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The URL that a client requested, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Asked {
    /// `http` or `https`, if a trusted proxy names it.
    pub(in crate::http) scheme: Option<&'static str>,
    /// The host, with its port if it is not the scheme's.
    pub(in crate::http) host: Option<String>,
}

/// The trusted proxies, and the one header in which they name a client's address.
///
/// Proxies forward all similar headers unchanged, so those come from the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>, header: ProxyHeader) -> Self {
        Self { networks, header }
    }

    /// Returns whether a peer is one of the proxies. The peer of a Unix socket always is.
    pub(in crate::http) fn contains(&self, peer: impl Into<Peer>) -> bool {
        match peer.into() {
            Peer::Local => true,
            Peer::Address(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|net| net.contains(&address))
            }
        }
    }

    /// Returns the client. Behind trusted proxies, it is the rightmost address that is not a proxy's.
    pub(super) fn client(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        if !self.contains(peer) {
            return peer;
        }
        let mut client = peer;
        for hop in self.hops(headers).into_iter().rev() {
            // An unknown form is not trusted, even from a trusted proxy, and neither is an earlier element.
            let Some(address) = hop else { break };
            client = address.into();
            if !self.contains(client) {
                break;
            }
        }
        client
    }

    /// Returns the requested scheme and host: those of the first trusted proxy, or `Host`.
    ///
    /// No page can make a browser send these headers with a WebSocket handshake, so the first value can be trusted.
    pub(super) fn asked(&self, peer: Option<Peer>, headers: &HeaderMap) -> Asked {
        let is_behind_proxy = peer.is_some_and(|peer| self.contains(peer));
        let first = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            value.split(',').next()
        };
        let (scheme, host) = match self.header {
            _ if !is_behind_proxy => (None, None),
            ProxyHeader::XForwardedFor => (
                first(X_FORWARDED_PROTO).map(str::trim),
                first(X_FORWARDED_HOST).map(str::trim),
            ),
            ProxyHeader::Forwarded => {
                let element = first(FORWARDED);
                let parameter = |name| element.and_then(|element| parameter(element, name));
                (parameter("proto"), parameter("host"))
            }
        };
        let host = host.filter(|host| !host.is_empty());
        Asked {
            scheme: scheme.and_then(http_scheme),
            host: host
                .or_else(|| headers.get(HOST)?.to_str().ok())
                .map(ToOwned::to_owned),
        }
    }

    /// Returns the addresses in the proxies' header, from the client's to the last proxy's.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, parse): (_, fn(&str) -> _) = match self.header {
            ProxyHeader::XForwardedFor => (X_FORWARDED_FOR, node),
            ProxyHeader::Forwarded => (FORWARDED, forwarded_for),
        };
        let values = headers.get_all(name).iter();
        let elements = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
        elements.map(parse).collect()
    }
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    node(parameter(element, "for")?)
}

/// Returns a parameter of an element of `Forwarded` (RFC 7239, section 4).
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
        is_wanted.then(|| value.trim().trim_matches('"'))
    })
}

/// Returns the scheme of a page's origin. Some proxies write `wss` for a WebSocket.
fn http_scheme(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some("http"),
        "https" | "wss" => Some("https"),
        _ => None,
    }
}

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let with_port = || Some(text.parse::<std::net::SocketAddr>().ok()?.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(with_port).or_else(bracketed);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(peer: &str) -> Peer {
        match peer {
            "unix" => Peer::Local,
            address => Peer::Address(address.parse().unwrap()),
        }
    }

    fn seen(peer: &str, header: ProxyHeader, sent: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap());
        let sent = sent.iter();
        let headers = sent.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let proxies = TrustedProxies::new(networks.to_vec(), header);
        match proxies.client(at(peer), &headers.collect::<HeaderMap>()) {
            Peer::Local => "unix".to_owned(),
            Peer::Address(address) => address.to_canonical().to_string(),
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let (xff, standard) = (ProxyHeader::XForwardedFor, ProxyHeader::Forwarded);
        for (peer, header, value, expected) in [
            ("192.0.2.9", xff, "1.1.1.1", "192.0.2.9"),
            ("10.0.0.1", xff, "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", xff, "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("::ffff:10.0.0.1", xff, "1.1.1.1:5555", "1.1.1.1"),
            ("10.0.0.1", xff, "6.6.6.6, unknown", "10.0.0.1"),
            ("10.0.0.1", xff, "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            (
                "2001:db8::1",
                standard,
                "for=6.6.6.6, for=\"[2606::1]:80\";proto=https",
                "2606::1",
            ),
            ("10.0.0.1", standard, "proto=https;For=1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", standard, "for=_hidden", "10.0.0.1"),
            ("unix", xff, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("unix", xff, "1.1.1.1, 10.0.0.2", "1.1.1.1"),
            // The proxy itself is reached over a Unix socket.
            ("unix", xff, "1.1.1.1, unix:", "unix"),
            ("unix", standard, "for=1.1.1.1", "1.1.1.1"),
        ] {
            let name = match header {
                ProxyHeader::XForwardedFor => "x-forwarded-for",
                ProxyHeader::Forwarded => "forwarded",
            };
            assert_eq!(seen(peer, header, &[(name, value)]), expected, "{value}");
        }
    }

    #[test]
    fn the_host_and_scheme_of_trusted_proxies_are_believed() {
        let (xff, standard) = (ProxyHeader::XForwardedFor, ProxyHeader::Forwarded);
        let forwarded = "for=1.1.1.1;proto=https;host=\"a.example:8443\", for=10.0.0.2;host=b";
        for (peer, header, sent, scheme, host) in [
            ("10.0.0.1", xff, &[][..], None, "in.example"),
            (
                "10.0.0.1",
                xff,
                &[
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "a.example, b.example"),
                ][..],
                Some("https"),
                "a.example",
            ),
            (
                "unix",
                xff,
                &[("x-forwarded-host", "a.example")],
                None,
                "a.example",
            ),
            (
                "10.0.0.1",
                xff,
                &[("x-forwarded-proto", "WSS, http")],
                Some("https"),
                "in.example",
            ),
            (
                "10.0.0.1",
                xff,
                &[("x-forwarded-proto", "ftp"), ("x-forwarded-host", "")],
                None,
                "in.example",
            ),
            (
                "10.0.0.1",
                xff,
                &[("forwarded", forwarded)],
                None,
                "in.example",
            ),
            (
                "10.0.0.1",
                standard,
                &[("forwarded", forwarded)],
                Some("https"),
                "a.example:8443",
            ),
            (
                "10.0.0.1",
                standard,
                &[("x-forwarded-host", "a.example")],
                None,
                "in.example",
            ),
            (
                "192.0.2.9",
                xff,
                &[("x-forwarded-host", "a.example")],
                None,
                "in.example",
            ),
            (
                "192.0.2.9",
                standard,
                &[("forwarded", forwarded)],
                None,
                "in.example",
            ),
        ] {
            let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], header);
            let sent = [("host", "in.example")].iter().chain(sent);
            let headers = sent.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers = headers.collect::<HeaderMap>();
            let asked = proxies.asked(Some(at(peer)), &headers);
            let host = Some(host.to_owned());
            assert_eq!(asked, Asked { scheme, host }, "{peer} {headers:?}");
        }
        let nobody = TrustedProxies::default().asked(None, &HeaderMap::new());
        assert_eq!(nobody, Asked::default());
    }

    #[test]
    fn only_the_header_that_the_proxy_writes_is_believed() {
        let both = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.1.1.1")];
        assert_eq!(
            seen("10.0.0.1", ProxyHeader::XForwardedFor, &both),
            "1.1.1.1"
        );
        assert_eq!(seen("10.0.0.1", ProxyHeader::Forwarded, &both), "6.6.6.6");
        assert_eq!(seen("unix", ProxyHeader::XForwardedFor, &[]), "unix");
        let other = &both[..1];
        assert_eq!(
            seen("10.0.0.1", ProxyHeader::XForwardedFor, other),
            "10.0.0.1"
        );
    }
}
