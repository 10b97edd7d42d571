//! The authorization servers of an MCP server: OAuth 2.0 Protected Resource Metadata (RFC 9728).

use hyper::{
    Method,
    header::{ACCEPT, HeaderMap},
};
use serde::Deserialize;
use url::Url;

use super::{
    measure::values,
    wire::{JSON, Wire, refused},
};

const METADATA_BYTES: usize = 64 * 1024;
const SERVERS: usize = 10;
/// The most metadata URLs that are taken from challenges.
const NAMED: usize = 3;
const URL_BYTES: usize = 2048;

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    authorization_servers: Vec<String>,
}

/// Returns the issuers of a resource. It reads the metadata at the URLs of its challenges, then at the well-known ones
/// (RFC 9728 §3.1, §5.1). Empty if there is none.
pub(super) async fn servers(wire: &Wire, resource: &Url, challenges: &[String]) -> Vec<String> {
    let said = challenges.iter().flat_map(|challenge| {
        let urls = parameters(challenge, "resource_metadata");
        urls.filter_map(|url| resource.join(&url).ok())
    });
    let mut asked: Vec<Url> = Vec::new();
    for url in said.take(NAMED).chain(well_known(resource)) {
        if asked.contains(&url) {
            continue;
        }
        if let Some(servers) = metadata(wire, &url).await {
            return servers;
        }
        asked.push(url);
    }
    Vec::new()
}

/// Returns the well-known URLs, with the resource's path and without.
fn well_known(resource: &Url) -> impl Iterator<Item = Url> {
    let mut base = resource.clone();
    base.set_query(None);
    base.set_fragment(None);
    let _ = match base.scheme() {
        "wss" => base.set_scheme("https"),
        "ws" => base.set_scheme("http"),
        _ => Ok(()),
    };
    let path = base.path().trim_end_matches('/').to_owned();
    [path, String::new()].into_iter().map(move |path| {
        let mut url = base.clone();
        url.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
        url
    })
}

async fn metadata(wire: &Wire, url: &Url) -> Option<Vec<String>> {
    let accept = HeaderMap::from_iter([(ACCEPT, JSON)]);
    let (url, response) = wire.send(Method::GET, url, accept, None).await.ok()?;
    if refused(&url, &response).is_some() {
        return None;
    }
    let body = wire.collect(response, METADATA_BYTES).await.ok()?;
    let limits = wire.limits();
    values(&body, limits.depth, limits.values)?;
    let metadata: Metadata = serde_json::from_slice(&body).ok()?;
    let servers = metadata.authorization_servers.into_iter();
    let is_issuer = |text: &String| {
        let url = Url::parse(text).ok();
        text.len() <= URL_BYTES
            && url.is_some_and(|url| {
                matches!(url.scheme(), "https" | "http")
                    && url.username().is_empty()
                    && url.password().is_none()
            })
    };
    let servers: Vec<_> = servers.filter(is_issuer).take(SERVERS).collect();
    (!servers.is_empty()).then_some(servers)
}

/// Returns all values of a parameter in a `WWW-Authenticate` field (RFC 9110 §11.6.1), quoted or not, for any scheme.
/// The time is linear in the field's length.
fn parameters<'a>(field: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let mut rest = field;
    std::iter::from_fn(move || {
        loop {
            let (found, after) = next_parameter(rest, name)?;
            rest = after;
            if found.is_some() {
                return found;
            }
        }
    })
}

/// Reads one word or parameter. Returns its value, if it has the name, and the rest; none at the end, or at an unclosed
/// quote.
fn next_parameter<'a>(rest: &'a str, name: &str) -> Option<(Option<String>, &'a str)> {
    // A separator, or the start of a quoted value, which contains no parameter.
    let start = rest.trim_start_matches([' ', ',', '\t']);
    let end = start
        .find([' ', ',', '\t', '=', '"'])
        .unwrap_or(start.len());
    let (word, after) = start.split_at(end);
    let after = after.trim_start_matches([' ', '\t']);
    let Some(value) = after.strip_prefix('=') else {
        // A scheme, a token68 value, or a misplaced quote.
        let rest = after.strip_prefix('"').unwrap_or(after);
        return (!rest.is_empty()).then_some((None, rest));
    };
    let value = value.trim_start_matches([' ', '\t']);
    let is_it = word.eq_ignore_ascii_case(name);
    let (value, rest) = match value.strip_prefix('"') {
        Some(quoted) => {
            let end = closing_quote(quoted)?;
            let (value, rest) = quoted.split_at(end);
            (value, rest.strip_prefix('"').unwrap_or(rest))
        }
        None => value.split_at(value.find([',', ' ', '\t']).unwrap_or(value.len())),
    };
    Some((is_it.then(|| value.replace('\\', "")), rest))
}

/// Returns the byte at which a quoted string ends.
fn closing_quote(quoted: &str) -> Option<usize> {
    let mut escaped = false;
    quoted.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_where_the_metadata_is() {
        let url = |challenge| parameters(challenge, "resource_metadata").next();
        let expected = Some("https://a.example/m".to_owned());
        for challenge in [
            "Bearer resource_metadata=\"https://a.example/m\"",
            "Bearer realm=\"x\", Resource_Metadata = \"https://a.example/m\", scope=\"a b\"",
            "Basic realm=x, Bearer error=\"e\",resource_metadata=https://a.example/m",
            "Bearer x_resource_metadata=\"no\", resource_metadata=\"https:\\//a.example/m\"",
            "Basic realm=\"a, b=\\\"c\\\", Bearer x\", Bearer resource_metadata=\"https://a.example/m\"",
            "Negotiate YWJj==, Bearer resource_metadata=\"https://a.example/m\"",
            "Bearer resource_metadata=\"https://a.example/m\", Basic realm=\"x\"",
        ] {
            assert_eq!(url(challenge), expected, "{challenge}");
        }
        for challenge in [
            "",
            "Bearer",
            "Bearer resource_metadata",
            "Bearer resource_metadata=\"x",
            "Bearer realm=\"resource_metadata=https://a.example/m\"",
        ] {
            assert_eq!(url(challenge), None, "{challenge}");
        }
        let two = "Bearer resource_metadata=/a, DPoP resource_metadata=\"/b\"";
        let found: Vec<_> = parameters(two, "resource_metadata").collect();
        assert_eq!(found, ["/a", "/b"]);
    }

    /// A parser that scans the whole rest for each word would take minutes.
    #[test]
    fn a_long_challenge_is_read_once() {
        let begun = std::time::Instant::now();
        for part in [
            "resource_metadata",
            "resource_metadata ",
            "a=\"",
            "\"",
            "=",
            ", ,",
            "a=b,",
            "=\"\\",
        ] {
            let challenge = part.repeat(1_000_000 / part.len());
            let found = parameters(&challenge, "resource_metadata").next();
            assert_eq!(found, None, "{part}");
        }
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn metadata_is_beside_the_resource_or_at_the_root() {
        let at = |url| {
            well_known(&Url::parse(url).unwrap())
                .map(String::from)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            at("wss://a.example:8/x/mcp/?q=1"),
            [
                "https://a.example:8/.well-known/oauth-protected-resource/x/mcp",
                "https://a.example:8/.well-known/oauth-protected-resource"
            ]
        );
    }
}
