//! The URL of a database. A URL of PostgreSQL names one or several hosts, and the kind of server wanted (libpq, section
//! "Connection URIs").

use std::{error::Error as StdError, iter, str::FromStr, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use url::form_urlencoded;

/// The database's URL cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0}. Expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
pub struct DatabaseUrlError(String);

impl DatabaseUrlError {
    pub(super) fn of(message: &str) -> Self {
        Self(message.to_owned())
    }

    pub(super) fn new(error: &sqlx::Error) -> Self {
        let first: &(dyn StdError + 'static) = error;
        let causes = iter::successors(Some(first), |&error| error.source());
        // The text before the last cause is sqlx's.
        Self(causes.last().map(ToString::to_string).unwrap_or_default())
    }
}

/// The kind of server that a session needs (libpq's `target_session_attrs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetSessionAttrs {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl FromStr for TargetSessionAttrs {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return Err(()),
        })
    }
}

impl TargetSessionAttrs {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }
}

/// The servers of a URL, in order.
#[derive(Clone, Debug)]
pub(crate) struct PostgresUrl {
    pub(crate) hosts: Vec<PgConnectOptions>,
    pub(crate) target: TargetSessionAttrs,
    /// Whether the URL names the wanted kind of server.
    pub(crate) names_target: bool,
    /// `connect_timeout`: the longest time to connect to one host.
    pub(crate) connect_timeout: Option<Duration>,
}

/// The parts of the URL's query that this module reads.
#[derive(Default)]
struct Parameters {
    hosts: Option<String>,
    ports: Option<String>,
    target: Option<TargetSessionAttrs>,
    connect_timeout: Option<Duration>,
    /// The other parameters, unchanged.
    rest: Vec<(String, String)>,
}

impl PostgresUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let parameters = Parameters::read(query)?;

        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&parameters.rest);
        let query = query.finish();
        let user = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        let options = |host: &str| {
            let url = format!("{scheme}://{user}{host}/{database}?{query}");
            let options = PgConnectOptions::from_str(&url)
                .map(ConnectOptions::disable_statement_logging)
                .map_err(|error| DatabaseUrlError::new(&error))?;
            // The driver would look up a bracketed IPv6 address as a name.
            let address = options.get_host().strip_prefix('[');
            let address = address.and_then(|address| address.strip_suffix(']'));
            Ok(match address.map(ToOwned::to_owned) {
                Some(address) => options.host(&address),
                None => options,
            })
        };
        let hosts = parameters.hosts(hosts)?;
        Ok(Self {
            hosts: hosts
                .iter()
                .map(|host| options(host))
                .collect::<Result<_, _>>()?,
            target: parameters.target.unwrap_or(TargetSessionAttrs::Any),
            names_target: parameters.target.is_some(),
            connect_timeout: parameters.connect_timeout,
        })
    }
}

impl Parameters {
    fn read(query: &str) -> Result<Self, DatabaseUrlError> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "host" | "hostaddr" => parameters.hosts = Some(value.into_owned()),
                "port" => parameters.ports = Some(value.into_owned()),
                "target_session_attrs" => {
                    let target = value.parse().map_err(|()| {
                        DatabaseUrlError::of(
                            "target_session_attrs must be any, read-write, read-only, primary, standby or \
                             prefer-standby",
                        )
                    });
                    parameters.target = Some(target?);
                }
                "connect_timeout" => {
                    let seconds: u64 = value.parse().map_err(|_| {
                        DatabaseUrlError::of("connect_timeout must be a number of seconds")
                    })?;
                    // Zero means no limit in libpq. `--database-wait` is the limit here.
                    parameters.connect_timeout =
                        (seconds > 0).then(|| Duration::from_secs(seconds));
                }
                name if name.starts_with("target_session") => {
                    return Err(DatabaseUrlError::of(&format!(
                        "{name} is not a parameter: did you mean target_session_attrs?"
                    )));
                }
                _ => parameters
                    .rest
                    .push((name.into_owned(), value.into_owned())),
            }
        }
        Ok(parameters)
    }

    /// Returns the hosts with their ports, in URL form. Hosts in the query replace those of the authority.
    fn hosts(&self, authority: &str) -> Result<Vec<String>, DatabaseUrlError> {
        let Some(hosts) = &self.hosts else {
            let hosts: Vec<_> = authority.split(',').map(ToOwned::to_owned).collect();
            return match &self.ports {
                None => Ok(hosts),
                Some(ports) => with_ports(hosts, ports),
            };
        };
        let hosts: Vec<_> = hosts.split(',').map(in_url).collect();
        let ports = self.ports.as_deref().unwrap_or_default();
        with_ports(hosts, ports)
    }
}

/// Adds ports to hosts: one port for all, or one for each.
fn with_ports(hosts: Vec<String>, ports: &str) -> Result<Vec<String>, DatabaseUrlError> {
    let ports: Vec<_> = ports.split(',').collect();
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(DatabaseUrlError::of(
            "there must be one port, or as many as hosts",
        ));
    }
    let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or_default();
    let both = |(i, host): (usize, String)| match port(i) {
        "" => host,
        port => format!("{host}:{port}"),
    };
    Ok(hosts.into_iter().enumerate().map(both).collect())
}

/// Returns a host of the query in the form of an authority: a socket folder escaped, an IPv6 address in brackets.
fn in_url(host: &str) -> String {
    if host.starts_with('/') {
        return utf8_percent_encode(host, NON_ALPHANUMERIC).to_string();
    }
    if host.contains(':') && !host.starts_with('[') {
        return format!("[{host}]");
    }
    host.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<String> {
        let host = |options: &PgConnectOptions| {
            let host = options.get_socket().map_or_else(
                || options.get_host().to_owned(),
                |folder| folder.display().to_string(),
            );
            format!(
                "{}@{host}:{}/{}",
                options.get_username(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            )
        };
        let url = PostgresUrl::parse(url).unwrap();
        url.hosts.iter().map(host).collect()
    }

    #[test]
    fn hosts_as_libpq_has_them() {
        for (url, expected) in [
            ("postgres://u:p@a/db", &["u@a:5432/db"][..]),
            (
                "postgres://u@a:1,b:2/db?sslmode=disable",
                &["u@a:1/db", "u@b:2/db"],
            ),
            ("postgresql://u@a,b/db", &["u@a:5432/db", "u@b:5432/db"]),
            (
                "postgres://u@/db?host=a,b&port=1,2",
                &["u@a:1/db", "u@b:2/db"],
            ),
            (
                "postgres://u@/db?host=a,b&port=7",
                &["u@a:7/db", "u@b:7/db"],
            ),
            ("postgres://u@[::1]:7,b/db", &["u@::1:7/db", "u@b:5432/db"]),
            (
                "postgres://u@/db?host=/run/pg,b",
                &["u@/run/pg:5432/db", "u@b:5432/db"],
            ),
            ("postgres://u@%2Frun%2Fpg:7/db", &["u@/run/pg:7/db"]),
            ("postgres://u@a:7?dbname=db", &["u@a:7/db"]),
        ] {
            assert_eq!(hosts(url), expected, "{url}");
        }
    }

    #[test]
    fn which_server_is_wanted() {
        let target = |query: &str| {
            let url = PostgresUrl::parse(&format!("postgres://u@a,b/db{query}")).unwrap();
            (url.target.as_str(), url.connect_timeout)
        };
        assert_eq!(target(""), ("any", None));
        for attrs in [
            "any",
            "read-write",
            "read-only",
            "primary",
            "standby",
            "prefer-standby",
        ] {
            assert_eq!(target(&format!("?target_session_attrs={attrs}")).0, attrs);
        }
        assert_eq!(target("?connect_timeout=3").1, Some(Duration::from_secs(3)));
        assert_eq!(target("?connect_timeout=0").1, None);
    }

    #[test]
    fn refusals_name_the_parameter() {
        for (query, expected) in [
            ("target_session_attrs=master", "target_session_attrs"),
            ("connect_timeout=soon", "connect_timeout"),
            ("port=1,2,3", "port"),
        ] {
            let url = format!("postgres://u:secret@a,b/db?{query}");
            let error = PostgresUrl::parse(&url).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
