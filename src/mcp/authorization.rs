//! Who gives the tokens that a server takes: OAuth 2.0 Protected Resource Metadata (RFC 9728).

use hyper::{
    Method,
    header::{ACCEPT, HeaderMap},
};
use serde::Deserialize;
use url::Url;

use super::wire::{JSON, Wire, refused, values};

const METADATA_BYTES: usize = 64 * 1024;
const SERVERS: usize = 10;
const URL_BYTES: usize = 2048;

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    authorization_servers: Vec<String>,
}

/// The issuers that a resource names: where its challenge says, else where its metadata is by convention (RFC 9728 §3.1, §5.1).
/// Empty where none can be had.
pub(super) async fn servers(wire: &Wire, resource: &Url, challenge: Option<&str>) -> Vec<String> {
    let said = challenge.and_then(|challenge| parameter(challenge, "resource_metadata"));
    let said = said.and_then(|url| Url::parse(&url).ok());
    let mut asked: Vec<Url> = Vec::new();
    for url in said.into_iter().chain(well_known(resource)) {
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

/// With the resource's path, then without.
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

/// A parameter of `WWW-Authenticate` (RFC 9110 §11.6.1), quoted or not. Takes time in proportion to the challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    loop {
        // A separator, or the beginning of a quoted value, in which there is no parameter.
        let start = rest.trim_start_matches([' ', ',', '\t']);
        let end = start
            .find([' ', ',', '\t', '=', '"'])
            .unwrap_or(start.len());
        let (word, after) = start.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=') else {
            // A scheme, what stands for one (token68), or a quote at a wrong place.
            rest = after.strip_prefix('"').unwrap_or(after);
            if rest.is_empty() {
                return None;
            }
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let is_it = word.eq_ignore_ascii_case(name);
        if let Some(quoted) = value.strip_prefix('"') {
            let end = closing_quote(quoted)?;
            if is_it {
                return Some(quoted[..end].replace('\\', ""));
            }
            rest = &quoted[end + 1..];
        } else {
            let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
            if is_it {
                return Some(value[..end].to_owned());
            }
            rest = &value[end..];
        }
    }
}

/// The byte at which a quoted string ends.
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
        let url = |challenge| parameter(challenge, "resource_metadata");
        let expected = Some("https://a.example/m".to_owned());
        for challenge in [
            "Bearer resource_metadata=\"https://a.example/m\"",
            "Bearer realm=\"x\", Resource_Metadata = \"https://a.example/m\", scope=\"a b\"",
            "Basic realm=x, Bearer error=\"e\",resource_metadata=https://a.example/m",
            "Bearer x_resource_metadata=\"no\", resource_metadata=\"https:\\//a.example/m\"",
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
    }

    /// A parser that looks at all the rest for each word takes minutes.
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
            assert_eq!(parameter(&challenge, "resource_metadata"), None, "{part}");
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
