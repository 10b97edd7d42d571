//! The guard decides which addresses the service may call.
//!
//! Invariant: the judged address is the one connected to. The guard resolves a name for the connection itself, so no
//! later DNS answer intervenes. An address in the URL is judged before anything is sent.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use url::{Host, Url};

use crate::{
    config::{AllowedHost, Scheme, ServerRules, without_final_dot},
    outbound::addresses::{embedded, special},
};

pub use super::lookups::Lookup;
use super::{lookups::Lookups, stopwatch::Stopwatch};

/// The most addresses of a name that are tried.
const ADDRESSES: usize = 16;

/// The reason that an address is not called. Its text is for the caller who gave the address, so it reveals nothing
/// about DNS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is not an http, https, ws or wss URL with a host")]
    NotAUrl,
    #[error("this service does not call {0} addresses")]
    Scheme(String),
    #[error("it has a user name or password in it")]
    Credentials,
    #[error("this service does not call port {0}")]
    Port(u16),
    #[error("the address {0} is not public: {1}")]
    Address(IpAddr, &'static str),
    #[error("its host is not at a public address")]
    Host,
    #[error("it redirects from https to http")]
    Downgrade,
    #[error("the outbound proxy does not permit it (HTTP status {0})")]
    Proxy(u16),
}

/// The reason that no address can be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("its host's name is not known")]
    Unknown,
}

/// Decides which URLs and addresses may be called.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: Arc<ServerRules>,
    lookups: Lookups,
}

impl Guard {
    /// Creates a guard with these rules, which resolves names with the system's resolver.
    pub fn new(rules: ServerRules) -> Self {
        Self {
            rules: Arc::new(rules),
            lookups: Lookups::of_the_system(),
        }
    }

    /// Creates a guard that resolves names with this lookup.
    pub fn with_lookup(rules: ServerRules, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            rules: Arc::new(rules),
            lookups: Lookups::by(lookup),
        }
    }

    /// Parses a URL and checks it as far as possible without resolving its host's name.
    pub(crate) fn target(&self, text: &str) -> Result<Url, Refusal> {
        // One parser handles all spellings of an address: it normalizes 0x7f.1, 2130706433 and full-width digits.
        let url = Url::parse(text).map_err(|_| Refusal::NotAUrl)?;
        self.judge(&url)?;
        Ok(url)
    }

    /// Returns the target of a redirect, if it may be followed.
    pub(crate) fn redirect(&self, from: &Url, location: &str) -> Result<Url, Refusal> {
        let mut to = from.join(location).map_err(|_| Refusal::NotAUrl)?;
        to.set_fragment(None);
        self.judge(&to)?;
        if from.scheme() == "https" && to.scheme() != "https" {
            return Err(Refusal::Downgrade);
        }
        Ok(to)
    }

    /// Checks a URL as far as possible without resolving its host's name.
    pub(crate) fn judge(&self, url: &Url) -> Result<(), Refusal> {
        let scheme = url
            .scheme()
            .parse::<Scheme>()
            .map_err(|_| Refusal::NotAUrl)?;
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refusal::NotAUrl);
        };
        if !self.rules.schemes.is_empty() && !self.rules.schemes.contains(&scheme) {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let (host, address) = match host {
            Host::Domain(host) => (without_final_dot(host), None),
            Host::Ipv4(address) => ("", Some(IpAddr::V4(address))),
            Host::Ipv6(address) => ("", Some(IpAddr::V6(address))),
        };
        // A name belongs to an allowed network if its addresses do.
        let may_be_named = self.rules.allow.iter().any(|allowed| {
            allowed.port == Some(port)
                && match &allowed.host {
                    AllowedHost::Network(net) => address.is_none_or(|address| within(net, address)),
                    named => named.names(host),
                }
        });
        if !self.is_open(port) && !may_be_named {
            return Err(Refusal::Port(port));
        }
        match address {
            Some(address) => self.permit(host, port, address),
            // The name is local, whatever DNS answers (RFC 6761 §6.3).
            None if host == "localhost" || host.ends_with(".localhost") => {
                let allowed = self.rules.allow.iter().any(|allowed| match &allowed.host {
                    AllowedHost::Network(net) => {
                        [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
                            .iter()
                            .any(|address| within(net, *address))
                            && allowed.at(port)
                    }
                    named => named.names(host) && allowed.at(port),
                });
                if allowed { Ok(()) } else { Err(Refusal::Host) }
            }
            None => Ok(()),
        }
    }

    /// Returns whether the rules permit a port on any host.
    fn is_open(&self, port: u16) -> bool {
        let mut ports = self.rules.ports.iter();
        self.rules.ports.is_empty() || ports.any(|range| range.contains(&port))
    }

    /// Checks an address of a host before a connection. The host is empty if the URL contains the address itself.
    fn permit(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Refusal> {
        let mut allowed = self.rules.allow.iter().filter(|allowed| {
            allowed.at(port)
                && match &allowed.host {
                    AllowedHost::Network(net) => within(net, address),
                    named => named.names(host),
                }
        });
        let is_allowed = allowed.clone().next().is_some();
        if !self.is_open(port) && !allowed.any(|allowed| allowed.port.is_some()) {
            return Err(Refusal::Port(port));
        }
        match special(address) {
            Some(_) if is_allowed => Ok(()),
            Some(kind) if host.is_empty() => Err(Refusal::Address(address, kind)),
            Some(_) => Err(Refusal::Host),
            None => Ok(()),
        }
    }

    /// Resolves a name to its permitted addresses, at least one. `held` is dropped when the system has answered, even
    /// if the caller stopped waiting earlier.
    pub(crate) async fn resolve(
        &self,
        host: &str,
        port: u16,
        stopwatch: &Stopwatch,
        held: impl Send + 'static,
    ) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = self.lookups.addresses(host, stopwatch, held).await;
        let found = found.ok_or(Unresolved::Unknown)?;
        if found.is_empty() {
            return Err(Unresolved::Unknown);
        }
        let mut refused = Refusal::Host;
        let mut permitted = Vec::new();
        for &address in found.iter() {
            match self.permit(without_final_dot(host), port, address) {
                Ok(()) => permitted.push(SocketAddr::new(address, port)),
                Err(refusal) => refused = refusal,
            }
        }
        if permitted.is_empty() {
            return Err(refused.into());
        }
        permitted.truncate(ADDRESSES);
        Ok(permitted)
    }
}

fn within(net: &IpNet, address: IpAddr) -> bool {
    net.contains(&address)
        || net.contains(&IpAddr::V4(match embedded(address) {
            Some(address) => address,
            None => return false,
        }))
}

#[cfg(test)]
mod tests;
