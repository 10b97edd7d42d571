//! How often a caller may ask.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::{
    buckets::Buckets,
    clock::Clock,
    http::auth::{Authenticator, Refusal, Verified},
};

/// The time whose worth of requests a caller may send at once.
const BURST: Duration = Duration::from_secs(2);

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    Address(IpAddr),
    User(Option<String>, String),
}

impl Caller {
    /// An IPv6 subscriber has a /64 of addresses.
    fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & !u128::from(u64::MAX),
            )),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Turned away, for so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) retry_after: u64,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests: wait {} s", self.retry_after)
    }
}

#[derive(Debug)]
pub struct RateLimit {
    /// None is no limit.
    buckets: Option<Mutex<Buckets<Caller>>>,
    trusted: Vec<IpNet>,
    clock: Clock,
}

impl RateLimit {
    /// So many requests a second for each caller; zero is no limit.
    pub fn new(a_second: u32, trusted: Vec<IpNet>, clock: Clock) -> Self {
        let cost = (a_second > 0).then(|| Duration::from_secs(1) / a_second);
        Self {
            buckets: cost.map(|cost| Mutex::new(Buckets::new(cost, BURST))),
            trusted,
            clock,
        }
    }

    /// Who sent a request, charged for it. A token that is not known yet is charged to the address before its signature is
    /// checked, and back when it is good.
    pub(crate) async fn admit(
        &self,
        authenticator: &Authenticator,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<Result<Verified, Refusal>, TooMany> {
        if let Some(verified) = authenticator.known(headers) {
            user(&verified).map_or(Ok(()), |user| self.charge(&user))?;
            return Ok(Ok(verified));
        }
        let address = self.address(peer, headers);
        if let Some(address) = &address {
            self.charge(address)?;
        }
        let verified = authenticator.viewer(headers).await;
        if let Some(user) = verified.as_ref().ok().and_then(user) {
            if let Some(address) = address {
                self.refund(&address);
            }
            self.charge(&user)?;
        }
        Ok(verified)
    }

    /// Whose request it is: the user's, or else the address's.
    pub(crate) fn caller(
        &self,
        verified: &Verified,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Option<Caller> {
        user(verified).or_else(|| self.address(peer, headers))
    }

    pub(crate) fn address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Caller> {
        peer.map(|peer| Caller::at(client(peer, headers, &self.trusted)))
    }

    pub(crate) fn charge(&self, caller: &Caller) -> Result<(), TooMany> {
        let Some(mut buckets) = self.lock() else {
            return Ok(());
        };
        let charged = buckets.charge(caller, self.clock.monotonic());
        charged.map_err(|retry_after| TooMany { retry_after })
    }

    fn refund(&self, caller: &Caller) {
        if let Some(mut buckets) = self.lock() {
            buckets.refund(caller);
        }
    }

    fn lock(&self) -> Option<std::sync::MutexGuard<'_, Buckets<Caller>>> {
        let buckets = self.buckets.as_ref()?.lock();
        Some(buckets.unwrap_or_else(PoisonError::into_inner))
    }
}

fn user(verified: &Verified) -> Option<Caller> {
    let user = verified.viewer.user()?;
    Some(Caller::User(user.organization.clone(), user.id.clone()))
}

/// The address of whoever asks: behind trusted proxies the rightmost that is none of theirs.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    for hop in forwarded(headers).into_iter().rev() {
        // What a trusted proxy does not say in a known form is not believed, nor what stands before it.
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
    use entity::Timestamp;

    use super::*;

    fn at(address: &str) -> Caller {
        Caller::at(address.parse().unwrap())
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let clock = Clock::fixed(Timestamp(0));
        let limit = RateLimit::new(10, Vec::new(), clock.clone());
        let allowed = |caller: &Caller| {
            (0..100)
                .take_while(|_| limit.charge(caller).is_ok())
                .count()
        };
        assert_eq!(allowed(&at("192.0.2.1")), 20);
        assert_eq!(
            allowed(&at("::ffff:192.0.2.1")),
            0,
            "the same in IPv6's clothes"
        );
        assert_eq!(
            limit.charge(&at("192.0.2.1")),
            Err(TooMany { retry_after: 1 })
        );
        assert_eq!(allowed(&at("2001:db8::1")), 20);
        assert_eq!(allowed(&at("2001:db8::ffff:2")), 0, "the same /64");
        assert_eq!(allowed(&at("2001:db8:0:1::1")), 20);
        let pass = |seconds| {
            let time = Duration::from_secs(seconds);
            clock.set(clock.now().saturating_add(time));
        };
        pass(1);
        assert_eq!(allowed(&at("192.0.2.1")), 10);
        // Setting the wall clock gives and takes nothing.
        for at_once in [-3_600_000_000, 3_600_000_000, i64::MIN, i64::MAX, 0] {
            clock.step(Timestamp(at_once));
            assert_eq!(
                limit.charge(&at("192.0.2.1")),
                Err(TooMany { retry_after: 1 })
            );
        }
        pass(99);
        assert_eq!(allowed(&at("192.0.2.1")), 20, "no more is saved up");
        let never = RateLimit::new(0, Vec::new(), clock);
        assert!((0..1000).all(|_| never.charge(&at("192.0.2.1")).is_ok()));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = [
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ];
        let seen = |peer: &str, header: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(header.parse().unwrap(), value.parse().unwrap())]);
            client(peer.parse().unwrap(), &headers, &trusted).to_string()
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
