//! Rate limits by caller.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;

use crate::{
    buckets::Buckets,
    clock::Clock,
    error::Error,
    http::{
        auth::{Authenticator, Refusal, Verified},
        connections::peer::Peer,
        rejection::Rejection,
    },
};

use super::client_address::{Asked, TrustedProxies};

/// The time whose requests a caller may send at once.
const BURST: Duration = Duration::from_secs(2);

/// A caller, whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) enum Caller {
    Address(IpAddr),
    /// All requests over Unix sockets without an address in the proxy's header.
    Local,
    User(Option<String>, String),
}

impl Caller {
    /// Returns the caller of an address. An IPv6 subscriber has a /64.
    pub(in crate::http) fn at(peer: Peer) -> Self {
        let Peer::Address(address) = peer else {
            return Self::Local;
        };
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & !u128::from(u64::MAX),
            )),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The rate is exceeded; contains the seconds to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct TooMany {
    pub(in crate::http) retry_after: u64,
}

impl TooMany {
    pub(in crate::http) fn error(self) -> Error {
        Error::rate_limited(self.to_string(), self.retry_after)
    }
}

impl From<TooMany> for Rejection {
    fn from(too_many: TooMany) -> Self {
        too_many.error().into()
    }
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests: wait {} s", self.retry_after)
    }
}

#[derive(Debug)]
pub(crate) struct RateLimit {
    /// The buckets; none without a limit.
    buckets: Option<Mutex<Buckets<Caller>>>,
    proxies: TrustedProxies,
    clock: Clock,
}

impl RateLimit {
    /// Limits the requests a second for each caller; zero is no limit.
    pub(crate) fn new(a_second: u32, proxies: TrustedProxies, clock: Clock) -> Self {
        let cost = (a_second > 0).then(|| Duration::from_secs(1) / a_second);
        Self {
            buckets: cost.map(|cost| Mutex::new(Buckets::new(cost, BURST))),
            proxies,
            clock,
        }
    }

    /// Authenticates a request and charges its caller. An uncached token is charged to the address before its signature
    /// is checked, and refunded if it is valid.
    pub(in crate::http) async fn admit(
        &self,
        authenticator: &Authenticator,
        peer: Option<Peer>,
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

    /// Returns the caller of a request: the user, or else the address.
    pub(in crate::http) fn caller(
        &self,
        verified: &Verified,
        peer: Option<Peer>,
        headers: &HeaderMap,
    ) -> Option<Caller> {
        user(verified).or_else(|| self.address(peer, headers))
    }

    pub(in crate::http) fn address(
        &self,
        peer: Option<Peer>,
        headers: &HeaderMap,
    ) -> Option<Caller> {
        peer.map(|peer| Caller::at(self.proxies.client(peer, headers)))
    }

    pub(super) fn asked(&self, peer: Option<Peer>, headers: &HeaderMap) -> Asked {
        self.proxies.asked(peer, headers)
    }

    pub(in crate::http) fn charge(&self, caller: &Caller) -> Result<(), TooMany> {
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

#[cfg(test)]
mod tests {
    use entity::Timestamp;

    use super::*;

    fn at(address: &str) -> Caller {
        Caller::at(Peer::Address(address.parse().unwrap()))
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let clock = Clock::fixed(Timestamp(0));
        let limit = RateLimit::new(10, TrustedProxies::default(), clock.clone());
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
        // Setting the wall clock changes no allowance.
        for at_once in [-3_600_000_000, 3_600_000_000, i64::MIN, i64::MAX, 0] {
            clock.step(Timestamp(at_once));
            assert_eq!(
                limit.charge(&at("192.0.2.1")),
                Err(TooMany { retry_after: 1 })
            );
        }
        pass(99);
        assert_eq!(allowed(&at("192.0.2.1")), 20, "no more is saved up");
        assert_eq!(allowed(&Caller::at(Peer::Local)), 20);
        assert_eq!(allowed(&Caller::at(Peer::Local)), 0);
        let never = RateLimit::new(0, TrustedProxies::default(), clock);
        assert!((0..1000).all(|_| never.charge(&at("192.0.2.1")).is_ok()));
    }
}
