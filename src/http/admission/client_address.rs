//! The address of a client behind trusted proxies.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The address of the client: behind trusted proxies the rightmost address that is not one of theirs.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    for hop in forwarded(headers).into_iter().rev() {
        // An element in an unknown form is not believed, even from a trusted proxy, nor any element before it.
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// The addresses of `Forwarded` (RFC 7239) or else `X-Forwarded-For`, from the client's to the last proxy's.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let all = |name| {
        let values = headers.get_all(name).iter();
        values.flat_map(|value| value.to_str().unwrap_or("?").split(','))
    };
    let standard: Vec<_> = all("forwarded").map(forwarded_for).collect();
    if standard.is_empty() {
        all("x-forwarded-for").map(node).collect()
    } else {
        standard
    }
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| node(value.trim().trim_matches('"')))?
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
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

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = [
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ];
        let seen = |peer: &str, header: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(header.parse().unwrap(), value.parse().unwrap())]);
            client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
        };
        let xff = "x-forwarded-for";
        for (peer, header, value, expected) in [
            ("192.0.2.9", xff, "1.1.1.1", "192.0.2.9"),
            ("10.0.0.1", xff, "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", xff, "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("::ffff:10.0.0.1", xff, "1.1.1.1:5555", "1.1.1.1"),
            ("10.0.0.1", xff, "6.6.6.6, unknown", "10.0.0.1"),
            ("10.0.0.1", xff, "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            (
                "2001:db8::1",
                "forwarded",
                "for=6.6.6.6, for=\"[2606::1]:80\";proto=https",
                "2606::1",
            ),
            (
                "10.0.0.1",
                "forwarded",
                "proto=https;For=1.1.1.1",
                "1.1.1.1",
            ),
            ("10.0.0.1", "forwarded", "for=_hidden", "10.0.0.1"),
        ] {
            assert_eq!(seen(peer, header, value), expected, "{value}");
        }
    }
}
