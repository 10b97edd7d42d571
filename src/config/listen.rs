//! The addresses that the service listens on, as text.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    str::FromStr,
};

const EXPECTED: &str = "expected an address and a port such as 127.0.0.1:8080, localhost:8080, [::1]:8080 or :8080 \
                        (all addresses), or a Unix socket such as unix:/run/connectors.sock";

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A port of one or several addresses.
    Tcp {
        /// The addresses to open the port on.
        host: ListenHost,
        /// The port; 0 lets the system choose a free one.
        port: u16,
    },
    /// The absolute path of a Unix domain socket.
    Unix(PathBuf),
}

/// The local addresses of a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenHost {
    /// All addresses, IPv6 and IPv4.
    Any,
    /// An IPv4 address; `0.0.0.0` stands for all.
    V4(Ipv4Addr),
    /// An IPv6 address; `::` stands for all, IPv4 included.
    V6(Ipv6Addr),
    /// All addresses that a name resolves to.
    Name(String),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if text.starts_with('/') {
            return unix(text);
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port = port.parse().map_err(|_| EXPECTED)?;
        let host = host.parse()?;
        Ok(Self::Tcp { host, port })
    }
}

fn unix(path: &str) -> Result<ListenAddress, String> {
    let path = Path::new(path);
    // The path is absolute, because other programs find the socket from their own folders.
    if !path.is_absolute() || path.file_name().is_none() {
        return Err(format!("{EXPECTED}, with an absolute path"));
    }
    Ok(ListenAddress::Unix(path.to_owned()))
}

impl FromStr for ListenHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if let Some(text) = text.strip_prefix('[') {
            let address = text.strip_suffix(']').and_then(|text| text.parse().ok());
            return address.map(Self::V6).ok_or_else(|| EXPECTED.to_owned());
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        let is_of_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        // A name has a letter: 127.0.1 is a mistyped address.
        if text.chars().all(is_of_names) && text.contains(|c: char| c.is_ascii_alphabetic()) {
            return Ok(Self::Name(text.to_owned()));
        }
        Err(EXPECTED.to_owned())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "127.0.0.1:8080",
            "localhost:8080",
            "db-1.internal:0",
            ":8080",
            "[::]:8080",
            "[::1]:65535",
            "unix:/run/x.sock",
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let short: ListenAddress = " /run/x.sock ".parse().unwrap();
        assert_eq!(short, ListenAddress::Unix("/run/x.sock".into()));
    }

    #[test]
    fn other_text_is_refused_with_what_was_expected() {
        for text in [
            "",
            "8080",
            "localhost",
            "localhost:",
            "localhost:http",
            "127.0.0.1:65536",
            "127.0.1:8080",
            "::1:8080",
            "[::1]",
            "[127.0.0.1]:80",
            "http://localhost:8080",
            "a b:80",
            "unix:",
            "unix:x.sock",
            "unix:/",
            "./x.sock",
        ] {
            let refused = text.parse::<ListenAddress>().unwrap_err();
            assert!(refused.starts_with(EXPECTED), "{text}: {refused}");
        }
    }
}
