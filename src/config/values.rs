//! Parsers of flag values. Each error names the expected form.

use std::{borrow::Cow, collections::BTreeSet, net::IpAddr, time::Duration};

use entity::{ConnectorCategory, ConnectorVisibility, Iterable};
use ipnet::IpNet;
use serde::de::{IntoDeserializer, value::Error as ValueError};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::Url;

use super::sources::{did_you_mean, nearest};
use crate::domain::{
    field::word,
    field_values,
    viewer::{ADMIN, CATALOG_ADMIN, WRITE},
};

/// Parses the permissions of a file, in octal with or without `0o`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected permissions in octal, such as 600, 660 or 666".to_owned())
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Refuses a URL whose user or password has a character that ends it. A URL parser's error would quote the rest of the
/// password as host or path; this one quotes nothing.
pub(super) fn whole_user(url: &str) -> Result<(), String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (_, behind) = rest.split_once(['/', '?', '#']).unwrap_or_default();
    if behind.contains('@') {
        return Err(
            "an @ follows the first / ? or #. In user and password write these characters as %2F, %3F and %23, and an \
             @ elsewhere as %40"
                .to_owned(),
        );
    }
    Ok(())
}

/// Parses the URL of a collector, which authenticates by headers.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    whole_user(text)?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !url.path().trim_end_matches('/').ends_with("/v1/traces")
    });
    url.ok_or_else(|| {
        "expected an http or https URL without user, query, fragment and /v1/traces, which is added, such as \
         http://127.0.0.1:4318".to_owned()
    })
}

/// Parses the URL of an OpenID provider (OpenID Connect Discovery 1.0, section 4).
pub(super) fn issuer(text: &str) -> Result<Url, String> {
    whole_user(text)?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| {
        "expected an http or https URL without user, query and fragment, such as https://id.example.com".to_owned()
    })
}

/// Parses a network. A single address is a network of one. IPv4 that is mapped into IPv6 becomes IPv4.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let Ok(net) = text.parse::<IpNet>() else {
        let address: IpAddr = text
            .parse()
            .map_err(|_| "expected addresses such as 10.0.0.0/8 or 192.0.2.1".to_owned())?;
        if address.is_unspecified() {
            return Err(format!(
                "{address} is no host's address: write {address}/0 for all addresses"
            ));
        }
        return Ok(address.to_canonical().into());
    };
    if net.addr() != net.network() {
        return Err(format!(
            "the address has bits beyond the network's length: write {} for the network, or {} for the address",
            net.trunc(),
            net.addr()
        ));
    }
    let mapped = match net {
        IpNet::V6(net) => net
            .addr()
            .to_ipv4_mapped()
            .zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let mapped = mapped.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    Ok(mapped.unwrap_or(net))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| !time.is_zero() && *time <= LONGEST)
        .ok_or_else(|| "expected a time such as 500ms, 10s or 1h, of 100 years at most".to_owned())
}

/// Parses a time that may be zero.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

/// The longest time, so that sums of times do not overflow.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Parses a token's lifetime, in whole seconds.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|time| time.as_secs() > 0)
        .ok_or_else(|| "expected a time of a second at least, such as 15m or 1h".to_owned())
}

/// Parses the largest age of a JWKS, which is read several times within it.
pub(super) fn jwks_age(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|time| time.as_secs() > 0)
        .ok_or_else(|| "expected a time of a second at least, such as 1h or 24h".to_owned())
}

/// Parses a leeway of at most ten minutes. Clocks that differ more should be set.
pub(super) fn leeway(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time <= Duration::from_mins(10))
        .ok_or_else(|| "expected a time such as 0s, 30s or 2m, of 10 minutes at most".to_owned())
}

/// Parses a claim that RFC 7519 and RFC 8693 give no meaning.
pub(super) fn claim(text: &str) -> Result<String, String> {
    claim_or(text, None)
}

pub(super) fn user_claim(text: &str) -> Result<String, String> {
    claim_or(text, Some("sub"))
}

pub(super) fn scope_claim(text: &str) -> Result<String, String> {
    claim_or(text, Some("scope"))
}

fn claim_or(text: &str, allowed: Option<&str>) -> Result<String, String> {
    let text = text.trim();
    let registered = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"];
    let is_taken = registered.contains(&text) && allowed != Some(text);
    if text.is_empty() || is_taken {
        return Err("expected the name of a claim with no meaning of its own".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn nonempty(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a text that is not empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn principal(text: &str) -> Result<String, String> {
    field_values::principal("it", text).map_err(|error| error.named())
}

/// Scopes of a token that this program makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(pub BTreeSet<String>);

/// Parses scopes, separated by blanks or commas.
pub(super) fn scopes(text: &str) -> Result<Scopes, String> {
    const KNOWN: [&str; 3] = [WRITE, ADMIN, CATALOG_ADMIN];
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    let mut scopes = BTreeSet::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !KNOWN.contains(&word) {
            let known = KNOWN.join(", ");
            return Err(format!("there is no scope {word}: expected {known}"));
        }
        scopes.insert(word.to_owned());
    }
    Ok(Scopes(scopes))
}

/// Quotes a word for a shell, if necessary.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

pub(super) fn visibility(text: &str) -> Result<ConnectorVisibility, String> {
    serde::Deserialize::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text))
        .map_err(|_| "expected private, organization or public".to_owned())
}

pub(super) fn category(text: &str) -> Result<ConnectorCategory, String> {
    let found = ConnectorCategory::iter().find(|category| word(*category) == text);
    found.ok_or_else(|| {
        let known: Vec<_> = ConnectorCategory::iter().map(word).collect();
        format!("expected one of {}", known.join(", "))
    })
}

pub(super) fn migration(text: &str) -> Result<String, String> {
    let known = migration::names();
    let is_it = |name: &&String| *name == text || name.split('_').nth(1) == Some(text);
    let found = known.iter().find(is_it).cloned();
    found.ok_or_else(|| format!("expected one of {}, or its number", known.join(", ")))
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let directives: Vec<_> = text.split(',').map(str::trim).collect();
    // A module name alone enables all its levels, and disables others: a misspelt level would silence the log.
    let is_module = |word: &&&str| {
        let module = word.split("::").next().unwrap_or_default();
        let is_ours = [env!("CARGO_CRATE_NAME"), "access"].contains(&module);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
        !is_ours
            && !word.is_empty()
            && word.chars().all(is_word)
            && word.parse::<LevelFilter>().is_err()
    };
    if let Some(word) = directives.iter().find(is_module) {
        let nearest = did_you_mean(nearest(word, LEVELS.into_iter()));
        let levels = LEVELS.join(", ");
        return Err(format!(
            "{word} is no level: expected {levels}, or {word}=LEVEL for a module{nearest}"
        ));
    }
    let text = directives.join(",");
    text.parse::<EnvFilter>()
        .map_err(|error| format!("expected a level or module=level,…: {error}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_between_blanks_or_commas_and_known() {
        let both = BTreeSet::from([ADMIN, WRITE].map(ToOwned::to_owned));
        for text in [
            "connectors:write connectors:admin",
            "connectors:write,connectors:admin",
            " connectors:admin , connectors:write,",
        ] {
            assert_eq!(scopes(text), Ok(Scopes(both.clone())), "{text}");
        }
        assert_eq!(scopes(""), Ok(Scopes::default()));
        for unknown in ["connectors:read", "Connectors:write", "connectors:write;x"] {
            let refused = scopes(unknown).unwrap_err();
            assert!(
                refused.contains(unknown) && refused.contains(WRITE),
                "{refused}"
            );
        }
    }

    #[test]
    fn permissions_are_octal() {
        for text in ["660", "0660", "0o660"] {
            assert_eq!(mode(text), Ok(0o660), "{text}");
        }
        for text in ["0x1b0", "432b", "0o0o660", "888", "1777", ""] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_log_has_levels() {
        for (text, filter) in [
            ("debug", "debug"),
            ("WARN", "WARN"),
            ("0", "0"),
            (
                "info, hyper=debug ,rustls=off",
                "info,hyper=debug,rustls=off",
            ),
            ("personal_connectors::mcp", "personal_connectors::mcp"),
            ("off,access", "off,access"),
            ("[request{a}]=debug", "[request{a}]=debug"),
        ] {
            assert_eq!(log_filter(text).as_deref(), Ok(filter));
        }
        for (text, expected) in [
            ("debugg", "Did you mean debug?"),
            ("info,wran", "Did you mean warn?"),
            ("info,hyper", "hyper=LEVEL for a module"),
            ("hyper=debugg", "expected a level or module=level"),
        ] {
            let refused = log_filter(text).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn a_shell_reads_words_as_they_are() {
        for (text, word) in [
            ("sqlite:///var/x.db", "sqlite:///var/x.db"),
            ("/home/ann o'hara/x", r"'/home/ann o'\''hara/x'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
