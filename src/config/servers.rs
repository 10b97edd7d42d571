//! The MCP servers that may be called.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;
use url::Host;

/// A place of MCP servers that may be called, in addition to the public internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedServer {
    pub(crate) host: AllowedHost,
    /// None is any port.
    pub(crate) port: Option<u16>,
}

/// A host by its name, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowedHost {
    /// In lower case, without a dot at the end.
    Name(String),
    Network(IpNet),
}

impl FromStr for AllowedServer {
    type Err = String;

    /// `HOST`, `HOST:PORT`, an address with or without a port (`[::1]:8000`), or a network (`10.0.0.0/8`).
    fn from_str(text: &str) -> Result<Self, String> {
        let network = |net: IpNet, port| Self {
            host: AllowedHost::Network(net),
            port,
        };
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(network(net, None));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(network(address.into(), None));
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(network(socket.ip().into(), Some(socket.port())));
        }
        let expected = || {
            "expected a host, a host and its port or a network, such as mcp:8000 or 10.0.0.0/8"
                .to_owned()
        };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| expected())?)),
            None => (text, None),
        };
        match Host::parse(host).map_err(|_| expected())? {
            Host::Domain(host) => Ok(Self {
                host: AllowedHost::Name(without_final_dot(&host).to_owned()),
                port,
            }),
            Host::Ipv4(address) => Ok(network(IpAddr::V4(address).into(), port)),
            Host::Ipv6(address) => Ok(network(IpAddr::V6(address).into(), port)),
        }
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
        match text {
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
    /// Places that may be called besides.
    pub allow: Vec<AllowedServer>,
    /// The only ports that may be called; none are all. A place that is allowed with its port needs no other leave.
    pub ports: Vec<u16>,
    /// The only schemes; none are all four.
    pub schemes: Vec<Scheme>,
}

impl AllowedServer {
    pub(crate) fn at(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// A host's name without the dot that ends a fully qualified name.
pub(crate) fn without_final_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}
