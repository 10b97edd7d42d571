//! Outbound connections: to MCP servers, the issuer of tokens and the span collector.
//!
//! Invariant: all of them share one list of certificate authorities and one proxy. The environment changes neither: no
//! client of this crate reads `HTTP_PROXY`, `SSL_CERT_FILE` or their like.

pub(crate) mod addresses;
pub(crate) mod connection;
pub(crate) mod http_client;
pub(crate) mod proxy;

use std::{fmt, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::config::OutboundRules;

use self::{addresses::special, proxy::Proxy};

/// The trust store and the proxy of all outbound connections. Clones share the proxy's state.
#[derive(Clone)]
pub struct Outbound {
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

impl Outbound {
    /// Trusts Mozilla's authorities and those of the rules. The system's trust store does not matter.
    pub fn new(rules: &OutboundRules) -> Result<Self, rustls::Error> {
        let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        for authority in &rules.authorities {
            roots.add(authority.clone())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: Arc::new(tls),
            proxy: rules.proxy.clone().map(Proxy::new),
        })
    }

    pub(crate) fn tls(&self) -> TlsConnector {
        TlsConnector::from(self.tls.clone())
    }

    pub(crate) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// Returns the route to a host. It is the proxy if all addresses are public; otherwise it is direct, to those that
    /// are not.
    pub(crate) fn way(&self, addresses: &mut Vec<SocketAddr>) -> Way<'_> {
        let Some(proxy) = &self.proxy else {
            return Way::Direct;
        };
        if addresses.iter().all(|address| is_public(*address)) {
            return Way::Through(proxy);
        }
        addresses.retain(|address| !is_public(*address));
        Way::Direct
    }
}

/// The route of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    Direct,
    Through(&'a Proxy),
}

fn is_public(address: SocketAddr) -> bool {
    special(address.ip()).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_for_public_addresses() {
        let rules = OutboundRules {
            proxy: Some("http://192.0.2.1:3128".parse().unwrap()),
            ..OutboundRules::default()
        };
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            let addresses = list.iter().map(|text| text.parse().unwrap());
            addresses.map(|ip| SocketAddr::new(ip, 443)).collect()
        };
        let proxied = Outbound::new(&rules).unwrap();
        for (addresses, left, is_direct) in [
            (
                &["8.8.8.8", "2606:4700::1"][..],
                &["8.8.8.8", "2606:4700::1"][..],
                false,
            ),
            (&["10.0.0.1"], &["10.0.0.1"], true),
            (&["::1"], &["::1"], true),
            (&["8.8.8.8", "10.0.0.1"], &["10.0.0.1"], true),
        ] {
            let mut addresses = parse(addresses);
            let way = proxied.way(&mut addresses);
            assert_eq!(matches!(way, Way::Direct), is_direct, "{addresses:?}");
            assert_eq!(addresses, parse(left));
        }
        let direct = Outbound::new(&OutboundRules::default()).unwrap();
        assert!(matches!(direct.way(&mut parse(&["8.8.8.8"])), Way::Direct));
    }
}
